package org.lora4j.gradient;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.SingularTriplets;

/**
 * A further pass over the same micro-batches, from bases Q (m×c) and P (n×c) of the leading singular vectors that the pass
 * before found: G·P and Gᵀ·Q are accumulated. Together they show G but for (I − QQᵀ)·G·(I − PPᵀ), and the triplets are taken
 * within [Q, G·P] and [P, Gᵀ·Q], as {@link GradientSketch} takes those of its own two products.
 *
 * <p>c is about l/2, so that all of it takes (m+n)·l elements beside a workspace of a tenth of that. The error falls with
 * each pass as in any subspace iteration, by about (σ_c/σₖ)² in the direction of the k-th vectors: fast where the singular
 * values fall fast. The certificate is estimated as that of {@link GradientSketch} is, from the same columns.
 */
public final class GradientRefinement implements GradientSource, AutoCloseable {
    private final Device device;
    private final int pass;
    private final Matrix q; // (m,c)
    private final Matrix p; // (n,c)
    private final Matrix range; // [G·P, G·Θ] (m,c+probes)
    private final Matrix coRange; // [Gᵀ·Q, Gᵀ·Ξ] (n,c+probes)
    private final SignMatrix omega; // its last columns are Θ
    private final SignMatrix psi; // its last columns are Ξ
    private final Matrix block; // their workspace
    private final Matrix panel; // X·P or dY·Q of some rows of a micro-batch
    private boolean closed;

    /**
     * Takes over the matrices it is given, unless it throws.
     *
     * @param range of which the last columns are G·Θ, the others 0
     * @param coRange of which the last columns are Gᵀ·Ξ, the others 0
     */
    GradientRefinement(Matrix q, Matrix p, Matrix range, Matrix coRange, SignMatrix omega, SignMatrix psi, Matrix block, int pass) {
        this.device = q.device();
        this.panel = device.allocate(q.type(), Math.clamp((q.rows() + p.rows()) / 16, 16, 1024), q.cols());
        this.pass = pass;
        this.q = q;
        this.p = p;
        this.range = range;
        this.coRange = coRange;
        this.omega = omega;
        this.psi = psi;
        this.block = block;
    }

    /**
     * Adds a micro-batch. All of those that the first pass saw are to be added, each once, in any order.
     *
     * @param x the layer's input, b×n, not modified
     * @param dy gradient of the loss with respect to the layer's output, b×m, not modified
     * @throws IllegalArgumentException when shape, type or device is wrong; nothing was added then
     */
    public void update(Matrix x, Matrix dy) {
        Batches.checkOpen(closed, "gradient refinement");
        Batches.check(device, q.type(), q.rows(), p.rows(), x, dy);
        for (long i = 0; i < x.rows(); i += panel.rows()) {
            long to = Math.min(i + panel.rows(), x.rows());
            Matrix xRows = x.rows(i, to);
            Matrix dyRows = dy.rows(i, to);
            Matrix image = panel.rows(0, to - i);
            device.gemm(1, xRows, Op.NONE, p, Op.NONE, 0, image);
            device.gemm(1, dyRows, Op.TRANSPOSE, image, Op.NONE, 1, range.columns(0, columns()));
            device.gemm(1, dyRows, Op.NONE, q, Op.NONE, 0, image);
            device.gemm(1, xRows, Op.TRANSPOSE, image, Op.NONE, 1, coRange.columns(0, columns()));
        }
    }

    /**
     * {@inheritDoc}
     *
     * @param k at most c, {@link #columns()}
     */
    @Override
    public SingularTriplets top(int k, long completion) {
        Batches.checkOpen(closed, "gradient refinement");
        device.checkOwned();
        Batches.checkCount(k, columns(), "from a refinement of " + columns() + " columns");
        return pair().top(k, completion, pass);
    }

    private SketchPair pair() {
        return new SketchPair(range, test(q, psi), coRange, test(p, omega), columns(), false);
    }

    /** [basis, the last columns of signs]. */
    private TestMatrix test(Matrix basis, SignMatrix signs) {
        return (first, target) -> {
            device.convert(basis.rows(first, first + target.rows()), target.columns(0, basis.cols()));
            signs.rows(first, target.columns(basis.cols(), target.cols()));
        };
    }

    /** Turns this pass into the next one, of the same size: this one is closed. */
    public GradientRefinement refine() {
        Batches.checkOpen(closed, "gradient refinement");
        device.checkOwned();
        Matrix[] bases = pair().bases(columns(), 0);
        try {
            GradientRefinement next = new GradientRefinement(bases[0], bases[1], range, coRange, omega, psi, block, pass + 1);
            device.fill(range.columns(0, columns()), 0);
            device.fill(coRange.columns(0, columns()), 0);
            Allocations.close(q, p, panel);
            closed = true;
            return next;
        } catch (RuntimeException e) {
            Allocations.close(bases);
            throw e;
        }
    }

    /** c, the columns of each basis. */
    public int columns() {
        return (int) q.cols();
    }

    /** Which pass over the data this is, from 2. */
    public int pass() {
        return pass;
    }

    @Override
    public Device device() {
        return device;
    }

    @Override
    public DataType type() {
        return q.type();
    }

    @Override
    public long rows() {
        return q.rows();
    }

    @Override
    public long cols() {
        return p.rows();
    }

    /** Frees what it holds. Closing again does nothing. */
    @Override
    public void close() {
        if (!closed) {
            Allocations.close(q, p, range, coRange, block, panel);
            closed = true;
        }
    }
}
