package org.lora4j;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * A linear layer Y = X·W'ᵀ + bias with the effective weight W' = W_fz + η·B·A: a frozen weight and a low-rank adapter
 * (Hu et al., arXiv 2106.09685).
 *
 * <p>With m out features, n in features, rank r and b batch rows:
 * <pre>
 * forward    T = η·X·Aᵀ          Y = X·W_fzᵀ + T·Bᵀ + bias
 * backward   dT = η·dY·B         dX = dY·W_fz + dT·A        dA += dTᵀ·X      dB += dYᵀ·T
 * </pre>
 * The frozen weight and the adapter share one buffer, bordered so that each sum above is a single product:
 * <pre>
 *     | W_fz  bias  B |          input            [ X | 1 | T ]
 * P = |  A     ·    · |          output gradient  [ dY | dT ]
 * </pre>
 * Y = [X|1|T]·[W_fz|bias|B]ᵀ and dX = [dY|dT]·[W_fz;A]: two products forward, four backward, Y and dX written once.
 * For that X must be {@link #input} and dY {@link #outputGradient}, which have the spare columns behind them; any other
 * X or dY is taken where it stands and costs one product more.
 *
 * <p>Forward and backward allocate nothing. The layer's memory is freed by {@link #close()}. The errors of
 * {@link Device} apply to every method.
 */
public final class LoraLinear implements AutoCloseable {
    private final Device device;
    private final LoraConfig config;
    private final DataType type;
    private final long outFeatures;
    private final long inFeatures;
    private final long maxBatch;
    private final BorderedWeight weights; // P
    private final FusedPasses passes;
    private final List<Runnable> closers = new ArrayList<>();

    private long lastInput; // the address of X in the last forward
    private long lastLeadingDimension;
    private long lastBatch = -1; // and its rows; −1 when there is no T for a backward
    private boolean closed;

    /**
     * Makes a layer whose weight, bias, A and B are zero.
     *
     * @param maxBatch the most rows that forward and backward will be given
     * @throws IllegalArgumentException for a size below 1
     */
    public LoraLinear(Device device, LoraConfig config, DataType type, long outFeatures, long inFeatures, boolean hasBias, long maxBatch) {
        if (outFeatures < 1 || inFeatures < 1 || maxBatch < 1) {
            throw new IllegalArgumentException("outFeatures " + outFeatures + ", inFeatures " + inFeatures + ", maxBatch " + maxBatch
                    + ": each must be at least 1");
        }
        this.device = Objects.requireNonNull(device, "device");
        this.config = Objects.requireNonNull(config, "config");
        this.type = Objects.requireNonNull(type, "type");
        this.outFeatures = outFeatures;
        this.inFeatures = inFeatures;
        this.maxBatch = maxBatch;
        try {
            weights = new BorderedWeight(device, config, type, outFeatures, inFeatures, hasBias);
            closers.add(weights::close);
            passes = new FusedPasses(device, config, type, weights, maxBatch, closers);
        } catch (RuntimeException e) {
            closers.forEach(Runnable::run);
            throw e;
        }
    }

    // ---- weights

    /**
     * Loads the pretrained weight and sets A and B to zero: the layer then computes X·W0ᵀ + bias.
     *
     * @param w0 m×n in host memory, rows {@code leadingDimension} elements apart
     */
    public void load(MemorySegment w0, long leadingDimension) {
        checkUnmerged("load");
        device.copyIn(w0, leadingDimension, weights.weight);
        weights.clearAdapter();
    }

    /** Loads the pretrained weight (m×n) from a matrix of the same device and sets A and B to zero. */
    public void load(Matrix w0) {
        checkUnmerged("load");
        device.copy(w0, weights.weight);
        weights.clearAdapter();
    }

    /**
     * Makes A0 and B0 the adapter and keeps the effective weight: W_fz ← W' − η·B0·A0 (oracle of every pre-filled start).
     *
     * @param a0 r×n on this layer's device, of its type or what that is summed in, not modified; not a view of this layer
     * @param b0 m×r likewise
     */
    public void prefill(Matrix a0, Matrix b0) {
        checkUnmerged("prefill");
        check("a0", a0, a0.type() == type.accumulation() ? a0.type() : type, config.rank(), inFeatures);
        check("b0", b0, b0.type() == type.accumulation() ? b0.type() : type, outFeatures, config.rank());
        weights.prefill(a0, b0);
    }

    /** out ← W_fz + η·B·A, the weight that the layer applies; {@code out} is m×n, of the layer's type or what that is summed in. */
    public void effectiveWeight(Matrix out) {
        checkUsable();
        check("out", out, out.type() == type.accumulation() ? out.type() : type, outFeatures, inFeatures);
        weights.effective(out);
    }

    /**
     * Makes W' = W_fz + η·B·A, which forward then multiplies by, by one product (and one with the bias); backward is refused. W_fz is kept beside
     * it, untouched.
     *
     * @throws IllegalStateException when it is merged already
     */
    public void merge() {
        checkUnmerged("merge");
        weights.merge();
    }

    /**
     * Goes back to the frozen weight, which is exactly as it was before {@link #merge}, and frees W'.
     *
     * @throws IllegalStateException when the adapter is not merged
     */
    public void unmerge() {
        checkUsable();
        if (!weights.isMerged()) {
            throw new IllegalStateException("unmerge: the adapter is not merged");
        }
        weights.unmerge();
    }

    /** Whether the adapter is merged into the weight. */
    public boolean isMerged() {
        return weights.isMerged();
    }

    /** Whether the adapter may be other than zero: from the first time that it was set, or A or B was handed out. */
    public boolean isAdapted() {
        return weights.isAdapted();
    }

    // ---- passes

    /** The first {@code batch} rows (b×n) of the layer's own input, which has T's columns behind it. Contents are kept. */
    public Matrix input(long batch) {
        checkBatch(batch);
        return passes.inputs.values(batch);
    }

    /** The first {@code batch} rows (b×m) of the layer's own output gradient, which has dT's columns behind it. */
    public Matrix outputGradient(long batch) {
        checkBatch(batch);
        return passes.outputGradients.values(batch);
    }

    /**
     * Y = X·W'ᵀ + bias by two products, three if {@code x} is not {@link #input}; one or two while merged.
     *
     * @param x b×n with b from 0 to maxBatch; not modified
     * @param y b×m, overwritten
     */
    public void forward(Matrix x, Matrix y) {
        long b = x.rows();
        checkBatch(b);
        check("x", x, type, b, inFeatures);
        check("y", y, type, b, outFeatures);
        if (y.overlaps(x)) {
            throw new IllegalArgumentException("y overlaps x in memory");
        }
        lastBatch = -1;
        passes.forward(x, y);
        if (!weights.isMerged()) {
            lastInput = x.segment().address();
            lastLeadingDimension = x.leadingDimension();
            lastBatch = b;
        }
    }

    /**
     * dA += dTᵀ·X, dB += dYᵀ·T and, where it is wanted, dX = dY·W'. Four products, one more if {@code dy} is not
     * {@link #outputGradient}, one less without dX.
     *
     * @param x what the last {@link #forward} was given
     * @param dy b×m; not modified
     * @param dx b×n, overwritten; may be the same memory as {@code x}; null if it is not wanted
     * @throws IllegalStateException when the last forward had another input, or while the adapter is merged
     */
    public void backward(Matrix x, Matrix dy, Matrix dx) {
        checkUnmerged("backward");
        long b = x.rows();
        check("x", x, type, b, inFeatures);
        check("dy", dy, type, b, outFeatures);
        if (dx != null) {
            check("dx", dx, type, b, inFeatures);
            if (dx.overlaps(dy)) {
                throw new IllegalArgumentException("dx overlaps dy in memory");
            }
        }
        if (b != lastBatch || x.segment().address() != lastInput || x.leadingDimension() != lastLeadingDimension) {
            throw new IllegalStateException("backward: x must be the input of the last forward, which "
                    + (lastBatch < 0 ? "has not been, or failed, or was merged, or was overwritten by dx" : "had " + lastBatch + " rows" + (b == lastBatch ? " at another place" : "; this has " + b)));
        }
        boolean overwritten = dx != null && dx.overlaps(x);
        if (overwritten) {
            lastBatch = -1; // X is gone: no second backward
        }
        passes.backward(x, dy, dx);
    }

    /** dA ← 0 and dB ← 0. */
    public void zeroGradients() {
        checkUsable();
        device.fill(passes.gradA, 0);
        device.fill(passes.gradB, 0);
    }

    // ---- parts

    /** W_fz (m×n), for reading and writing; while the adapter is merged W', a matrix of its own that {@link #unmerge} closes. */
    public Matrix weight() {
        return weights.applied();
    }

    /** The bias (m×1), for reading and writing; null for a layer without one. */
    public Matrix bias() {
        return weights.bias;
    }

    /** A (r×n), for reading and writing. What is written while the adapter is merged counts after {@link #unmerge}. */
    public Matrix loraA() {
        return weights.loraA();
    }

    /** B (m×r), for reading and writing. What is written while the adapter is merged counts after {@link #unmerge}. */
    public Matrix loraB() {
        return weights.loraB();
    }

    /** dA (r×n), the sum since {@link #zeroGradients}; float32 for a layer of 16-bit numbers. */
    public Matrix gradA() {
        return passes.gradA;
    }

    /** dB (m×r), the sum since {@link #zeroGradients}; float32 for a layer of 16-bit numbers. */
    public Matrix gradB() {
        return passes.gradB;
    }

    /** The device whose memory and operations the layer uses. */
    public Device device() {
        return device;
    }

    /** Rank and scale of the adapter. */
    public LoraConfig config() {
        return config;
    }

    /** The type of all of the layer's matrices but dA and dB, which have what that type is summed in. */
    public DataType type() {
        return type;
    }

    /** m, the length of an output row. */
    public long outFeatures() {
        return outFeatures;
    }

    /** n, the length of an input row. */
    public long inFeatures() {
        return inFeatures;
    }

    private void checkUsable() {
        device.checkOwned();
        if (closed) {
            throw new IllegalStateException("the layer is closed");
        }
    }

    private void checkUnmerged(String what) {
        checkUsable();
        if (weights.isMerged()) {
            throw new IllegalStateException(what + ": the adapter is merged; unmerge it first");
        }
    }

    private void checkBatch(long batch) {
        checkUsable();
        if (batch < 0 || batch > maxBatch) {
            throw new IllegalArgumentException("batch " + batch + ": this layer takes 0 to " + maxBatch + " rows");
        }
    }

    /** Refuses what a product would refuse, before the first of several products has changed anything. */
    private void check(String name, Matrix a, DataType expected, long rows, long cols) {
        if (a.rows() != rows || a.cols() != cols || a.type() != expected || a.device() != device) {
            throw new IllegalArgumentException(name + " is " + a.type() + " " + a.rows() + "×" + a.cols() + ", should be " + expected + " " + rows
                    + "×" + cols + (a.device() == device ? "" : " and on this layer's device, not another"));
        }
        a.segment(); // throws where it is closed
    }

    /** Frees the layer's memory. Closing again does nothing. */
    @Override
    public void close() {
        closers.forEach(Runnable::run);
        closed = true;
    }
}
