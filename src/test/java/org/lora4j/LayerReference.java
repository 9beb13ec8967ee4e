package org.lora4j;

import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** A linear layer with an adapter as plain loops in float64; bias is 1×m, or null. */
public record LayerReference(LoraConfig config, Reference weight, Reference bias, Reference a, Reference b) {
    public static LayerReference random(LoraConfig config, int m, int n, boolean hasBias, DataType type, Random random) {
        return new LayerReference(config, Reference.random(m, n, type, random), hasBias ? Reference.random(1, m, type, random) : null,
                Reference.random(config.rank(), n, type, random), Reference.random(m, config.rank(), type, random));
    }

    /** The layer on a device, with this frozen weight, bias, A and B. */
    public LoraLinear on(Device device, DataType type, long maxBatch) {
        LoraLinear layer = new LoraLinear(device, config, type, weight.rows(), weight.cols(), bias != null, maxBatch);
        try (Matrix w = weight.on(device, type)) {
            layer.load(w);
        }
        layer.loraA().write(a.data());
        layer.loraB().write(b.data());
        if (bias != null) {
            layer.bias().write(bias.data());
        }
        return layer;
    }

    /** Every element's magnitude: what this computes bounds the sums of magnitudes in the other's results. */
    public LayerReference magnitudes() {
        return new LayerReference(config, weight.magnitudes(), bias == null ? null : bias.magnitudes(), a.magnitudes(), b.magnitudes());
    }

    public Reference effectiveWeight() {
        return weight.plus(config.eta(), b.times(a));
    }

    /** Y = X·W_fzᵀ + T·Bᵀ + bias. */
    public Reference y(Reference x) {
        Reference y = x.times(weight.transpose()).plus(1, t(x).times(b.transpose()));
        return bias == null ? y : y.plus(1, ones(x.rows()).times(bias));
    }

    /** T = η·X·Aᵀ. */
    public Reference t(Reference x) {
        return x.times(a.transpose()).times(config.eta());
    }

    /** dT = η·dY·B. */
    public Reference dt(Reference dy) {
        return dy.times(b).times(config.eta());
    }

    /** dX = dY·W_fz + dT·A. */
    public Reference dx(Reference dy) {
        return dy.times(weight).plus(1, dt(dy).times(a));
    }

    /** dA = dTᵀ·X. */
    public Reference dA(Reference x, Reference dy) {
        return dt(dy).transpose().times(x);
    }

    /** dB = dYᵀ·T. */
    public Reference dB(Reference x, Reference dy) {
        return dy.transpose().times(t(x));
    }

    public void assertY(String what, Matrix actual, DataType type, Reference x) {
        y(x).assertClose(what + ", Y", Reference.of(actual), type, a.cols() + a.rows() + 2, magnitudes().y(x.magnitudes()));
    }

    public void assertDx(String what, Matrix actual, DataType type, Reference dy) {
        dx(dy).assertClose(what + ", dX", Reference.of(actual), type, b.rows() + b.cols() + 1, magnitudes().dx(dy.magnitudes()));
    }

    /** That the layer's gradients are {@code times} those of x and dy. */
    public void assertGradients(String what, LoraLinear layer, Reference x, Reference dy, int times) {
        dA(x, dy).times(times).assertClose(what + ", dA", Reference.of(layer.gradA()), layer.type(), times * x.rows() + b.rows() + 1,
                magnitudes().dA(x.magnitudes(), dy.magnitudes()).times(times));
        dB(x, dy).times(times).assertClose(what + ", dB", Reference.of(layer.gradB()), layer.type(), times * x.rows() + a.cols() + 1,
                magnitudes().dB(x.magnitudes(), dy.magnitudes()).times(times));
    }

    private static Reference ones(int rows) {
        Reference ones = Reference.zeros(rows, 1);
        java.util.Arrays.fill(ones.data(), 1);
        return ones;
    }
}
