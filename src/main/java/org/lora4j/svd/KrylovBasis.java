package org.lora4j.svd;

import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.NativeException;
import org.lora4j.device.Op;
import org.lora4j.device.Side;
import org.lora4j.device.Triangle;

/**
 * A growing orthonormal block Lanczos basis V = [V₁ … V_q] of GᵀG, with Y = G·V, and the singular triplets of G on it.
 *
 * <p>V₁ spans GᵀG·Ω of a random Ω. YᵀY = X·Σ²·Xᵀ gives the right vectors V·X (Rayleigh and
 * Ritz) and with U·Lᵀ = Y·X the left ones; L is diagonal but for rounding. Where σ_k² is too small beside σ₁² for squares
 * in the matrix's precision, Y is decomposed exactly instead. As GᵀY − V·(YᵀY) = R stands in the last block alone, R and L
 * have the residuals: G·(V·X) = U·Lᵀ and Gᵀ·U = (V·X)·L + R·X_q·L⁻ᵀ, with X_q the last rows of X.
 */
final class KrylovBasis implements AutoCloseable {
    /** What a normalised vector may have in V's span for one more projection to leave nothing but rounding there. */
    private static final double APART = 0.1;

    private final Device device;
    private final Matrix g;
    private final DataType type;
    private final int k;
    private final int block;
    private double unit = 1; // what is decomposed is G/unit, a power of two
    private Matrix v; // (n, capacity)
    private Matrix y; // G·V (m, capacity)
    private Matrix c; // VᵀGᵀGV, lower triangle (capacity, capacity)
    private Matrix r; // what GᵀG·V_q has outside V (n, block)
    private int width; // columns of V that G has been applied to
    private int products;

    /** Room for {@code steps} blocks; it grows where more are asked for. */
    KrylovBasis(Matrix g, int k, int block, int steps) {
        this.g = g;
        this.device = g.device();
        this.type = g.type();
        this.k = k;
        this.block = block;
        try {
            reserve(steps * block);
            r = device.temporary(type, g.cols(), block);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** V₁ from the seed; false where G is zero, or the random block was orthogonal to all of it. */
    boolean start(long seed) {
        Matrix first = v.columns(0, block);
        Triplets.randomSigns(first, seed);
        product(first, y.columns(0, block), r);
        if (!inRange(device.largest(r))) {
            unit = Triplets.powerOfTwo(device.largest(g));
            product(first, y.columns(0, block), r);
        }
        device.copy(r, first);
        boolean some = device.largest(r) != 0;
        boolean orthonormal = false;
        for (int pass = 0; some && !orthonormal && pass < 5; pass++) { // two do, unless G is nearly of lower rank
            orthonormal = orthonormalise(first) > 0.5;
        }
        return orthonormal;
    }

    /** Whether GᵀG·Ω is far enough from over- and underflow for products of such numbers. */
    private boolean inRange(double largest) {
        double far = type == DataType.FLOAT32 ? 0x1p40 : 0x1p400;
        return Math.abs(largest) < far && Math.abs(largest) > 1 / far;
    }

    /** Grows the basis to {@code steps} blocks; false when there is nothing orthonormal to grow by. */
    boolean extend(int steps) {
        reserve(steps * block);
        while (width < steps * block) {
            if (width > 0 && !append()) {
                return false;
            }
            int to = width + block;
            product(v.columns(width, to), y.columns(width, to), r);
            Matrix row = c.view(width, to, 0, to);
            device.gemm(1, r, Op.TRANSPOSE, v.columns(0, to), Op.NONE, 0, row);
            device.gemm(-1, v.columns(0, to), Op.NONE, row, Op.TRANSPOSE, 1, r);
            width = to;
        }
        return true;
    }

    /** The next block of V: R orthonormalised; random vectors where that is only rounding. False if there is no such block. */
    private boolean append() {
        Matrix before = v.columns(0, width);
        Matrix next = v.columns(width, width + block);
        Random random = new Random(width);
        device.copy(r, next);
        orthonormalise(next);
        try (Matrix overlap = device.temporary(type, width, block)) {
            for (int pass = 1; pass <= 12; pass++) { // one does, unless R is little more than rounding
                device.gemm(1, before, Op.TRANSPOSE, next, Op.NONE, 0, overlap);
                boolean apart = Math.abs(device.largest(overlap)) < APART;
                for (int j = 0; !apart && pass % 4 == 0 && j < block; j++) { // what rounding left of it lies in V's span again
                    if (!(Math.abs(device.largest(overlap.columns(j, j + 1))) < APART)) {
                        Triplets.randomise(next.columns(j, j + 1), random);
                    }
                }
                if (!apart && pass % 4 == 0) {
                    device.gemm(1, before, Op.TRANSPOSE, next, Op.NONE, 0, overlap);
                }
                device.gemm(-1, before, Op.NONE, overlap, Op.NONE, 1, next);
                if (orthonormalise(next) > 0.5 && apart) {
                    return true;
                }
            }
            return false;
        }
    }

    /** Y ← G·X/unit and Z ← Gᵀ·G·X/unit². A far unit is divided out of the vectors, not of G. */
    private void product(Matrix x, Matrix gx, Matrix ggx) {
        products += 2;
        if (unit != 1) {
            device.scale(1 / unit, x);
        }
        device.powerStep(g, x, gx, unit > 1 ? null : ggx);
        if (unit != 1) {
            device.scale(unit, x);
        }
        if (unit > 1) { // Gᵀ·(G·X) would overflow
            device.scale(1 / unit, gx);
            device.gemm(1, g, Op.TRANSPOSE, gx, Op.NONE, 0, ggx);
            device.scale(unit, gx);
        } else if (unit < 1) {
            device.scale(1 / unit, ggx);
        }
    }

    /**
     * X ← Q of X = Q·R by Cholesky's factor of XᵀX. Returns the least element of R's diagonal: about 1 where X was
     * orthonormal already, which Q then is to rounding; 0 where X has dependent columns, and Q is Householder's.
     */
    private double orthonormalise(Matrix x) {
        int n = (int) x.cols();
        try (Matrix l = device.temporary(type, n, n)) {
            if (!factor(x, l)) {
                device.qr(x, l);
                return 0;
            }
            device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.TRANSPOSE, 1, l, x);
            double[] triangle = l.read();
            double least = triangle[0];
            for (int i = 1; i < n; i++) {
                least = Math.min(least, triangle[i * n + i]);
            }
            return least;
        }
    }

    /** XᵀX = L·Lᵀ; false where it has no such factor. */
    private boolean factor(Matrix x, Matrix l) {
        device.gemm(1, x, Op.TRANSPOSE, x, Op.NONE, 0, l);
        try {
            device.cholesky(l);
            return true;
        } catch (NativeException dependent) {
            return false;
        }
    }

    /**
     * The leading k triplets of G on the basis, or null where a residual exceeds the tolerance.
     *
     * @param anyway whether they are wanted all the same
     */
    SingularTriplets solve(double tolerance, boolean anyway, long seed) {
        try (Matrix x = device.temporary(type, k, width); Matrix gram = device.temporary(type, block, block)) {
            double[] sigma = ritz(x);
            device.gemm(1, r, Op.TRANSPOSE, r, Op.NONE, 0, gram);
            double[] rr = gram.read();
            double[] last = x.columns(width - block, width).read();
            for (int i = 0; i < k && !anyway; i++) {
                if (sigma[i] > 0 && outside(rr, last, i) / sigma[i] > tolerance * sigma[0]) {
                    return null;
                }
            }
            return triplets(x, rr, tolerance, anyway, seed);
        }
    }

    /** ‖R·tᵢ‖ of row i of T, from RᵀR. */
    private double outside(double[] rr, double[] t, int i) {
        double sum = 0;
        for (int p = 0; p < block; p++) {
            for (int q = 0; q < block; q++) {
                sum += t[i * block + p] * rr[p * block + q] * t[i * block + q];
            }
        }
        return Math.sqrt(Math.max(0, sum));
    }

    /** Xᵀ, the leading k right vectors in V's coordinates, into x's rows; returns their singular values by squares. */
    private double[] ritz(Matrix x) {
        double[] sigma = new double[k];
        try (Matrix t = device.temporary(type, width, width); Matrix squares = device.temporary(type, 1, width)) {
            device.copy(c.view(0, width, 0, width), t);
            device.symmetricEigen(t, squares);
            double[] sigma2 = squares.read();
            boolean lost = !(sigma2[width - k] > 16 * 2 * type.unitRoundoff() * Math.sqrt(width) * sigma2[width - 1]);
            for (int i = 0; i < k; i++) {
                device.copy(t.rows(width - 1 - i, width - i), x.rows(i, i + 1));
                sigma[i] = Math.sqrt(Math.max(0, sigma2[width - 1 - i]));
            }
            return lost ? exact(x) : sigma;
        }
    }

    /** The same by the exact SVD of Y. */
    private double[] exact(Matrix x) {
        try (Matrix u = device.temporary(type, g.rows(), width); Matrix s = device.temporary(type, 1, width); Matrix xt = device.temporary(type, width, width)) {
            device.svd(y.columns(0, width), u, s, xt);
            device.copy(xt.rows(0, k), x);
            return s.columns(0, k).read();
        }
    }

    private SingularTriplets triplets(Matrix x, double[] rr, double tolerance, boolean anyway, long seed) {
        Matrix vt = device.allocate(type, k, g.cols());
        Matrix u = null;
        try (Matrix l = device.temporary(type, k, k)) {
            device.gemm(1, x, Op.NONE, v.columns(0, width), Op.TRANSPOSE, 0, vt);
            u = device.allocate(type, g.rows(), k);
            device.gemm(1, y.columns(0, width), Op.NONE, x, Op.TRANSPOSE, 0, u); // G·(V·X)
            double[] sigma = new double[k];
            double[] residuals = new double[k];
            if (!factor(u, l)) {
                measured(u, vt, true, sigma, residuals);
            } else {
                device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.TRANSPOSE, 1, l, u);
                device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, l, x.columns(width - block, width));
                fromFactor(l.read(), rr, x.columns(width - block, width).read(), sigma, residuals);
                if (8 * type.unitRoundoff() * Math.sqrt(width) * sigma[0] / sigma[k - 1] > tolerance / 10) {
                    measured(u, vt, false, sigma, residuals); // VᵀGᵀGV is not exact enough for a σ so small
                }
            }
            boolean converged = true;
            for (double residual : residuals) {
                converged &= residual <= tolerance;
            }
            if (!converged && !anyway) {
                u.close();
                vt.close();
                return null;
            }
            return Triplets.finish(g, u, sigma, vt, unit, residuals, products, width / block, converged, seed);
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
            double right = 0; // ‖G·vᵢ − σᵢ·uᵢ‖
            double left = outside(rr, t, i); // ‖Gᵀ·uᵢ − σᵢ·vᵢ‖
            for (int j = 0; j < i; j++) {
                right = Math.hypot(right, l[i * k + j]);
            }
            for (int j = i + 1; j < k; j++) {
                left = Math.hypot(left, l[j * k + i]);
            }
            residuals[i] = Math.max(right, left) / l[0];
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
            device.gemm(1 / unit, g, Op.TRANSPOSE, u, Op.NONE, 0, back);
            products += Math.ceilDiv(k, block);
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

    /** Makes room for {@code columns} columns and keeps what is there. */
    private void reserve(int columns) {
        if (v != null && v.cols() >= columns) {
            return;
        }
        v = grown(v, g.cols(), columns);
        y = grown(y, g.rows(), columns);
        c = grown(c, columns, columns);
    }

    private Matrix grown(Matrix old, long rows, long columns) {
        Matrix larger = device.temporary(type, rows, columns);
        if (old != null) {
            device.copy(old, larger.view(0, old.rows(), 0, old.cols()));
            old.close();
        }
        return larger;
    }

    @Override
    public void close() {
        for (Matrix a : new Matrix[] {v, y, c, r}) {
            if (a != null) {
                a.close();
            }
        }
    }
}
