package org.lora4j.svd;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** What is measured of triplets for their {@link Certificate}. */
final class Residuals {
    private Residuals() {}

    /**
     * ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ for each triplet; all 0 for σ₁ = 0.
     *
     * @param gv G·V (m×k), overwritten
     * @param u U (m×k), not modified
     */
    static double[] of(Matrix gv, Matrix u, double[] sigma) {
        Device device = gv.device();
        int k = sigma.length;
        double[] diagonal = new double[k * k];
        for (int i = 0; i < k; i++) {
            diagonal[i * k + i] = sigma[i];
        }
        try (Matrix s = device.temporary(gv.type(), k, k)) {
            s.write(diagonal);
            device.gemm(-1, u, Op.NONE, s, Op.NONE, 1, gv);
        }
        double[] residuals = new double[k];
        for (int i = 0; i < k && sigma[0] > 0; i++) {
            Matrix column = gv.columns(i, i + 1);
            residuals[i] = Math.sqrt(device.dot(column, column)) / sigma[0];
        }
        return residuals;
    }

    /** Σ σᵢ² over ‖G‖² = {@code norm2}, at most 1; 1 for G = 0. */
    static double capturedEnergy(double[] sigma, Matrix g, double norm2) {
        double unit = 1;
        if (!(norm2 > Double.MIN_NORMAL && norm2 <= Double.MAX_VALUE)) { // squares left float64's range
            unit = Triplets.powerOfTwo(g.device().largest(g));
            try (Matrix scaled = g.temporaryCopy(g.type())) {
                g.device().scale(1 / unit, scaled);
                norm2 = g.device().dot(scaled, scaled);
            }
        }
        double sum = 0;
        for (int i = sigma.length - 1; i >= 0; i--) {
            sum += sigma[i] / unit * (sigma[i] / unit);
        }
        return norm2 == 0 ? 1 : Math.min(1, sum / norm2);
    }
}
