package org.lora4j.init;

import java.util.Objects;

import org.lora4j.LoraConfig;

/**
 * One of a model's layers that get an adapter, for {@link ModelInitializer}.
 *
 * @param name no other layer's
 * @param outFeatures m, from 1
 * @param inFeatures n, from 1
 * @param config rank and scale of its adapter
 * @param weight W0 (m×n)
 * @param gradient G (m×n) at W0; null for a start that takes none
 */
public record ModelLayer(String name, long outFeatures, long inFeatures, LoraConfig config, TensorSource weight, TensorSource gradient) {
    /** @throws IllegalArgumentException for a size below 1, or matrices beyond any memory */
    public ModelLayer {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(config, "config");
        Objects.requireNonNull(weight, "weight");
        if (outFeatures < 1 || inFeatures < 1) {
            throw new IllegalArgumentException("layer " + name + " of " + outFeatures + "×" + inFeatures + ": each size must be at least 1");
        }
        double elements = (double) outFeatures * inFeatures + (double) config.rank() * (outFeatures + inFeatures);
        if (elements > 0x1p58) {
            throw new IllegalArgumentException("layer " + name + " of " + outFeatures + "×" + inFeatures + " with rank " + config.rank()
                    + ": its matrices have more than 2^58 elements");
        }
    }

    /** m·n·r, in proportion to which a start takes time. */
    double work() {
        return (double) outFeatures * inFeatures * config.rank();
    }
}
