package org.lora4j.svd;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * Leading singular triplets by block Krylov iteration: the default. Costs O(m·n·k) a step, with few steps, where the exact
 * SVD costs O(m·n·min(m, n)).
 *
 * <p>From a random block, of a large G with random sums of a few rows, it builds the block Lanczos basis V₁ … V_q of GᵀG (Golub, Luk and
 * Overton 1981; Musco and Musco, arXiv 1504.05477), each step of which reads G once ({@link Device#powerStep}), solves the small problem on that basis
 * ({@link RitzTriplets}), and goes on until the residuals meet the tolerance. Blocks are narrower than what is sought:
 * the same products then make a basis of more degrees. A singular value that is repeated more often than a block has
 * columns would be missed; where found values are equal as often as that, all is done once more with blocks of k.
 *
 * <p>The same seed gives the same bits on the same device with the same threads.
 */
public final class BlockKrylovSvd implements TopSvd {
    /** The relative residual that is met by default: about the quality of PEFT's svd_lowrank on real gradients. */
    public static final double DEFAULT_TOLERANCE = 1.5e-3;
    /** Columns of a block: what the products are fast with, and few, for a basis of many degrees; an eighth of many that are sought. */
    private static final int BLOCK = 8;

    private final double tolerance;
    private final int maxSteps;

    /** Meets {@link #DEFAULT_TOLERANCE}, in at most 32 steps. */
    public BlockKrylovSvd() {
        this(DEFAULT_TOLERANCE, 32);
    }

    /**
     * Stops when no residual exceeds {@code tolerance}, or after {@code maxSteps}; the certificate says which. Of a large matrix it looks
     * a step sooner, and stops there if the residuals are smaller still.
     *
     * @param tolerance of ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ and ‖Gᵀ·uᵢ − σᵢ·vᵢ‖/σ₁, positive
     * @param maxSteps from 1; each adds a block to the basis, of 8 columns for k up to 64, of k/8 or a little more beyond
     */
    public BlockKrylovSvd(double tolerance, int maxSteps) {
        if (!(tolerance > 0) || maxSteps < 1) {
            throw new IllegalArgumentException("tolerance " + tolerance + ", maxSteps " + maxSteps + ": they must be positive");
        }
        this.tolerance = tolerance;
        this.maxSteps = maxSteps;
    }

    @Override
    public SingularTriplets top(Matrix g, int k, long seed) {
        Triplets.checkCount(g, k);
        int block = BLOCK * Math.ceilDiv(Math.ceilDiv(k, 8), BLOCK);
        SingularTriplets found = top(g, k, block, seed);
        if (block < k && Triplets.repeated(found.values(), block)) { // more often perhaps than a block has columns
            found.close();
            return top(g, k, k, seed);
        }
        return found;
    }

    private SingularTriplets top(Matrix g, int k, int block, long seed) {
        long min = Math.min(g.rows(), g.cols());
        int least = Math.ceilDiv(k, block); // a basis of k vectors
        int steps = Math.max(least, Math.min(2 * least + 2, maxSteps)); // as many as a falling spectrum needs
        if ((long) block * steps * 5 > min * 3) {
            return new ExactSvd().top(g, k, seed); // the basis would be most of the whole space
        }
        int most = (int) Math.min(Math.max(maxSteps, least), min / block);
        // Where a step takes longer than the small problem (on two processors at the limit, 1430² and 80 columns, both half a millisecond),
        // that is tried a step sooner: often enough where σᵢ falls as 1/i. The more are sought, the closer neighbouring values lie, and a
        // residual of the tolerance can mix the last ones; so less is asked for then: an overlap loses at most 6e-5, measured with 200 seeds.
        boolean soon = (double) g.rows() * g.cols() * block > 32 * Math.pow(block * steps, 3);
        int first = soon && steps > least ? steps - 1 : steps;
        double sooner = tolerance / Math.max(1, 0.75 * least);
        try (Device.PowerSteps steady = g.device().powerSteps(g, block); KrylovBasis basis = new KrylovBasis(g, block, soon ? steps : Math.min(steps + 2, most))) {
            boolean grows = basis.start(seed, soon);
            for (int goal = first; grows && basis.extend(goal); goal++) {
                SingularTriplets found = basis.triplets(k).solve(tolerance, goal < steps ? sooner : tolerance, goal >= most, seed);
                if (found != null) {
                    return found;
                }
            }
        }
        return new ExactSvd().top(g, k, seed); // all zeros, or as good as of low rank
    }

    @Override
    public String toString() {
        return "BlockKrylovSvd(tolerance " + tolerance + ")";
    }
}
