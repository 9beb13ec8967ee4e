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

    /** How far T may be from what it should be, as {@link Reference#stored}. */
    private Reference storedT(DataType type, Reference x) {
        return t(x).stored(type, a.cols() + 1, magnitudes().t(x.magnitudes()), Reference.zeros(x.rows(), a.rows()));
    }

    /** The same of dT. */
    private Reference storedDt(DataType type, Reference dy) {
        return dt(dy).stored(type, b.rows() + 1, magnitudes().dt(dy.magnitudes()), Reference.zeros(dy.rows(), b.cols()));
    }

    /** T·Bᵀ + bias. */
    private Reference ofBorder(Reference x) {
        Reference product = t(x).times(b.transpose());
        return bias == null ? product : product.plus(1, ones(x.rows()).times(bias));
    }

    /** @param own whether X was the layer's own, and Y one product; of any other, T·Bᵀ + bias is stored before X·W_fzᵀ is added */
    public void assertY(String what, Matrix actual, DataType type, Reference x, boolean own) {
        Reference carried = storedT(type, x).times(b.magnitudes().transpose());
        if (!own) {
            carried = ofBorder(x).stored(type, a.rows() + 2, magnitudes().ofBorder(x.magnitudes()), carried);
        }
        y(x).assertClose(what + ", Y", Reference.of(actual), type, a.cols() + a.rows() + 2, magnitudes().y(x.magnitudes()), carried);
    }

    /** The same while merged: W' was stored. */
    public void assertMergedY(String what, Matrix actual, DataType type, Reference x) {
        Reference w = effectiveWeight();
        Reference ofW = w.stored(type, a.rows() + 2, magnitudes().effectiveWeight(), Reference.zeros(w.rows(), w.cols()));
        Reference carried = x.magnitudes().times(ofW.transpose());
        y(x).assertClose(what + ", Y", Reference.of(actual), type, a.cols() + a.rows() + 2, magnitudes().y(x.magnitudes()), carried);
    }

    /** @param own whether dY was the layer's own, and dX one product */
    public void assertDx(String what, Matrix actual, DataType type, Reference dy, boolean own) {
        Reference carried = storedDt(type, dy).times(a.magnitudes());
        if (!own) {
            carried = dt(dy).times(a).stored(type, b.cols() + 1, magnitudes().dt(dy.magnitudes()).times(a.magnitudes()), carried);
        }
        dx(dy).assertClose(what + ", dX", Reference.of(actual), type, b.rows() + b.cols() + 1, magnitudes().dx(dy.magnitudes()), carried);
    }

    /** That the layer's gradients, which are not of 16 bits, are {@code times} those of x and dy. */
    public void assertGradients(String what, LoraLinear layer, Reference x, Reference dy, int times) {
        DataType type = layer.type();
        Reference absX = x.magnitudes();
        Reference absDy = dy.magnitudes();
        dA(x, dy).times(times).assertClose(what + ", dA", Reference.of(layer.gradA()), type.accumulation(), times * x.rows() + b.rows() + 1,
                magnitudes().dA(absX, absDy).times(times), storedDt(type, dy).transpose().times(absX).times(times));
        dB(x, dy).times(times).assertClose(what + ", dB", Reference.of(layer.gradB()), type.accumulation(), times * x.rows() + a.cols() + 1,
                magnitudes().dB(absX, absDy).times(times), absDy.transpose().times(storedT(type, x)).times(times));
    }

    private static Reference ones(int rows) {
        Reference ones = Reference.zeros(rows, 1);
        java.util.Arrays.fill(ones.data(), 1);
        return ones;
    }
}
