package org.lora4j.gradient;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.SingularTriplets;

/**
 * A further pass over the same micro-batches, from bases Q (m×c) and P (n×c) of the leading singular vectors that the pass
 * before found: G·P and Gᵀ·Q are accumulated. Together they show G but for (I − QQᵀ)·G·(I − PPᵀ), which couples what Q lacks
 * of a left vector with what P lacks of a right one; of that, the part that goes with the wanted triplets is taken from
 * G·P·(QᵀGP)⁺·QᵀG. What is left of an error falls with each pass by about ten; {@link GradientSketch} has the
 * numbers.
 *
 * <p>c is about l/2, so that all of it takes (m+n)·l elements. All sums are linear in G. The certificate is estimated as that
 * of {@link GradientSketch} is, from the same probes.
 */
public final class GradientRefinement implements GradientSource, AutoCloseable {
    private final Device device;
    private final int pass;
    private final Matrix q; // (m,c)
    private final Matrix p; // (n,c)
    private final Matrix image; // G·P (m,c)
    private final Matrix coImage; // Gᵀ·Q (n,c)
    private final Probes probes;
    private final Matrix panel; // X·P or dY·Q of some rows of a micro-batch
    private boolean closed;

    /**
     * Takes over what it is given, unless it throws.
     *
     * @param image zeros
     * @param coImage zeros
     */
    GradientRefinement(Matrix q, Matrix p, Matrix image, Matrix coImage, Probes probes, int pass) {
        this.device = q.device();
        this.panel = device.allocate(q.type(), Math.clamp((q.rows() + p.rows()) / 16, 16, 1024), q.cols());
        this.pass = pass;
        this.q = q;
        this.p = p;
        this.image = image;
        this.coImage = coImage;
        this.probes = probes;
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
            Matrix part = panel.rows(0, to - i);
            device.gemm(1, xRows, Op.NONE, p, Op.NONE, 0, part);
            device.gemm(1, dyRows, Op.TRANSPOSE, part, Op.NONE, 1, image);
            device.gemm(1, dyRows, Op.NONE, q, Op.NONE, 0, part);
            device.gemm(1, xRows, Op.TRANSPOSE, part, Op.NONE, 1, coImage);
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
        return product().top(k, completion, probes, pass);
    }

    private ThinProduct product() {
        return ThinProduct.seen(q, image, p, coImage);
    }

    /** Turns this pass into the next one, of the same size: this one is closed. */
    public GradientRefinement refine() {
        Batches.checkOpen(closed, "gradient refinement");
        device.checkOwned();
        Matrix[] bases = product().bases(columns(), 0);
        try {
            GradientRefinement next = new GradientRefinement(bases[0], bases[1], image, coImage, probes, pass + 1);
            device.fill(image, 0);
            device.fill(coImage, 0);
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
            Allocations.close(q, p, image, coImage, panel);
            probes.close();
            closed = true;
        }
    }
}
