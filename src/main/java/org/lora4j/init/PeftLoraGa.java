package org.lora4j.init;

import java.util.Objects;

import org.lora4j.LoraLinear;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.svd.BlockKrylovSvd;
import org.lora4j.svd.SingularTriplets;
import org.lora4j.svd.TopSvd;

/**
 * LoRA-GA as Hugging Face PEFT 0.21 computes it ({@code init_lora_weights="lora_ga"}), for comparison and to reproduce
 * its models. It departs from the paper: the singular values are multiplied into B0, and most scales act on B0 alone, so
 * the start depends on the size of the gradient. {@link LoraGa} is the paper's form.
 *
 * @param gradient G (m×n) on the layer's device, not modified
 * @param direction which singular vectors go where; {@link Direction#RANDOM} takes the same ones for A0 and B0, as PEFT does
 * @param scale PEFT's {@code scale}
 * @param gamma PEFT's {@code stable_gamma}, used by {@link PeftScale#STABLE}
 * @param seed of the random direction, of a randomised SVD and of the completion of a basis
 * @param svd the method that finds the singular vectors
 */
public record PeftLoraGa(Matrix gradient, Direction direction, PeftScale scale, double gamma, long seed, TopSvd svd) implements Initializer {
    /** The values of PEFT's {@code LoraGAConfig.scale}. S_B are the singular values that belong to B0's columns. */
    public enum PeftScale {
        /** A0 = Vᵀ, B0 = U·S_B·m^¼/√γ. */
        STABLE,
        /** A0 = Vᵀ, B0 = U·S_B·σ₁(W)/S_B[0]. */
        WEIGHT_SVD,
        /** A0 = Vᵀ/η, B0 = U·S_B/η. */
        GD_SCALE,
        /** A0 = Vᵀ, B0 = U·S_B. */
        UNIT
    }

    /** @throws IllegalArgumentException when γ is not positive and finite */
    public PeftLoraGa {
        Objects.requireNonNull(gradient, "gradient");
        Objects.requireNonNull(direction, "direction");
        Objects.requireNonNull(scale, "scale");
        Objects.requireNonNull(svd, "svd");
        if (!(gamma > 0) || Double.isInfinite(gamma)) {
            throw new IllegalArgumentException("gamma " + gamma + ": it must be positive and finite");
        }
    }

    /** PEFT's defaults: direction ArB2r, scale stable with γ = 16. */
    public static PeftLoraGa of(Matrix gradient) {
        return new PeftLoraGa(gradient, Direction.AR_B2R, PeftScale.STABLE, 16, 0, new BlockKrylovSvd());
    }

    @Override
    public Initialization initialize(LoraLinear layer) {
        int r = layer.config().rank();
        Starts.checkUnmerged(layer);
        Starts.checkRank(layer, 2 * r, "singular vectors of the gradient");
        Starts.checkGradient(new DenseGradient(gradient, svd), layer);
        double weightNorm = Starts.checkWeight(layer);
        int[][] indices = direction.indices(r, seed);
        int[] ofA = indices[0];
        int[] ofB = direction == Direction.RANDOM ? ofA : indices[1];
        Device device = layer.device();
        try (TimedTriplets found = TimedTriplets.of(() -> new DenseGradient(gradient, svd).top(2 * r, seed));
                Matrix a0 = device.temporary(layer.type().accumulation(), r, layer.inFeatures());
                Matrix b0 = device.temporary(layer.type().accumulation(), layer.outFeatures(), r)) {
            SingularTriplets g = found.triplets();
            Starts.gather(g, ofA, ofB, a0, b0);
            double eta = layer.config().eta();
            double scaleB = scaleB(layer, g.values()[ofB[0]]);
            for (int i = 0; i < r; i++) {
                device.scale(scaleB * g.values()[ofB[i]], b0.columns(i, i + 1));
            }
            if (scale == PeftScale.GD_SCALE) {
                device.scale(1 / eta, a0);
            }
            return Starts.prefill(layer, a0, b0, "peft-lora-ga", found, weightNorm);
        }
    }

    private double scaleB(LoraLinear layer, double firstSingularValue) {
        return switch (scale) {
            case STABLE -> Math.sqrt(Math.sqrt(layer.outFeatures()) / gamma);
            case GD_SCALE -> 1 / layer.config().eta();
            case UNIT -> 1;
            case WEIGHT_SVD -> {
                try (Matrix w = Starts.effectiveWeight(layer); SingularTriplets t = svd.top(w, 1, seed)) {
                    yield firstSingularValue > 0 ? t.values()[0] / firstSingularValue : 1;
                }
            }
        };
    }
}
