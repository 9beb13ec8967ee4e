package org.lora4j.svd;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * Leading singular triplets by block Krylov iteration: the default. Costs O(m·n·k) a step, with few steps, where the exact
 * SVD costs O(m·n·min(m, n)).
 *
 * <p>From a random block V₁ it builds the block Lanczos basis V₁ … V_q of GᵀG (Golub, Luk and Overton 1981; Musco and
 * Musco, arXiv 1504.05477), each step of which reads G once ({@link Device#powerStep}), solves the small problem on that
 * basis ({@link KrylovBasis}), measures the residuals on G itself, and goes on until they meet the tolerance.
 *
 * <p>The same seed gives the same bits on the same device with the same threads.
 */
public final class BlockKrylovSvd implements TopSvd {
    /** The relative residual that is met by default: about the quality of PEFT's svd_lowrank on real gradients. */
    public static final double DEFAULT_TOLERANCE = 1.5e-3;
    /** Elements of G from which on a pass over it is limited by memory, and wide blocks with few steps are faster. */
    private static final long LARGE = 2_000_000;

    /** Triplets up to which blocks are as wide as what is sought. */
    private static final int NARROW = 16;

    private final double tolerance;
    private final int maxSteps;

    /** Meets {@link #DEFAULT_TOLERANCE}, in at most 16 steps. */
    public BlockKrylovSvd() {
        this(DEFAULT_TOLERANCE, 16);
    }

    /**
     * Stops when no residual exceeds {@code tolerance}, or after {@code maxSteps}; the certificate says which.
     *
     * @param tolerance of ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ and ‖Gᵀ·uᵢ − σᵢ·vᵢ‖/σ₁, positive
     * @param maxSteps from 1
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
        long min = Math.min(g.rows(), g.cols());
        boolean large = g.rows() * g.cols() >= LARGE;
        int block = large || k <= NARROW ? k : Math.max(NARROW, Math.ceilDiv(k, 2)); // a value repeated more often would be missed
        int steps = Math.min(large ? 4 : block == k ? 5 : 7, maxSteps);
        if ((long) block * steps * 5 > min * 3) {
            return new ExactSvd().top(g, k, seed); // the basis would be most of the whole space
        }
        int most = (int) Math.min(maxSteps, min / block);
        double norm2 = -1;
        try (KrylovBasis basis = new KrylovBasis(g, k, block, seed)) {
            for (int goal = Math.min(steps, most);; goal++) {
                if (!basis.extend(goal)) {
                    return new ExactSvd().top(g, k, seed); // all zeros, or as good as of low rank
                }
                norm2 = norm2 < 0 ? g.device().dot(g, g) : norm2; // after the first pass, which finds a NaN
                SingularTriplets found = basis.solve(norm2, tolerance, seed);
                boolean missed = found.values()[0] == 0 && norm2 > 0; // the random start was orthogonal to all of G
                if (!missed && (found.certificate().converged() || goal >= most)) {
                    return found;
                }
                found.close();
                if (missed) {
                    return new ExactSvd().top(g, k, seed);
                }
            }
        }
    }

    @Override
    public String toString() {
        return "BlockKrylovSvd(tolerance " + tolerance + ")";
    }
}
