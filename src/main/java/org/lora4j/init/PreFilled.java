package org.lora4j.init;

import java.util.Objects;

import org.lora4j.LoraLinear;
import org.lora4j.device.Matrix;

/**
 * Any start A0, B0: W_fz = W0 − η·B0·A0, so that the effective weight is W0.
 *
 * @param a0 r×n on the layer's device, not modified
 * @param b0 m×r on the layer's device, not modified
 */
public record PreFilled(Matrix a0, Matrix b0) implements Initializer {
    /** @throws NullPointerException when a factor is null */
    public PreFilled {
        Objects.requireNonNull(a0, "a0");
        Objects.requireNonNull(b0, "b0");
    }

    @Override
    public Initialization initialize(LoraLinear layer) {
        Starts.checkUnmerged(layer);
        double weightNorm = Starts.checkWeight(layer);
        Starts.checkFactor("a0", a0, layer.config().rank(), layer.inFeatures(), layer);
        Starts.checkFactor("b0", b0, layer.outFeatures(), layer.config().rank(), layer);
        return Starts.prefill(layer, a0, b0, "pre-filled", null, weightNorm);
    }
}
