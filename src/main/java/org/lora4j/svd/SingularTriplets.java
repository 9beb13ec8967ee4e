package org.lora4j.svd;

import org.lora4j.device.Matrix;

/**
 * The k leading singular triplets of an m×n matrix G ≈ U·diag(σ)·Vᵀ. The caller closes them, before the
 * device is handed over ({@link org.lora4j.device.Device#temporary}).
 *
 * <p>Each pair (uᵢ, vᵢ) has the sign that makes the entry of vᵢ of largest magnitude positive.
 *
 * @param u m×k with orthonormal columns
 * @param values σ, descending
 * @param vt k×n with orthonormal rows
 * @param numericalRank how many of G's singular values (not only the leading k) are distinguishable from rounding; the
 *     vectors of a triplet beyond it are not determined by G but complete the basis orthonormally, from the seed
 * @param certificate how good they are
 */
public record SingularTriplets(Matrix u, double[] values, Matrix vt, int numericalRank, Certificate certificate) implements AutoCloseable {
    /** Whether some of the vectors only complete the basis. */
    public boolean completed() {
        return numericalRank < values.length;
    }

    @Override
    public void close() {
        u.close();
        vt.close();
    }
}
