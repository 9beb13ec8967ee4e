package org.lora4j.svd;

import org.lora4j.device.Matrix;

/** A method for the leading singular triplets. */
public interface TopSvd {
    /**
     * The {@code k} leading singular triplets of {@code g}, on g's device. The same seed gives the same answer.
     *
     * @param g m×n, finite, not modified; its scale doesn't matter, from the smallest normal number to the largest
     * @param k from 1 to min(m, n)
     * @param seed of whatever is random in the method, and of the vectors that complete the basis of a g of low rank
     * @throws IllegalArgumentException for a {@code k} out of range, or a NaN or an infinity in g
     */
    SingularTriplets top(Matrix g, int k, long seed);
}
