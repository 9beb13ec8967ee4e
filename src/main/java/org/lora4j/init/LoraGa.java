package org.lora4j.init;

import java.util.Objects;

import org.lora4j.LoraLinear;
import org.lora4j.device.Matrix;
import org.lora4j.gradient.GradientSource;
import org.lora4j.svd.BlockKrylovSvd;
import org.lora4j.svd.SingularTriplets;
import org.lora4j.svd.TopSvd;

/**
 * The gradient-aligned start of LoRA-GA (Wang et al., arXiv 2407.05000): of all A0, B0 of rank r the first step on the
 * adapter then moves the effective weight the most like a step on the full weight. With G = U·S·Vᵀ,
 * <pre>
 *     A0 = c·(first r right singular vectors)ᵀ      B0 = c·(left singular vectors r+1 … 2r)
 * </pre>
 * which minimises ‖η²·(G·A0ᵀ·A0 + B0·B0ᵀ·G) − ζ·G‖ for c = √ζ/η. S is not multiplied in, A0 and B0 carry the same c.
 * Only the direction of G matters, not its scale.
 *
 * <p>{@link PeftLoraGa} is the form that Hugging Face PEFT computes, which differs.
 *
 * @param gradient G (m×n): of the loss with respect to the weight at W0, on the layer's device
 * @param direction which singular vectors go where
 * @param scale how c is chosen
 * @param seed of the random direction, of a randomised SVD and of the completion of a basis
 * @param svd the method that finds the singular vectors of the weight, where {@link Scale.WeightSvd} asks for them
 */
public record LoraGa(GradientSource gradient, Direction direction, Scale scale, long seed, TopSvd svd) implements Initializer {
    /** @throws NullPointerException when an argument is null */
    public LoraGa {
        Objects.requireNonNull(gradient, "gradient");
        Objects.requireNonNull(direction, "direction");
        Objects.requireNonNull(scale, "scale");
        Objects.requireNonNull(svd, "svd");
    }

    /** The paper's form for a gradient that is not modified: direction ArB2r, stable scale with γ = 16, {@link BlockKrylovSvd}. */
    public static LoraGa of(Matrix gradient) {
        TopSvd svd = new BlockKrylovSvd();
        return new LoraGa(new DenseGradient(gradient, svd), Direction.AR_B2R, Scale.stable(), 0, svd);
    }

    /** The same for a gradient that was never a matrix: factored or sketched. */
    public static LoraGa of(GradientSource gradient) {
        return new LoraGa(gradient, Direction.AR_B2R, Scale.stable(), 0, new BlockKrylovSvd());
    }

    /** The same with another direction. */
    public LoraGa withDirection(Direction other) {
        return new LoraGa(gradient, other, scale, seed, svd);
    }

    /** The same with another scale. */
    public LoraGa withScale(Scale other) {
        return new LoraGa(gradient, direction, other, seed, svd);
    }

    /** The same with another seed. */
    public LoraGa withSeed(long other) {
        return new LoraGa(gradient, direction, scale, other, svd);
    }

    /** The same with another method for the singular vectors, of the gradient too where it is a matrix. */
    public LoraGa withSvd(TopSvd other) {
        return new LoraGa(gradient instanceof DenseGradient dense ? new DenseGradient(dense.matrix(), other) : gradient, direction, scale, seed, other);
    }

    @Override
    public Initialization initialize(LoraLinear layer) {
        int r = layer.config().rank();
        Starts.checkUnmerged(layer);
        Starts.checkRank(layer, 2 * r, "singular vectors of the gradient");
        Starts.checkGradient(gradient, layer);
        double weightNorm = Starts.checkWeight(layer);
        double c = c(layer, weightNorm);
        int[][] indices = direction.indices(r, seed);
        try (TimedTriplets found = TimedTriplets.of(() -> gradient.top(2 * r, seed));
                Matrix a0 = layer.device().temporary(layer.type().accumulation(), r, layer.inFeatures());
                Matrix b0 = layer.device().temporary(layer.type().accumulation(), layer.outFeatures(), r)) {
            Starts.checkNotZero(found.triplets());
            Starts.gather(found.triplets(), indices[0], indices[1], a0, b0);
            layer.device().scale(c, a0);
            layer.device().scale(c, b0);
            return Starts.prefillOrthogonal(layer, a0, b0, "lora-ga", found, c, weightNorm);
        }
    }

    private double c(LoraLinear layer, double weightNorm) {
        double m = layer.outFeatures();
        double n = layer.inFeatures();
        int r = layer.config().rank();
        double eta = layer.config().eta();
        return switch (scale) {
            case Scale.Stable s -> stable(m, s.gamma());
            case Scale.Forward s -> Math.sqrt(eta * Math.sqrt(s.moment() * m / r)) / eta;
            case Scale.Backward s -> Math.sqrt(eta * Math.sqrt(s.moment() * n / r)) / eta;
            case Scale.GradientDescent s -> 1 / eta;
            case Scale.Unit s -> 1;
            case Scale.MaxShift s -> {
                if (weightNorm == 0) {
                    throw new IllegalArgumentException("the weight is all zeros; the scale max-shift needs a non-zero weight");
                }
                yield Math.min(stable(m, 16), Math.sqrt(s.fraction() * weightNorm / (eta * Math.sqrt(r))));
            }
            case Scale.WeightSvd s -> {
                double sum = 0;
                try (Matrix w = Starts.effectiveWeight(layer); SingularTriplets t = svd.top(w, r, seed)) {
                    for (double sigma : t.values()) {
                        sum += Math.sqrt(sigma / eta);
                    }
                }
                if (sum == 0) {
                    throw new IllegalArgumentException("the weight is all zeros; the scale weight-svd needs a non-zero weight");
                }
                yield sum / r;
            }
        };
    }

    private static double stable(double m, double gamma) {
        return Math.sqrt(Math.sqrt(m) / gamma);
    }
}
