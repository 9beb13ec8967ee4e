package org.lora4j;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * A frozen weight and its adapter in one buffer, such that blocks of it are the operands of the fused products:
 * <pre>
 *     | W_fz  bias  B |
 * P = |  A     ·    · |
 * </pre>
 * B and A start at whole blocks of the device's alignment; what lies between is zero.
 */
final class BorderedWeight implements AutoCloseable {
    private final Device device;
    private final DataType type;
    private final double eta;
    private final Matrix parameters; // P (aRow + r, bColumn + r)
    private Matrix merged; // W' while the adapter is merged, else null
    private boolean adapted; // whether A and B may be other than zero: once they were set or handed out, for good

    /** Where B starts in a row of P, and T in a row of the input. */
    final long bColumn;
    /** The first row of A in P, and where dT starts in a row of the output gradient. */
    final long aRow;
    /** [W_fz|bias|B] (m, bColumn + r). */
    final Matrix out;
    /** [bias|B] (m, bColumn − n + r). */
    final Matrix outBorder;
    /** [W_fz;A] (aRow + r, n). */
    final Matrix in;
    /** A below its padding (aRow − m + r, n). */
    final Matrix inBorder;
    /** W_fz (m, n). */
    final Matrix weight;
    /** The bias (m, 1), or null. */
    final Matrix bias;
    private final Matrix loraA; // (r, n)
    private final Matrix loraB; // (m, r)

    BorderedWeight(Device device, LoraConfig config, DataType type, long m, long n, boolean hasBias) {
        this.device = device;
        this.type = type;
        this.eta = config.eta();
        int r = config.rank();
        bColumn = device.aligned(type, n + (hasBias ? 1 : 0));
        aRow = device.aligned(type, m);
        parameters = device.allocate(type, aRow + r, bColumn + r, device.aligned(type, bColumn + r));
        out = parameters.rows(0, m);
        outBorder = out.columns(n, bColumn + r);
        in = parameters.columns(0, n);
        inBorder = in.rows(m, aRow + r);
        weight = parameters.view(0, m, 0, n);
        bias = hasBias ? outBorder.columns(0, 1) : null;
        loraA = in.rows(aRow, aRow + r);
        loraB = out.columns(bColumn, bColumn + r);
    }

    /** A (r, n), to be written by whoever asks. */
    Matrix loraA() {
        adapted = true;
        return loraA;
    }

    /** B (m, r), to be written by whoever asks. */
    Matrix loraB() {
        adapted = true;
        return loraB;
    }

    /** A, to be read only. */
    Matrix a() {
        return loraA;
    }

    /** B, to be read only. */
    Matrix b() {
        return loraB;
    }

    boolean isMerged() {
        return merged != null;
    }

    /** What X is multiplied by: W' while merged, else W_fz. */
    Matrix applied() {
        return merged != null ? merged : weight;
    }

    boolean isAdapted() {
        return adapted;
    }

    /** A ← 0 and B ← 0. */
    void clearAdapter() {
        if (adapted) {
            device.fill(loraA, 0);
            device.fill(loraB, 0);
        }
    }

    /** A ← A0, B ← B0 and W_fz ← W' − η·B0·A0, where W' is the effective weight so far. */
    void prefill(Matrix a0, Matrix b0) {
        if (a0.sharesMemoryWith(parameters) || b0.sharesMemoryWith(parameters)) {
            throw new IllegalArgumentException("prefill: a0 and b0 must not be views of this layer's own matrices");
        }
        if (adapted) {
            addAdapter(eta, weight);
        }
        adapted = true;
        device.convert(a0, loraA);
        device.convert(b0, loraB);
        addAdapter(-eta, weight);
    }

    /** target ← W'. */
    void effective(Matrix target) {
        device.convert(applied(), target);
        if (merged == null) {
            addAdapter(eta, target);
        }
    }

    /** Makes W' beside W_fz. */
    void merge() {
        merged = device.addmm(weight, eta, loraB, Op.NONE, loraA, Op.NONE);
    }

    /** Drops W'. */
    void unmerge() {
        merged.close();
        merged = null;
    }

    private void addAdapter(double factor, Matrix target) {
        device.gemm(factor, loraB, Op.NONE, loraA, Op.NONE, 1, target);
    }

    @Override
    public void close() {
        parameters.close();
        if (merged != null) {
            merged.close();
        }
    }
}
