package org.lora4j.init;

import java.util.Random;
import java.util.function.ToDoubleFunction;

import org.lora4j.LoraLinear;
import org.lora4j.device.Matrix;

/** A random, B = 0: the adapter starts as nothing (Hu et al., arXiv 2106.09685, section 4.1). */
public final class PlainLora implements Initializer {
    private final String method;
    private final long seed;
    private final Distribution distribution;

    private interface Distribution {
        ToDoubleFunction<Random> of(LoraLinear layer);
    }

    private PlainLora(String method, long seed, Distribution distribution) {
        this.method = method;
        this.seed = seed;
        this.distribution = distribution;
    }

    /** A uniform in ±1/√n: Kaiming-uniform with a = √5, the default of PyTorch's Linear and of PEFT. */
    public static PlainLora kaimingUniform(long seed) {
        return new PlainLora("lora", seed, layer -> {
            double bound = 1 / Math.sqrt(layer.inFeatures());
            return random -> (2 * random.nextDouble() - 1) * bound;
        });
    }

    /** A normal with standard deviation 1/r, PEFT's {@code init_lora_weights="gaussian"}. */
    public static PlainLora gaussian(long seed) {
        return new PlainLora("lora-gaussian", seed, layer -> random -> random.nextGaussian() / layer.config().rank());
    }

    @Override
    public Initialization initialize(LoraLinear layer) {
        Starts.checkUnmerged(layer);
        double weightNorm = Starts.checkWeight(layer);
        int r = layer.config().rank();
        Random random = new Random(seed);
        ToDoubleFunction<Random> next = distribution.of(layer);
        double[] a = new double[Math.toIntExact(r * layer.inFeatures())];
        for (int i = 0; i < a.length; i++) {
            a[i] = next.applyAsDouble(random);
        }
        try (Matrix a0 = layer.device().temporary(layer.type().accumulation(), r, layer.inFeatures());
                Matrix b0 = layer.device().temporary(layer.type().accumulation(), layer.outFeatures(), r)) {
            a0.write(a);
            return Starts.prefill(layer, a0, b0, method, null, weightNorm);
        }
    }
}
