package org.lora4j.gradient;

import java.io.IOException;
import java.nio.file.Path;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.svd.SingularTriplets;

/**
 * The leading singular triplets of G = Σ dYᵀ·X (m×n) in one pass over the micro-batches and (m+n)·l elements of memory.
 *
 * <p>Kept is the best approximation of G so far, as the gradient P·Qᵀ of some s rows: P (m×s) holds dYᵀ and Q (n×s) holds Xᵀ
 * of micro-batches. When further rows find no room, P·Qᵀ and theirs are replaced by the leading singular triplets of their sum,
 * P = U·√S and Q = V·√S, which leave an eighth of s free (the incremental SVD of Brand, ECCV 2002, with the buffer of the
 * frequent directions of Ghashami, Liberty, Phillips and Woodruff, arXiv 1501.01711). For at most s rows that is exact but for
 * what is cut off, the least in the sense of Eckart and Young; for more, subspace iteration from P finds nearly the same
 * ({@link GradientSum}). s is l − p: the other p = l/16 columns (2 to 16) are G·Θ and Gᵀ·Ξ for random signs Θ and Ξ, which are
 * made from the seed when needed; they estimate the error.
 *
 * <p>An {@link #update} of b &gt; s rows takes about 6·(m+n)·s operations a row, in the type, and some 15·(m+n)·s² more: at 4096,
 * l = 128, b = 512 about the time of forming G, at 768, l = 64, b = 2048 up to twice that. Fewer rows are dear: s of them
 * cost 12·(m+n)·s operations a row in float64 and factorisations of 2s×2s, single rows up to seven times as much. What a
 * sketch saves is memory. Beside P, Q and the probes there are, while it runs, nearly as much again as P and Q and 512×s for
 * more than s rows, and panels of 256 rows and matrices of 2s×2s in float64; {@link #top} takes (m+2n)·k elements,
 * {@link #refine} half as much again as P and Q. No matrix of m×n is ever made.
 *
 * <p>P·Qᵀ is not linear in G: the order of the micro-batches and their division among shards ({@link #merge}) matter a
 * little, and what is below the noise of the first of them can be lost. With l = 8r and micro-batches of 16 rows, LoRA-GA
 * starts of rank 4, 8 and 16 on gradients of a transformer come to these parts of the best alignment, mean and worst of all,
 * where ν is the norm of what cancels in the sum, had it been added up at random, over that of G:
 * <pre>
 *     ν      one pass          two passes ({@link #refine})
 *     0      0.9999, 0.9998    0.99999, 0.99997
 *     0.3    0.9996, 0.9993    0.99998, 0.99995
 *     1      0.992,  0.983     0.9993,  0.998
 *     3      0.89,   0.77      0.98,    0.95
 * </pre>
 * Micro-batches of 128 rows, by subspace iteration, come as near at ν = 0 and 0.3, and at 1 to 0.997, 0.993 and 0.9998, 0.9994.
 * Independent samples have at most ν = 1, if nothing but chance makes G. Beyond that, as in a model that was trained on these
 * very data until their gradients balance, random products of the same size, G·Ω and Gᵀ·Ψ (arXiv 1609.00048), become better,
 * from ν = 1 on for r = 16, at the latest from 3 on for r = 4: theirs is 0.96, 0.98 and 0.99 in the mean, whatever ν is. Far
 * beyond, the captured energy of the certificate is low. Further passes help in every case.
 *
 * <p>What {@link SingularTriplets#certificate()} says is estimated, because G itself is not there to measure: the residuals,
 * the larger of ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ and ‖Gᵀ·uᵢ − σᵢ·vᵢ‖/σ₁ with a relative standard error of about 1/√(2p), and the captured
 * energy, 1 − ‖G − U·S·Vᵀ‖²/‖G‖². It counts as converged when every estimated residual is at most 0.01. Singular values
 * below 10⁻⁶·σ₁ count as 0, in float64 too, and their vectors complete the basis.
 */
public final class GradientSketch implements GradientSource, AutoCloseable {
    private final Device device;
    private final DataType type;
    private final long m;
    private final long n;
    private final int l;
    private final long seed;
    private final RunningProduct sum;
    private final Probes probes;
    private long batches;
    private long batchRows;
    private boolean closed;

    /**
     * The sketch of G = 0.
     *
     * @param m out features
     * @param n in features
     * @param l columns on each side, from 8 to min(m, n); 8r for a LoRA-GA start of rank r
     * @param seed of the probes; shards that are to be merged have the same
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
        int p = probes(l);
        sum = new RunningProduct(device, type, m, n, l - p);
        try {
            probes = new Probes(device, type, m, n, p, seed);
        } catch (RuntimeException | Error e) {
            sum.close();
            throw e;
        }
    }

    /** p, how many of l columns are probes. */
    static int probes(long l) {
        return Math.clamp(l / 16, 2, 16);
    }

    /**
     * Adds dYᵀ·X to the G that is sketched. Where memory runs out half way, or P or Q leave the range of the type, the sketch is
     * closed: half a micro-batch can't be taken out again.
     *
     * @param x the layer's input, b×n, not modified
     * @param dy gradient of the loss with respect to the layer's output, b×m, not modified
     * @throws IllegalArgumentException when shape, type or device is wrong, or an element is not finite; the sketch is then
     *     as it was
     */
    public void update(Matrix x, Matrix dy) {
        Batches.checkOpen(closed, "gradient sketch");
        Batches.check(device, type, m, n, x, dy);
        Batches.checkSquares("micro-batch's x", x);
        Batches.checkSquares("micro-batch's dy", dy);
        orClose(() -> {
            probes.update(x, dy);
            sum.add(x, dy, seed + batches);
        });
        batches++;
        batchRows += x.rows();
    }

    private void orClose(Runnable change) {
        try {
            change.run();
        } catch (RuntimeException | Error e) { // the heap's end too
            close();
            throw e;
        }
    }

    /**
     * Adds the gradient that {@code other} has sketched, from another shard of the data, as P·Qᵀ is the gradient of some rows.
     * Other is not modified. Where memory runs out half way, this is closed, as by {@link #update}.
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
        orClose(() -> {
            probes.add(other.probes);
            sum.add(other.sum);
        });
        batches += other.batches;
        batchRows += other.batchRows;
    }

    private String kind() {
        return "a sketch of " + type + " " + m + "×" + n + ", l = " + l + ", seed " + seed;
    }

    /**
     * {@inheritDoc}
     *
     * @param k at most as many as are kept, seven eighths of l − p: 6r of l = 8r
     */
    @Override
    public SingularTriplets top(int k, long completion) {
        Batches.checkOpen(closed, "gradient sketch");
        device.checkOwned();
        Batches.checkCount(k, sum.kept(), "from a sketch of " + l + " columns");
        return sum.product().top(k, completion, probes, 1);
    }

    /**
     * Turns this sketch into a second pass over the data, with (m+n)·l elements of memory again: this sketch is closed.
     * Save it or take its triplets before, if they are wanted. Where memory runs out it may be closed too.
     */
    public GradientRefinement refine() {
        Batches.checkOpen(closed, "gradient sketch");
        device.checkOwned();
        int c = (l - probes.columns()) / 2;
        Matrix[] bases = sum.product().bases(c, seed);
        sum.close(); // before what takes their place
        closed = true;
        Matrix[] images = null;
        try {
            images = Allocations.all(device, type, new long[][] {{m, c}, {n, c}});
            return new GradientRefinement(bases[0], bases[1], images[0], images[1], probes, 2);
        } catch (RuntimeException | Error e) {
            Allocations.close(bases);
            Allocations.close(images);
            probes.close();
            throw e;
        }
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

    /** l, the columns on each side. */
    public int columns() {
        return l;
    }

    /** The seed of the probes. */
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

    /** What is saved: P, Q, G·Θ, Gᵀ·Ξ. */
    Matrix[] state() {
        return new Matrix[] {sum.left(), sum.right(), probes.range(), probes.coRange()};
    }

    /** How many columns of P and Q count. */
    int used() {
        return sum.used();
    }

    /** Called by {@link SketchFile} on a sketch it has filled. */
    void count(long ofBatches, long ofRows, int ofColumns) {
        batches = ofBatches;
        batchRows = ofRows;
        sum.use(ofColumns);
    }

    /** Frees the sketch. Closing again does nothing. */
    @Override
    public void close() {
        if (!closed) {
            sum.close();
            probes.close();
            closed = true;
        }
    }
}
