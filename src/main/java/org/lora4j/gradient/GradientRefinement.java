package org.lora4j.gradient;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.SingularTriplets;

/**
 * A further pass over the same micro-batches, from bases Q (m×c) and P (n×c) that the pass before found: G·P and Gᵀ·Q are
 * accumulated, whose leading singular vectors are those of G after one more step of subspace iteration from both sides.
 *
 * <p>c is about l/2, so that all of it takes (m+n)·l elements beside a workspace of a tenth of that. The error falls with
 * each pass as in any subspace iteration, by about (σ_c/σₖ)² in the direction of the k-th vectors: fast where the singular
 * values fall fast. The certificate is estimated as that
 * of {@link GradientSketch} is, from the same columns.
 */
public final class GradientRefinement implements GradientSource, AutoCloseable {
    /**
     * The columns that were set aside.
     *
     * @param gTheta G·Θ (m×probes)
     * @param gXi Gᵀ·Ξ (n×probes)
     * @param omega the test matrix (n×l) whose last columns are Θ
     * @param psi the test matrix (m×l) whose last columns are Ξ
     * @param block their workspace
     */
    record Probes(Matrix gTheta, Matrix gXi, SignMatrix omega, SignMatrix psi, Matrix block) {
        /** Ξᵀ·u or Θᵀ·v (probes×c). */
        SmallMatrix of(SignMatrix test, Matrix basis) {
            SmallMatrix all = test.transposeTimes(basis);
            return all.rows(all.rows() - (int) gTheta.cols(), all.rows());
        }

        void close() {
            gTheta.close();
            gXi.close();
            block.close();
        }
    }

    private final Device device;
    private final Probes probes;
    private final int pass;
    private final Matrix q; // (m,c)
    private final Matrix p; // (n,c)
    private final Matrix gp; // G·P (m,c)
    private final Matrix gq; // Gᵀ·Q (n,c)
    private final Matrix panel; // X·P or dY·Q of some rows of a micro-batch
    private boolean closed;

    /** Takes over the matrices it is given; where it throws, they are closed. */
    GradientRefinement(Matrix q, Matrix p, Probes probes, int pass) {
        this.device = q.device();
        this.probes = probes;
        this.pass = pass;
        this.q = q;
        this.p = p;
        long m = q.rows();
        long n = p.rows();
        long c = q.cols();
        Matrix[] made;
        try {
            made = Allocations.all(device, q.type(), new long[][] {{m, c}, {n, c}, {Math.clamp((m + n) / 16, 16, 1024), c}});
        } catch (RuntimeException e) {
            q.close();
            p.close();
            probes.close();
            throw e;
        }
        gp = made[0];
        gq = made[1];
        panel = made[2];
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
            device.gemm(1, dyRows, Op.TRANSPOSE, image, Op.NONE, 1, gp);
            device.gemm(1, dyRows, Op.NONE, q, Op.NONE, 0, image);
            device.gemm(1, xRows, Op.TRANSPOSE, image, Op.NONE, 1, gq);
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
        double unit = unit();
        try (Matrix u = ThinBasis.of(gp, k, unit, completion); Matrix v = ThinBasis.of(gq, k, unit, completion + 1)) {
            double norm2 = (device.dot(probes.gTheta, probes.gTheta) + device.dot(probes.gXi, probes.gXi)) / unit / unit;
            SmallMatrix left = SmallMatrix.product(1, q, u).above(probes.of(probes.psi, u));
            SmallMatrix leftImage = SmallMatrix.product(1 / unit, gq, v).above(SmallMatrix.product(1 / unit, probes.gXi, v));
            SmallMatrix right = SmallMatrix.product(1, p, v).above(probes.of(probes.omega, v)).transpose();
            SmallMatrix rightImage = SmallMatrix.product(1 / unit, gp, u).above(SmallMatrix.product(1 / unit, probes.gTheta, u)).transpose();
            return new TwoSided(left, leftImage, right, rightImage, (int) probes.gTheta.cols(), norm2)
                    .triplets(u, v, k, new int[] {k}, unit, pass);
        }
    }

    /** Turns this pass into the next one, of the same size: this one is closed. */
    public GradientRefinement refine() {
        Batches.checkOpen(closed, "gradient refinement");
        device.checkOwned();
        double unit = unit();
        Matrix u = ThinBasis.of(gp, columns(), unit, 0);
        try {
            Matrix v = ThinBasis.of(gq, columns(), unit, 1);
            closeBases();
            return new GradientRefinement(u, v, probes, pass + 1);
        } catch (RuntimeException e) {
            u.close();
            throw e;
        }
    }

    private double unit() {
        Batches.checkFinite("refined gradient", gp);
        Batches.checkFinite("refined gradient", gq);
        return ThinBasis.powerOfTwo(Math.max(Math.abs(device.largest(gp)), Math.abs(device.largest(gq))));
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

    private void closeBases() {
        q.close();
        p.close();
        gp.close();
        gq.close();
        panel.close();
        closed = true;
    }

    /** Frees what it holds. Closing again does nothing. */
    @Override
    public void close() {
        if (!closed) {
            closeBases();
            probes.close();
        }
    }
}
