package org.lora4j.gradient;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.svd.SingularTriplets;

/** A gradient G = Σ dYᵀ·X (m×n) that is not held as a matrix, but whose leading singular triplets can be had. */
public interface GradientSource {
    /** The device that computes and gets the triplets. */
    Device device();

    /** How the elements are stored. */
    DataType type();

    /** m, the out features. */
    long rows();

    /** n, the in features. */
    long cols();

    /**
     * The {@code k} leading singular triplets of G. The caller closes them; the source stays as it is, takes more
     * batches, and can be asked again. The same batches and the same seed give the same answer.
     *
     * @param k at least 1; its largest value is each class's own
     * @param seed of the vectors that complete the basis of a G of low rank
     * @throws IllegalArgumentException for a {@code k} out of range, or a NaN or an infinity in what was accumulated
     */
    SingularTriplets top(int k, long seed);

    /** The 2r leading triplets, which a LoRA-GA start of rank r takes. */
    default SingularTriplets finish(int r) {
        return top(Math.multiplyExact(2, r), 0);
    }
}
