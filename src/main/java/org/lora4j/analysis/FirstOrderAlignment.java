package org.lora4j.analysis;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * How well the first step on an adapter follows the step on the full weight.
 *
 * <p>One step of gradient descent of rate λ from (A0, B0) moves the effective weight by −λ·η²·D + O(λ²) with
 * D = G·A0ᵀ·A0 + B0·B0ᵀ·G, where full fine-tuning moves it by −λ·G (arXiv 2407.05000, section 3.1).
 */
public final class FirstOrderAlignment {
    private final double dd;
    private final double dg;
    private final double gg;

    private FirstOrderAlignment(double dd, double dg, double gg) {
        this.dd = dd;
        this.dg = dg;
        this.gg = gg;
    }

    /**
     * Measures a start.
     *
     * @param gradient G (m×n), not all zeros; not modified
     * @param a A0 (r×n), not modified
     * @param b B0 (m×r), not modified
     */
    public static FirstOrderAlignment of(Matrix gradient, Matrix a, Matrix b) {
        Device device = gradient.device();
        long m = gradient.rows();
        long n = gradient.cols();
        long r = a.rows();
        DataType type = gradient.type().accumulation();
        if (gradient.type() != type || a.type() != type || b.type() != type) {
            try (Matrix g2 = gradient.temporaryCopy(type); Matrix a2 = a.temporaryCopy(type); Matrix b2 = b.temporaryCopy(type)) {
                return of(g2, a2, b2);
            }
        }
        try (Matrix ga = device.temporary(type, m, r);
                Matrix bg = device.temporary(type, r, n);
                Matrix d = device.temporary(type, m, n)) {
            device.gemm(1, gradient, Op.NONE, a, Op.TRANSPOSE, 0, ga);
            device.gemm(1, b, Op.TRANSPOSE, gradient, Op.NONE, 0, bg);
            device.gemm(1, ga, Op.NONE, a, Op.NONE, 0, d);
            device.gemm(1, b, Op.NONE, bg, Op.NONE, 1, d);
            return new FirstOrderAlignment(device.dot(d, d), device.dot(d, gradient), device.dot(gradient, gradient));
        }
    }

    /** cos(D, G) of any step D (m×n) with the gradient G (m×n); 0 when either is all zeros. */
    public static double cosine(Matrix d, Matrix gradient) {
        Device device = gradient.device();
        return new FirstOrderAlignment(device.dot(d, d), device.dot(d, gradient), device.dot(gradient, gradient)).cosine();
    }

    /** cos(D, G): 1 when the first step follows the gradient, 0 when there is none. */
    public double cosine() {
        return dd == 0 || gg == 0 ? 0 : dg / Math.sqrt(dd) / Math.sqrt(gg);
    }

    /**
     * ‖η²·D − ζ·G‖ / ‖ζ·G‖: what is missing to a full step of size ζ. The least that rank 2r allows is {@link #optimum}.
     *
     * @param eta the adapter's scale η
     * @param zeta ζ, positive
     */
    public double residual(double eta, double zeta) {
        double t = eta * eta / zeta;
        return Math.sqrt(Math.max(0, t * t * dd / gg - 2 * t * dg / gg + 1));
    }

    /**
     * √(Σ_{i>k} σᵢ² / Σ σᵢ²): the least relative residual of rank k (Eckart and Young); 0 when all are zeros.
     *
     * @param singularValues all of them, descending
     */
    public static double optimum(double[] singularValues, int k) {
        double rest = 0;
        double all = 0;
        for (int i = singularValues.length - 1; i >= 0; i--) {
            double square = singularValues[i] * singularValues[i];
            all += square;
            rest += i >= k ? square : 0;
        }
        return all == 0 ? 0 : Math.sqrt(rest / all);
    }
}
