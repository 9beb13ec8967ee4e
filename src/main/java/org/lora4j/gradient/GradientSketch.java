package org.lora4j.gradient;

import java.io.IOException;
import java.nio.file.Path;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.SingularTriplets;

/**
 * The leading singular triplets of G = Σ dYᵀ·X (m×n) in one pass over the micro-batches and (m+n)·l elements of memory.
 *
 * <p>Kept are Y = G·Ω (m×l) and Z = Gᵀ·Ψ (n×l) for random signs Ω (n×l) and Ψ (m×l), which are made from the seed when
 * needed: a range and a co-range sketch (Tropp, Yurtsever, Udell, Cevher, arXiv 1609.00048). Both are linear in G, so that
 * the sketches of several shards of the data add up ({@link #merge}) and the order of the micro-batches doesn't matter,
 * to rounding. An {@link #update} takes four thin products. Beside Y and Z stands a workspace of about a tenth of the
 * memory; {@link #top} takes (m+2n)·k elements and some matrices of 2l×2l in float64 while it runs, {@link #refine} half as
 * much again as Y and Z. No matrix of m×n is ever made.
 *
 * <p>The triplets are those of the mean of all G that Y and Z allow, weighted by what they show of GGᵀ and GᵀG. How near
 * they come to G's own depends on how fast the singular values fall: what a linear sketch doesn't see is noise of about
 * (k/l)·Σ_{i>k} σᵢ², and none of (m+n)·l numbers can do with less than l in proportion to k/ε for an error of 1+ε times
 * the least (Clarkson and Woodruff, STOC 2009). For LoRA-GA of rank r (k = 2r) l = 8r is a good start: on a transformer's
 * gradients one pass comes to 0.98 (r = 8) and 0.99 (r = 16) of the best alignment, the second to 0.998 and 0.999;
 * {@link #refine} gains the rest by further passes over the data.
 *
 * <p>What {@link SingularTriplets#certificate()} says is estimated, because G itself is not there to measure: the last l/16
 * columns (2 to 16) are held out, and the residuals, the larger of ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ and ‖Gᵀ·uᵢ − σᵢ·vᵢ‖/σ₁ with a relative
 * standard error of about 1/√(l/8), and the captured energy, 1 − ‖G − U·S·Vᵀ‖²/‖G‖², are those of the triplets found
 * without them, which are a little worse. It counts as converged when every estimated residual is at most 0.01. Singular
 * values below 10⁻⁶·σ₁ can't be told from rounding, in float64 too: they count as 0, and their vectors complete the basis.
 */
public final class GradientSketch implements GradientSource, AutoCloseable {
    private final Device device;
    private final DataType type;
    private final long m;
    private final long n;
    private final int l;
    private final long seed;
    private final Matrix range; // Y = G·Ω (m,l)
    private final Matrix coRange; // Z = Gᵀ·Ψ (n,l)
    private final Matrix panel; // X·Ω or dY·Ψ of some rows of a micro-batch
    private final Matrix block; // some rows of Ω or Ψ
    private final SignMatrix omega;
    private final SignMatrix psi;
    private long batches;
    private long batchRows;
    private boolean closed;

    /**
     * The sketch of G = 0.
     *
     * @param m out features
     * @param n in features
     * @param l columns of each sketch, from 8 to min(m, n); 8r for a LoRA-GA start of rank r
     * @param seed of the test matrices; shards that are to be merged have the same
     */
    public GradientSketch(Device device, DataType type, long m, long n, int l, long seed) {
        Batches.checkShape(m, n);
        Batches.checkType("gradient sketch", type);
        if (l < 8 || l > Math.min(m, n)) {
            throw new IllegalArgumentException("a sketch of " + l + " columns for a gradient of " + m + "×" + n + ": it must have at least 8 and at most "
                    + Math.min(m, n));
        }
        this.device = device;
        this.type = type;
        this.m = m;
        this.n = n;
        this.l = l;
        this.seed = seed;
        Matrix[] made = Allocations.all(device, type, new long[][] {
            {m, l}, {n, l}, {Math.clamp((m + n) / 16, 16, 1024), l}, {Math.clamp((m + n) / 32, 16, 256), l}});
        range = made[0];
        coRange = made[1];
        panel = made[2];
        block = made[3];
        SignMatrix.Workspace workspace = new SignMatrix.Workspace(block);
        omega = new SignMatrix(seed, 1, workspace);
        psi = new SignMatrix(seed, 2, workspace);
    }

    /**
     * Adds dYᵀ·X to the G that is sketched, in four thin products; nothing is allocated on the device.
     *
     * @param x the layer's input, b×n, not modified
     * @param dy gradient of the loss with respect to the layer's output, b×m, not modified
     * @throws IllegalArgumentException when shape, type or device is wrong; the sketch is then as it was
     */
    public void update(Matrix x, Matrix dy) {
        Batches.checkOpen(closed, "gradient sketch");
        Batches.check(device, type, m, n, x, dy);
        for (long i = 0; i < x.rows(); i += panel.rows()) {
            long to = Math.min(i + panel.rows(), x.rows());
            Matrix xRows = x.rows(i, to);
            Matrix dyRows = dy.rows(i, to);
            Matrix image = panel.rows(0, to - i);
            omega.multiply(xRows, image);
            device.gemm(1, dyRows, Op.TRANSPOSE, image, Op.NONE, 1, range); // Y += dYᵀ·(X·Ω)
            psi.multiply(dyRows, image);
            device.gemm(1, xRows, Op.TRANSPOSE, image, Op.NONE, 1, coRange); // Z += Xᵀ·(dY·Ψ)
        }
        batches++;
        batchRows += x.rows();
    }

    /**
     * Adds the gradient that {@code other} has sketched, from another shard of the data. Other is not modified.
     *
     * @throws IllegalArgumentException when other differs in shape, l, seed, type or device; this is then as it was
     */
    public void merge(GradientSketch other) {
        Batches.checkOpen(closed, "gradient sketch");
        Batches.checkOpen(other.closed, "gradient sketch to merge");
        device.checkOwned();
        if (other == this || other.device != device || !other.kind().equals(kind())) {
            throw new IllegalArgumentException("merge: " + other.kind() + (other.device == device ? "" : " on another device")
                    + (other == this ? " with itself" : " into " + kind()) + "; only different sketches of one kind on one device add up");
        }
        double[] ones = new double[l * l];
        for (int i = 0; i < l; i++) {
            ones[i * l + i] = 1;
        }
        try (Matrix identity = device.allocate(type, l, l)) {
            identity.write(ones);
            device.gemm(1, other.range, Op.NONE, identity, Op.NONE, 1, range);
            device.gemm(1, other.coRange, Op.NONE, identity, Op.NONE, 1, coRange);
        }
        batches += other.batches;
        batchRows += other.batchRows;
    }

    private String kind() {
        return "a sketch of " + type + " " + m + "×" + n + ", l = " + l + ", seed " + seed;
    }

    /**
     * {@inheritDoc}
     *
     * @param k at most half of the columns that are not held out: 3.75r of l = 8r
     */
    @Override
    public SingularTriplets top(int k, long completion) {
        Batches.checkOpen(closed, "gradient sketch");
        device.checkOwned();
        Batches.checkCount(k, sampling() / 2, "from a sketch of " + l + " columns");
        return pair().top(k, completion, 1);
    }

    private SketchPair pair() {
        return new SketchPair(range, psi, coRange, omega, sampling(), true);
    }

    /**
     * Turns this sketch into a second pass over the data, with (m+n)·l elements of memory again: this sketch is closed.
     * Save it or take its triplets before, if they are wanted. Where memory runs out it may be closed too.
     */
    public GradientRefinement refine() {
        Batches.checkOpen(closed, "gradient sketch");
        device.checkOwned();
        int probes = l - sampling();
        Matrix[] kept = Allocations.all(device, type, new long[][] {{m, probes}, {n, probes}});
        Matrix[] bases = null;
        Matrix[] images = null;
        try {
            device.copy(range.columns(sampling(), l), kept[0]);
            device.copy(coRange.columns(sampling(), l), kept[1]);
            bases = pair().bases(sampling() / 2, seed);
            long columns = bases[0].cols() + probes;
            Allocations.close(range, coRange, panel); // before what takes their place
            closed = true;
            images = Allocations.all(device, type, new long[][] {{m, columns}, {n, columns}});
            device.copy(kept[0], images[0].columns(bases[0].cols(), columns));
            device.copy(kept[1], images[1].columns(bases[0].cols(), columns));
            return new GradientRefinement(bases[0], bases[1], images[0], images[1], omega, psi, block, 2);
        } catch (RuntimeException e) {
            Allocations.close(bases);
            Allocations.close(images);
            if (closed) {
                block.close();
            }
            throw e;
        } finally {
            Allocations.close(kept);
        }
    }

    /** How many columns are not held out. */
    int sampling() {
        return l - Math.clamp(l / 16, 2, 16);
    }

    /**
     * Writes the sketch to {@code file}, by way of a file beside it that is renamed when it is complete. Where
     * {@code file} is a link, what it points to is replaced.
     *
     * @throws IOException when it can't be written; a file that was there stays
     */
    public void save(Path file) throws IOException {
        Batches.checkOpen(closed, "gradient sketch");
        device.checkOwned();
        SketchFile.save(file, this);
    }

    /**
     * A sketch that was saved, to go on with, on {@code device}.
     *
     * @throws IOException naming the file and the reason when it is not a sketch, of another version, or damaged;
     *     nothing is allocated on the device before all of the file was checked
     */
    public static GradientSketch load(Device device, Path file) throws IOException {
        device.checkOwned();
        return SketchFile.load(device, file);
    }

    @Override
    public Device device() {
        return device;
    }

    @Override
    public DataType type() {
        return type;
    }

    @Override
    public long rows() {
        return m;
    }

    @Override
    public long cols() {
        return n;
    }

    /** l, the columns of each of the two sketches. */
    public int columns() {
        return l;
    }

    /** The seed of the test matrices. */
    public long seed() {
        return seed;
    }

    /** How many micro-batches were added, those of merged sketches included. */
    public long batches() {
        return batches;
    }

    /** How many rows those micro-batches had. */
    public long batchRows() {
        return batchRows;
    }

    Matrix range() {
        return range;
    }

    Matrix coRange() {
        return coRange;
    }

    /** Called by {@link SketchFile} on a sketch it has filled. */
    void count(long ofBatches, long ofRows) {
        batches = ofBatches;
        batchRows = ofRows;
    }

    /** Frees the sketch. Closing again does nothing. */
    @Override
    public void close() {
        if (!closed) {
            range.close();
            coRange.close();
            panel.close();
            block.close();
            closed = true;
        }
    }
}
