package org.lora4j.svd;

/**
 * How good leading singular triplets are, by what products with the matrix itself say.
 *
 * @param residuals the larger of ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ and ‖Gᵀ·uᵢ − σᵢ·vᵢ‖/σ₁ of each triplet, to within rounding, ε·σ₁/σᵢ, which
 *     is at most a tenth of the tolerance
 * @param capturedEnergy Σ σᵢ² of the triplets over ‖G‖² (Frobenius): 1 when nothing is left
 * @param products how many products of G or Gᵀ with a block of vectors were made; 0 for a direct method
 * @param steps of the iteration; 0 for a direct method
 * @param converged whether every residual met the tolerance asked for
 */
public record Certificate(double[] residuals, double capturedEnergy, int products, int steps, boolean converged) {
    /** The largest residual. */
    public double largestResidual() {
        double largest = 0;
        for (double r : residuals) {
            largest = Math.max(largest, r);
        }
        return largest;
    }
}
