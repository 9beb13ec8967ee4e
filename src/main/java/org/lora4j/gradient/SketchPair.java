package org.lora4j.gradient;

import java.util.Arrays;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.Certificate;
import org.lora4j.svd.SingularTriplets;

/**
 * Y = G·Ω (m×l) and Z = Gᵀ·Ψ (n×l) with their test matrices, and the triplets of G that they show.
 *
 * <p>The triplets are found with all columns, their error is estimated with the last ones held out: it is that of an answer a
 * little worse.
 *
 * @param sampling how many columns are not held out
 * @param random whether the test matrices are random; else they are mostly bases of what G mostly is
 */
record SketchPair(Matrix y, TestMatrix psi, Matrix z, TestMatrix omega, int sampling, boolean random) {
    /** Below this the estimated residuals count as converged: sketches are for directions, not for digits. */
    private static final double TOLERANCE = 0.01;

    SingularTriplets top(int k, long completion, int passes) {
        Device device = y.device();
        double unit = unit();
        SmallMatrix left = ThinColumns.gram(psi, y, unit);
        SmallMatrix right = ThinColumns.gram(omega, z, unit);
        TwoSided.Estimate found = estimate(left, right, (int) y.cols(), k);
        TwoSided.Estimate heldOut = estimate(left, right, sampling, k);
        Matrix[] made = Allocations.all(device, y.type(), new long[][] {{y.rows(), k}, {k, z.rows()}});
        try (Matrix v = device.allocate(y.type(), z.rows(), k); Matrix identity = device.allocate(y.type(), k, k)) {
            ThinColumns.combine(psi, y, unit, found.u(), completion, made[0]);
            ThinColumns.combine(omega, z, unit, found.v(), completion + 1, v);
            identity.write(SmallMatrix.zeros(k, k).plusIdentity(1).data());
            device.gemm(1, identity, Op.NONE, v, Op.TRANSPOSE, 0, made[1]);
            fixSigns(made[0], made[1]);
            double[] values = Arrays.copyOf(found.values(), k);
            double[] residuals = Arrays.copyOf(heldOut.residuals(), k);
            int rank = rank(values, y, z);
            for (int i = 0; i < k; i++) {
                values[i] *= unit;
            }
            boolean converged = Arrays.stream(residuals).allMatch(r -> r <= TOLERANCE);
            return new SingularTriplets(made[0], values, made[1], rank, new Certificate(residuals, heldOut.captured(), 2 * passes, passes, converged));
        } catch (RuntimeException e) {
            Allocations.close(made);
            throw e;
        }
    }

    /** Orthonormal bases (m×c and n×c) of the c leading left and right singular vectors. */
    Matrix[] bases(int c, long completion) {
        double unit = unit();
        TwoSided.Estimate found = estimate(ThinColumns.gram(psi, y, unit), ThinColumns.gram(omega, z, unit), (int) y.cols(), c);
        Matrix[] made = Allocations.all(y.device(), y.type(), new long[][] {{y.rows(), c}, {z.rows(), c}});
        try {
            ThinColumns.combine(psi, y, unit, found.u(), completion, made[0]);
            ThinColumns.combine(omega, z, unit, found.v(), completion + 1, made[1]);
            return made;
        } catch (RuntimeException e) {
            Allocations.close(made);
            throw e;
        }
    }

    private TwoSided.Estimate estimate(SmallMatrix left, SmallMatrix right, int columns, int k) {
        return new TwoSided(y.device(), left, right, y.rows(), z.rows(), columns, random).leading(k);
    }

    /** A power of two near the largest element, by which Y and Z are divided. */
    private double unit() {
        Batches.checkFinite("sketch of the gradient", y);
        Batches.checkFinite("sketch of the gradient", z);
        return ThinColumns.powerOfTwo(Math.max(Math.abs(y.device().largest(y)), Math.abs(y.device().largest(z))));
    }

    /** How many of {@code values} are above rounding for factors of these shapes. */
    static int rank(double[] values, Matrix q, Matrix p) {
        double threshold = 8 * q.type().unitRoundoff() * Math.sqrt(Math.max(q.rows(), p.rows())) * values[0];
        int rank = 0;
        while (rank < values.length && values[rank] > threshold) {
            rank++;
        }
        return rank;
    }

    /** Gives each pair the sign that makes the entry of v of largest magnitude positive. */
    static void fixSigns(Matrix u, Matrix vt) {
        Device device = u.device();
        for (long i = 0; i < u.cols(); i++) {
            Matrix v = vt.rows(i, i + 1);
            if (device.largest(v) < 0) {
                device.scale(-1, v);
                device.scale(-1, u.columns(i, i + 1));
            }
        }
    }
}
