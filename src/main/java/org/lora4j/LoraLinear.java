package org.lora4j;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

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
    private final double eta;
    private final long tColumn; // where B starts in a row of P, and T in a row of the input
    private final long dtColumn; // the first row of A in P, and where dT starts in a row of the output gradient

    private final Matrix parameters; // P (dtColumn + r, tColumn + r)
    private final Matrix outBlock; // [W_fz|bias|B] (m, tColumn + r)
    private final Matrix outBorder; // [bias|B] (m, tColumn − n + r)
    private final Matrix inBlock; // [W_fz;A] (dtColumn + r, n)
    private final Matrix inBorder; // A below padding (dtColumn − m + r, n)
    private final Matrix weight; // W_fz (m, n)
    private final Matrix bias; // (m, 1), or null
    private final Matrix loraA; // (r, n)
    private final Matrix loraB; // (m, r)
    private final Matrix gradA; // (r, n)
    private final Matrix gradB; // (m, r)
    private final Activation inputs; // [X|1|T]
    private final Activation outputGradients; // [dY|dT]
    private final List<Runnable> closers = new ArrayList<>();

    private Matrix frozen; // a copy of W_fz while the adapter is merged, else null
    private boolean adapted; // whether A and B may be other than zero
    private long lastInput; // the address of X in the last forward
    private long lastBatch = -1;

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
        this.eta = config.eta();
        int rank = config.rank();
        tColumn = roundUp(inFeatures + (hasBias ? 1 : 0));
        dtColumn = roundUp(outFeatures);
        try {
            parameters = own(device.allocate(type, dtColumn + rank, tColumn + rank, roundUp(tColumn + rank)));
            gradA = own(device.allocate(type, rank, inFeatures));
            gradB = own(device.allocate(type, outFeatures, rank));
            inputs = new Activation(device, type, maxBatch, inFeatures, tColumn, rank, hasBias);
            closers.add(inputs::close);
            outputGradients = new Activation(device, type, maxBatch, outFeatures, dtColumn, rank, false);
            closers.add(outputGradients::close);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
        outBlock = parameters.rows(0, outFeatures);
        outBorder = outBlock.columns(inFeatures, tColumn + rank);
        inBlock = parameters.columns(0, inFeatures);
        inBorder = inBlock.rows(outFeatures, dtColumn + rank);
        weight = parameters.view(0, outFeatures, 0, inFeatures);
        bias = hasBias ? outBorder.columns(0, 1) : null;
        loraA = inBlock.rows(dtColumn, dtColumn + rank);
        loraB = outBlock.columns(tColumn, tColumn + rank);
    }

    private Matrix own(Matrix m) {
        closers.add(m::close);
        return m;
    }

    private long roundUp(long elements) {
        return device.aligned(type, elements);
    }

    // ---- weights

    /**
     * Loads the pretrained weight and sets A and B to zero: the layer then computes X·W0ᵀ + bias.
     *
     * @param w0 m×n in host memory, rows {@code leadingDimension} elements apart
     */
    public void load(MemorySegment w0, long leadingDimension) {
        requireUnmerged("load");
        device.copyIn(w0, leadingDimension, weight);
        clearAdapter();
    }

    /** Loads the pretrained weight (m×n) from a matrix of the same device and sets A and B to zero. */
    public void load(Matrix w0) {
        requireUnmerged("load");
        device.copy(w0, weight);
        clearAdapter();
    }

    private void clearAdapter() {
        if (adapted) {
            device.fill(loraA, 0);
            device.fill(loraB, 0);
            adapted = false;
        }
    }

    /**
     * Makes A0 and B0 the adapter and keeps the effective weight: W_fz ← W' − η·B0·A0 (oracle of every pre-filled start).
     *
     * @param a0 r×n on this layer's device, not modified
     * @param b0 m×r on this layer's device, not modified
     */
    public void prefill(Matrix a0, Matrix b0) {
        requireUnmerged("prefill");
        require("a0", a0, config.rank(), inFeatures);
        require("b0", b0, outFeatures, config.rank());
        if (adapted) {
            device.gemm(eta, loraB, Op.NONE, loraA, Op.NONE, 1, weight);
        }
        adapted = true;
        device.copy(a0, loraA);
        device.copy(b0, loraB);
        device.gemm(-eta, loraB, Op.NONE, loraA, Op.NONE, 1, weight);
    }

    /** out ← W_fz + η·B·A, the weight that the layer applies; {@code out} is m×n. */
    public void effectiveWeight(Matrix out) {
        device.copy(weight, out);
        if (frozen == null) {
            device.gemm(eta, loraB, Op.NONE, loraA, Op.NONE, 1, out);
        }
    }

    /**
     * Adds the adapter to the weight: forward is then one product, and backward is refused. A copy of W_fz is kept.
     *
     * @throws IllegalStateException when it is merged already
     */
    public void merge() {
        requireUnmerged("merge");
        Matrix copy = device.allocate(type, outFeatures, inFeatures);
        try {
            device.copy(weight, copy);
            device.gemm(eta, loraB, Op.NONE, loraA, Op.NONE, 1, weight);
        } catch (RuntimeException e) {
            copy.close();
            throw e;
        }
        frozen = copy;
    }

    /**
     * Puts back the frozen weight exactly as it was before {@link #merge}.
     *
     * @throws IllegalStateException when the adapter is not merged
     */
    public void unmerge() {
        if (frozen == null) {
            throw new IllegalStateException("unmerge: the adapter is not merged");
        }
        device.copy(frozen, weight);
        frozen.close();
        frozen = null;
    }

    /** Whether the adapter is merged into the weight. */
    public boolean isMerged() {
        return frozen != null;
    }

    // ---- passes

    /** The first {@code batch} rows (b×n) of the layer's own input, which has T's columns behind it. Contents are kept. */
    public Matrix input(long batch) {
        requireBatch(batch);
        return inputs.values(batch);
    }

    /** The first {@code batch} rows (b×m) of the layer's own output gradient, which has dT's columns behind it. */
    public Matrix outputGradient(long batch) {
        requireBatch(batch);
        return outputGradients.values(batch);
    }

    /**
     * Y = X·W'ᵀ + bias by two products, three if {@code x} is not {@link #input}; one or two while merged.
     *
     * @param x b×n with b from 0 to maxBatch; not modified
     * @param y b×m, overwritten
     */
    public void forward(Matrix x, Matrix y) {
        long b = x.rows();
        requireBatch(b);
        require("x", x, b, inFeatures);
        require("y", y, b, outFeatures);
        lastBatch = -1;
        boolean beside = inputs.holds(x);
        long spare = frozen == null ? tColumn - inFeatures + config.rank() : bias == null ? 0 : 1; // columns of [1|T] in use
        if (frozen == null) {
            device.gemm(b, config.rank(), inFeatures, eta, x, Op.NONE, loraA, Op.TRANSPOSE, 0, inputs.t(beside));
        }
        if (beside) {
            device.gemm(b, outFeatures, inFeatures + spare, 1, inputs.bordered(), Op.NONE, outBlock, Op.TRANSPOSE, 0, y);
        } else {
            device.gemm(b, outFeatures, inFeatures, 1, x, Op.NONE, weight, Op.TRANSPOSE, 0, y);
            if (spare > 0) {
                device.gemm(b, outFeatures, spare, 1, inputs.border, Op.NONE, outBorder, Op.TRANSPOSE, 1, y);
            }
        }
        lastInput = x.segment().address();
        lastBatch = b;
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
        requireUnmerged("backward");
        long b = x.rows();
        require("x", x, b, inFeatures);
        require("dy", dy, b, outFeatures);
        if (dx != null) {
            require("dx", dx, b, inFeatures);
            if (dx.overlaps(dy)) {
                throw new IllegalArgumentException("dx overlaps dy in memory");
            }
        }
        if (b != lastBatch || x.segment().address() != lastInput) {
            throw new IllegalStateException("backward: x must be the input of the last forward, which "
                    + (lastBatch < 0 ? "has not been" : "had " + lastBatch + " rows" + (b == lastBatch ? " at another place" : "; this has " + b)));
        }
        int r = config.rank();
        boolean beside = outputGradients.holds(dy);
        Matrix t = inputs.t(inputs.holds(x)); // (b, r)
        Matrix dt = outputGradients.t(beside); // (b, r)
        device.gemm(b, r, outFeatures, eta, dy, Op.NONE, loraB, Op.NONE, 0, dt);
        device.gemm(outFeatures, r, b, 1, dy, Op.TRANSPOSE, t, Op.NONE, 1, gradB);
        device.gemm(r, inFeatures, b, 1, dt, Op.TRANSPOSE, x, Op.NONE, 1, gradA);
        if (dx == null) {
            return;
        }
        if (beside) {
            device.gemm(b, inFeatures, dtColumn + r, 1, outputGradients.bordered(), Op.NONE, inBlock, Op.NONE, 0, dx);
        } else {
            device.gemm(b, inFeatures, outFeatures, 1, dy, Op.NONE, weight, Op.NONE, 0, dx);
            device.gemm(b, inFeatures, dtColumn - outFeatures + r, 1, outputGradients.border, Op.NONE, inBorder, Op.NONE, 1, dx);
        }
    }

    /** dA ← 0 and dB ← 0. */
    public void zeroGradients() {
        device.fill(gradA, 0);
        device.fill(gradB, 0);
    }

    // ---- parts

    /** W_fz (m×n), for reading and writing; W' while the adapter is merged. */
    public Matrix weight() {
        return weight;
    }

    /** The bias (m×1), for reading and writing; null for a layer without one. */
    public Matrix bias() {
        return bias;
    }

    /** A (r×n), for reading and writing. What is written while the adapter is merged counts after {@link #unmerge}. */
    public Matrix loraA() {
        adapted = true;
        return loraA;
    }

    /** B (m×r), for reading and writing. What is written while the adapter is merged counts after {@link #unmerge}. */
    public Matrix loraB() {
        adapted = true;
        return loraB;
    }

    /** dA (r×n), the sum since {@link #zeroGradients}. */
    public Matrix gradA() {
        return gradA;
    }

    /** dB (m×r), the sum since {@link #zeroGradients}. */
    public Matrix gradB() {
        return gradB;
    }

    /** The device whose memory and operations the layer uses. */
    public Device device() {
        return device;
    }

    /** Rank and scale of the adapter. */
    public LoraConfig config() {
        return config;
    }

    /** The type of all of the layer's matrices. */
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

    private void requireUnmerged(String what) {
        if (frozen != null) {
            throw new IllegalStateException(what + ": the adapter is merged; unmerge it first");
        }
    }

    private void requireBatch(long batch) {
        if (batch < 0 || batch > maxBatch) {
            throw new IllegalArgumentException("batch " + batch + ": this layer takes 0 to " + maxBatch + " rows");
        }
    }

    /** Refuses what a product would refuse, before the first of several products has changed anything. */
    private void require(String name, Matrix a, long rows, long cols) {
        if (a.rows() != rows || a.cols() != cols || a.type() != type || a.device() != device) {
            throw new IllegalArgumentException(name + " is " + a.type() + " " + a.rows() + "×" + a.cols() + ", should be " + type + " " + rows
                    + "×" + cols + (a.device() == device ? "" : " and on this layer's device, not another"));
        }
        a.segment(); // throws where it is closed
    }

    /** Frees the layer's memory. Closing again does nothing. */
    @Override
    public void close() {
        closers.forEach(Runnable::run);
        if (frozen != null) {
            frozen.close();
        }
    }
}
