package org.lora4j.init;

import org.lora4j.svd.Certificate;

/**
 * What an initialiser did.
 *
 * @param method its name
 * @param singularValues those it took the vectors of, descending: 2r of the gradient (LoRA-GA), r of the weight (PiSSA), or none
 * @param numericalRank the rank of the decomposed matrix as far as it can be told from rounding; −1 where none was decomposed
 * @param basisCompleted whether that rank was too small, so that some vectors are orthonormal to the rest but random
 * @param scale c, the norm of each row of A0 and column of B0, for LoRA-GA; NaN elsewhere
 * @param gamma γ = √m/c², by which {@link Scale.Stable} gives this c (LoRA-GA); NaN elsewhere
 * @param zeta ζ = η²·c²: the first gradient step of rate λ moves W' by −λ·ζ·G₂ᵣ (LoRA-GA); NaN elsewhere
 * @param forwardMoment E[yᵢ²] of y = η·B0·A0·x, averaged over i, for x with E[x·xᵀ] = I
 * @param backwardMoment E[dxⱼ²] of dx = η·A0ᵀ·B0ᵀ·dy, averaged over j, for dy with E[dy·dyᵀ] = I
 * @param shift ‖η·B0·A0‖/‖W'‖ (Frobenius), how much of the weight moved into the adapter: 0 where nothing did, infinite for
 *     a weight of zeros
 * @param certificate how good the singular vectors are; null where nothing was decomposed
 * @param svdSeconds the time from the matrix on the device to its singular vectors; NaN where nothing was decomposed
 */
public record Initialization(String method, double[] singularValues, int numericalRank, boolean basisCompleted, double scale, double gamma,
        double zeta, double forwardMoment, double backwardMoment, double shift, Certificate certificate, double svdSeconds) {
}
