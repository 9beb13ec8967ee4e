package org.lora4j.init;

import org.lora4j.device.Matrix;

/** Which {@link Initializer} a layer of a model gets; for example {@code (layer, gradient, seed) -> new Pissa(seed, svd)}. */
@FunctionalInterface
public interface LayerMethod {
    /**
     * Chooses. A gradient that was never a matrix may be looked up by the layer's name here, instead of being read.
     *
     * @param gradient G (m×n) on the device, until the initialiser is done; null where the layer has none
     * @param seed the layer's own
     */
    Initializer of(ModelLayer layer, Matrix gradient, long seed);

    /** {@link LoraGa} in the paper's form with the given scale. */
    static LayerMethod loraGa(Scale scale) {
        return (layer, gradient, seed) -> {
            if (gradient == null) {
                throw new IllegalArgumentException("the layer has no gradient; LoRA-GA needs one");
            }
            return LoraGa.of(gradient).withScale(scale).withSeed(seed);
        };
    }
}
