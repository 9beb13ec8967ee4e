package org.lora4j.svd;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.device.Side;
import org.lora4j.device.Triangle;

/**
 * The leading singular triplets of G on a {@link KrylovBasis} V with Y = G·V.
 *
 * <p>YᵀY = X·Σ²·Xᵀ gives the right vectors V·X (Rayleigh and Ritz) and with U·Lᵀ = Y·X the left ones; L is diagonal but for
 * rounding. Where σ_k² is too small beside σ₁² for squares in the matrix's precision, these are made in float64, or Y is decomposed exactly. The
 * residuals of both sides stand in L and in R = GᵀY − V·(YᵀY), which is zero but for its last block: G·(V·X) = U·Lᵀ and
 * Gᵀ·U = (V·X)·L + R·X_q·L⁻ᵀ, with X_q the last rows of X. No more products with G are made for them.
 */
final class RitzTriplets {
    /** σ_k² over what rounding leaves of σ₁² at which neighbours that differ by a hundredth are still told apart. */
    private static final double CLEAR = 128;
    /** Rows of Y that are in float64 at a time. */
    private static final long PANEL = 1024;

    private final KrylovBasis basis;
    private final Matrix g;
    private final Device device;
    private final DataType type;
    private final int k;
    private final int width;
    private final int block;

    RitzTriplets(KrylovBasis basis, int k) {
        this.basis = basis;
        this.g = basis.g();
        this.device = g.device();
        this.type = g.type();
        this.k = k;
        this.width = basis.width();
        this.block = basis.block();
    }

    /**
     * The triplets, or null where a residual exceeds what is accepted.
     *
     * @param tolerance what they converge to
     * @param accepted at most the tolerance
     * @param anyway whether they are wanted all the same
     */
    SingularTriplets solve(double tolerance, double accepted, boolean anyway, long seed) {
        try (Matrix x = device.temporaryUnset(type, k, width); Matrix gram = device.temporaryUnset(type, block, block)) {
            double[] sigma = ritz(x);
            device.gemm(1, basis.r(), Op.TRANSPOSE, basis.r(), Op.NONE, 0, gram);
            double[] rr = gram.read();
            double[] last = x.columns(width - block, width).read();
            for (int i = 0; i < k && !anyway; i++) {
                if (sigma[i] > 0 && Math.sqrt(outside2(rr, last, i)) / sigma[i] > accepted * sigma[0]) {
                    return null;
                }
            }
            return triplets(x, rr, tolerance, accepted, anyway, seed);
        }
    }

    /** ‖R·tᵢ‖² of row i of T, from RᵀR. */
    private double outside2(double[] rr, double[] t, int i) {
        double sum = 0;
        for (int p = 0; p < block; p++) {
            for (int q = 0; q < block; q++) {
                sum += t[i * block + p] * rr[p * block + q] * t[i * block + q];
            }
        }
        return Math.max(0, sum);
    }

    /** Xᵀ, the leading k right vectors in V's coordinates, into x's rows; returns their singular values. */
    private double[] ritz(Matrix x) {
        double[] sigma2;
        try (Matrix t = device.temporaryUnset(type, width, width)) {
            device.copy(basis.c(), t);
            sigma2 = eigen(t, x);
        }
        if (!(sigma2[k - 1] > CLEAR * 2 * type.unitRoundoff() * Math.sqrt(width) * sigma2[0])) {
            if (type == DataType.FLOAT64) {
                return exact(x);
            }
            sigma2 = squaresInFloat64(x);
        }
        double[] sigma = new double[k];
        for (int i = 0; i < k; i++) {
            sigma[i] = Math.sqrt(Math.max(0, sigma2[i]));
        }
        return sigma;
    }

    /** The leading eigenvectors of T, which is overwritten, into x's rows; returns their eigenvalues. */
    private double[] eigen(Matrix t, Matrix x) {
        try (Matrix w = device.temporaryUnset(t.type(), 1, width)) {
            device.symmetricEigen(t, w);
            double[] ascending = w.read();
            double[] leading = new double[k];
            for (int i = 0; i < k; i++) {
                device.convert(t.rows(width - 1 - i, width - i), x.rows(i, i + 1));
                leading[i] = ascending[width - 1 - i];
            }
            return leading;
        }
    }

    /** The same from YᵀY in float64: there squares lose no more of a σ than Y has lost already, by rounding to float32. */
    private double[] squaresInFloat64(Matrix x) {
        Matrix y = basis.y();
        try (Matrix t = device.temporary(DataType.FLOAT64, width, width)) {
            for (long from = 0; from < y.rows(); from += PANEL) {
                try (Matrix rows = y.rows(from, Math.min(from + PANEL, y.rows())).temporaryCopy(DataType.FLOAT64)) {
                    device.gemm(1, rows, Op.TRANSPOSE, rows, Op.NONE, from == 0 ? 0 : 1, t);
                }
            }
            return eigen(t, x);
        }
    }

    /** The same by the exact SVD of Y. */
    private double[] exact(Matrix x) {
        try (Matrix u = device.temporary(type, g.rows(), width); Matrix s = device.temporary(type, 1, width); Matrix xt = device.temporary(type, width, width)) {
            device.svd(basis.y(), u, s, xt);
            device.copy(xt.rows(0, k), x);
            return s.columns(0, k).read();
        }
    }

    private SingularTriplets triplets(Matrix x, double[] rr, double tolerance, double accepted, boolean anyway, long seed) {
        Matrix vt = device.temporaryUnset(type, k, g.cols());
        Matrix u = null;
        try (Matrix l = device.temporaryUnset(type, k, k)) {
            device.gemm(1, x, Op.NONE, basis.v(), Op.TRANSPOSE, 0, vt);
            Triplets.fixSigns(vt, i -> x.rows(i, i + 1)); // so U has them too
            u = device.temporaryUnset(type, g.rows(), k);
            device.gemm(1, basis.y(), Op.NONE, x, Op.TRANSPOSE, 0, u); // G·(V·X)
            double[] sigma = new double[k];
            double[] residuals = new double[k];
            if (!Triplets.factor(u, l)) {
                measured(u, vt, true, sigma, residuals);
                basis.count(Math.ceilDiv(k, block));
            } else {
                device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.TRANSPOSE, 1, l, u);
                device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, l, x.columns(width - block, width));
                fromFactor(l.read(), rr, x.columns(width - block, width).read(), sigma, residuals);
                if (4 * type.unitRoundoff() * sigma[0] / sigma[k - 1] > tolerance / 10) {
                    basis.count(Math.ceilDiv(k, block));
                    measured(u, vt, false, sigma, residuals); // VᵀGᵀGV is not exact enough for a σ so small
                }
            }
            boolean converged = true;
            boolean good = true;
            for (double residual : residuals) {
                converged &= residual <= tolerance;
                good &= residual <= accepted;
            }
            if (!good && !anyway) {
                u.close();
                vt.close();
                return null;
            }
            return Triplets.finish(g, u, sigma, vt, basis.unit(), basis.norm2(), residuals, basis.products(), width / block, converged, seed);
        } catch (RuntimeException e) {
            vt.close();
            if (u != null) {
                u.close();
            }
            throw e;
        }
    }

    /** σ and the residuals of both sides, from L and from R and T = L⁻¹·X_qᵀ. */
    private void fromFactor(double[] l, double[] rr, double[] t, double[] sigma, double[] residuals) {
        for (int i = 0; i < k; i++) {
            sigma[i] = l[i * k + i];
            double right2 = 0; // ‖G·vᵢ − σᵢ·uᵢ‖²
            double left2 = outside2(rr, t, i); // ‖Gᵀ·uᵢ − σᵢ·vᵢ‖²
            for (int j = 0; j < i; j++) {
                right2 += l[i * k + j] * l[i * k + j];
            }
            for (int j = i + 1; j < k; j++) {
                left2 += l[j * k + i] * l[j * k + i];
            }
            residuals[i] = Math.sqrt(Math.max(right2, left2)) / l[0];
        }
    }

    /**
     * The residuals by one more product with Gᵀ.
     *
     * @param u U; G·(V·X) where that has dependent columns: it is overwritten by U, and {@code sigma} is found too
     */
    private void measured(Matrix u, Matrix vt, boolean dependent, double[] sigma, double[] residuals) {
        try (Matrix right = device.temporary(type, g.cols(), k); Matrix back = device.temporary(type, g.cols(), k);
                Matrix gv = device.temporary(type, g.rows(), k); Matrix triangle = device.temporary(type, k, k)) {
            Triplets.transpose(vt, right);
            if (dependent) {
                device.copy(u, gv);
                device.qr(u, triangle);
            }
            device.scale(1 / basis.unit(), u); // before the product, which would overflow
            device.gemm(1, g, Op.TRANSPOSE, u, Op.NONE, 0, back);
            device.scale(basis.unit(), u);
            if (dependent) {
                for (int i = 0; i < k; i++) {
                    sigma[i] = Math.max(0, device.dot(back.columns(i, i + 1), right.columns(i, i + 1)));
                }
                System.arraycopy(Residuals.of(gv, u, sigma), 0, residuals, 0, k);
            }
            double[] left = Residuals.of(back, right, sigma);
            for (int i = 0; i < k; i++) {
                residuals[i] = Math.max(residuals[i], left[i]);
            }
        }
    }
}
