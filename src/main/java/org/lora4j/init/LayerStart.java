package org.lora4j.init;

import java.lang.foreign.MemorySegment;

import org.lora4j.device.DataType;

/**
 * The start of one layer of a model, in host memory: W_fz + η·B0·A0 = W0 to the rounding of W_fz, with A0 and B0 as they
 * are here. The segments are valid until the consumer returns, for every thread; used later they throw
 * {@link IllegalStateException}. Rows follow each other without gaps.
 *
 * @param layer whose start it is
 * @param index its place in the list, from 0
 * @param seed the layer's own
 * @param initialization scale, shift, singular values, certificate and time of the SVD
 * @param alignment cos(D, G) of the first step with the gradient ({@link org.lora4j.analysis.FirstOrderAlignment}); NaN
 *     where it wasn't asked for, or without a gradient
 * @param weight W_fz (m×n), of the type of the layer's weight
 * @param factorType how A0 and B0 are stored
 * @param a A0 (r×n)
 * @param b B0 (m×r)
 */
public record LayerStart(ModelLayer layer, int index, long seed, Initialization initialization, double alignment, MemorySegment weight,
        DataType factorType, MemorySegment a, MemorySegment b) {
    /** The layer's name. */
    public String name() {
        return layer.name();
    }
}
