package org.lora4j.init;

import java.util.Objects;

import org.lora4j.LoraLinear;
import org.lora4j.device.Matrix;
import org.lora4j.svd.BlockKrylovSvd;
import org.lora4j.svd.SingularTriplets;
import org.lora4j.svd.TopSvd;

/**
 * PiSSA (Meng et al., arXiv 2404.02948): the adapter starts as the best rank-r part of the weight W = U·Σ·Vᵀ, the frozen
 * weight is the rest. A0 = √(Σ_r/η)·V_rᵀ and B0 = U_r·√(Σ_r/η), so that η·B0·A0 = U_r·Σ_r·V_rᵀ.
 *
 * @param seed of a randomised SVD and of the completion of a basis
 * @param svd the method that finds the singular vectors
 */
public record Pissa(long seed, TopSvd svd) implements Initializer {
    /** PiSSA by {@link BlockKrylovSvd}. */
    public Pissa() {
        this(0, new BlockKrylovSvd());
    }

    /** @throws NullPointerException when {@code svd} is null */
    public Pissa {
        Objects.requireNonNull(svd, "svd");
    }

    @Override
    public Initialization initialize(LoraLinear layer) {
        int r = layer.config().rank();
        Starts.checkUnmerged(layer);
        Starts.checkRank(layer, r, "singular vectors of the weight");
        double weightNorm = Starts.checkWeight(layer);
        try (Matrix w = nonZero(Starts.effectiveWeight(layer)); TimedTriplets found = TimedTriplets.of(() -> svd.top(w, r, seed))) {
            SingularTriplets t = found.triplets();
            for (int i = 0; i < r; i++) {
                double root = Math.sqrt(t.values()[i] / layer.config().eta());
                layer.device().scale(root, t.vt().rows(i, i + 1));
                layer.device().scale(root, t.u().columns(i, i + 1));
            }
            return Starts.prefill(layer, t.vt(), t.u(), "pissa", found, weightNorm);
        }
    }

    private static Matrix nonZero(Matrix w) {
        if (w.device().largest(w) == 0) {
            w.close();
            throw new IllegalArgumentException("the weight is all zeros; PiSSA needs a non-zero weight");
        }
        return w;
    }
}
