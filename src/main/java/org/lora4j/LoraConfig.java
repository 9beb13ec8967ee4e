package org.lora4j;

import java.util.Objects;

/**
 * Rank and scale of an adapter.
 *
 * @param rank r, from 1
 * @param alpha α, positive and finite
 * @param scaling how η follows from them
 */
public record LoraConfig(int rank, double alpha, Scaling scaling) {
    /** @throws IllegalArgumentException naming the value that is out of range */
    public LoraConfig {
        Objects.requireNonNull(scaling, "scaling");
        if (rank < 1) {
            throw new IllegalArgumentException("rank " + rank + ": it must be at least 1");
        }
        if (!(alpha > 0) || Double.isInfinite(alpha)) {
            throw new IllegalArgumentException("alpha " + alpha + ": it must be positive and finite");
        }
    }

    /** The adapter scale η: α/r or α/√r. */
    public double eta() {
        return scaling.eta(alpha, rank);
    }
}
