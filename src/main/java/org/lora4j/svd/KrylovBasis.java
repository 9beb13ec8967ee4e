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
 * A growing orthonormal block Lanczos basis V = [V₁ … V_q] of GᵀG and the singular triplets of G on it.
 *
 * <p>VᵀGᵀGV = X·Σ²·Xᵀ gives the leading right vectors V·X (Rayleigh and Ritz); U follows from one more pass over G, which
 * also measures the residuals. Where σ_k² is too small beside σ₁² for squares in the matrix's precision, G·V is
 * decomposed exactly instead.
 */
final class KrylovBasis implements AutoCloseable {
    private final Device device;
    private final Matrix g;
    private final DataType type;
    private final int k;
    private final int block;
    private double unit = 1; // what is decomposed is G/unit, a power of two
    private Matrix y; // G·V_j (m, block)
    private Matrix z; // Gᵀ·G·V_j (n, block)
    private Matrix v; // (n, capacity)
    private Matrix c; // VᵀGᵀGV, lower triangle (capacity, capacity)
    private int width; // columns of V that G has been applied to
    private int products;

    KrylovBasis(Matrix g, int k, int block, long seed) {
        this.g = g;
        this.device = g.device();
        this.type = g.type();
        this.k = k;
        this.block = block;
        try {
            y = device.temporary(type, g.rows(), block);
            z = device.temporary(type, g.cols(), block);
            reserve(block);
            Triplets.randomSigns(v, seed);
            orthonormalise(v, null);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Grows the basis to {@code steps} blocks; false when G is all zeros, or has nothing orthonormal to grow by. */
    boolean extend(int steps) {
        reserve(steps * block);
        while (width < steps * block) {
            if (width > 0 && !append()) {
                return false;
            }
            int to = width + block;
            product(v.columns(width, to), y, z);
            if (width == 0 && !inRange(device.largest(z))) {
                double largest = device.largest(g);
                unit = Triplets.powerOfTwo(largest);
                if (largest == 0) {
                    return false;
                }
                product(v.columns(0, to), y, z);
            }
            device.gemm(1, z, Op.TRANSPOSE, v.columns(0, to), Op.NONE, 0, c.view(width, to, 0, to));
            width = to;
        }
        return true;
    }

    /** Whether GᵀG·V is far enough from over- and underflow, and finite. */
    private boolean inRange(double largest) {
        double far = type == DataType.FLOAT32 ? 0x1p40 : 0x1p400;
        return Math.abs(largest) < far && Math.abs(largest) > 1 / far;
    }

    /** The next block of V: what GᵀG·V_j has outside V's span, orthonormalised; random vectors where that is only rounding. False if there is no such block. */
    private boolean append() {
        Matrix before = v.columns(0, width);
        Matrix next = v.columns(width, width + block);
        Random random = new Random(width);
        double small = 64 * type.unitRoundoff();
        device.copy(z, next);
        try (Matrix overlap = device.temporary(type, width + block, block)) {
            Matrix outside = overlap.rows(0, width);
            Matrix within = overlap.rows(width, width + block);
            for (int pass = 0; pass < 12; pass++) { // two do, unless rounding is all that is left outside V
                if (pass > 1) {
                    device.gemm(1, v.columns(0, width + block), Op.TRANSPOSE, next, Op.NONE, 0, overlap);
                    double[] gram = within.read();
                    boolean orthonormal = Math.abs(device.largest(outside)) < small;
                    for (int i = 0; i < gram.length; i++) {
                        orthonormal &= Math.abs(gram[i] - (i % (block + 1) == 0 ? 1 : 0)) < small;
                    }
                    if (orthonormal) {
                        return true;
                    }
                    for (int j = 0; pass % 4 == 2 && j < block; j++) { // what rounding left of it lies in V's span again
                        if (!(Math.abs(device.largest(outside.columns(j, j + 1))) < small)) {
                            Triplets.randomise(next.columns(j, j + 1), random);
                        }
                    }
                }
                device.gemm(1, before, Op.TRANSPOSE, next, Op.NONE, 0, outside);
                device.gemm(-1, before, Op.NONE, outside, Op.NONE, 1, next);
                orthonormalise(next, null);
            }
            return false;
        }
    }

    /** G·X/unit and, unless it is null, Gᵀ·G·X/unit². A far unit is divided out of the vectors, not of G. */
    private void product(Matrix x, Matrix gx, Matrix ggx) {
        products += ggx == null ? 1 : 2;
        if (unit != 1) {
            device.scale(1 / unit, x);
        }
        device.powerStep(g, x, gx, unit > 1 ? null : ggx);
        if (unit != 1) {
            device.scale(unit, x);
        }
        if (ggx != null && unit > 1) { // Gᵀ·(G·X) would overflow
            device.scale(1 / unit, gx);
            device.gemm(1, g, Op.TRANSPOSE, gx, Op.NONE, 0, ggx);
            device.scale(unit, gx);
        } else if (ggx != null && unit < 1) {
            device.scale(1 / unit, ggx);
        }
    }

    /**
     * X ← Q of X = Q·R, and Y ← Y·R⁻¹ unless {@code y} is null. Returns R's triangle as L = Rᵀ (row after row); null
     * without Y, and where X has dependent columns: Q is then completed, and Y is left alone.
     */
    private double[] orthonormalise(Matrix x, Matrix y) {
        int n = (int) x.cols();
        try (Matrix l = device.temporary(type, n, n)) {
            device.gemm(1, x, Op.TRANSPOSE, x, Op.NONE, 0, l);
            try {
                device.cholesky(l);
            } catch (NativeException dependent) {
                device.qr(x, l);
                return null;
            }
            device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.TRANSPOSE, 1, l, x);
            if (y == null) {
                return null;
            }
            device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.TRANSPOSE, 1, l, y);
            return l.read();
        }
    }

    /**
     * The leading k triplets of G on the basis, measured on G.
     *
     * @param norm2 ‖G‖²
     */
    SingularTriplets solve(double norm2, double tolerance, long seed) {
        Matrix u = device.allocate(type, g.rows(), k);
        Matrix vt = null;
        try (Matrix right = device.temporary(type, g.cols(), k); Matrix back = device.temporary(type, g.cols(), k)) {
            vt = device.allocate(type, k, g.cols());
            if (!ritz(right)) {
                exact(right);
            }
            product(right, u, back); // U·L' = G·V with L' nearly diagonal, and Gᵀ·G·V
            double[] l = orthonormalise(u, back);
            double[] sigma = new double[k];
            double[] residuals = new double[k];
            if (l == null) { // rank below k
                device.gemm(1 / unit, g, Op.TRANSPOSE, u, Op.NONE, 0, back);
                products++;
                for (int i = 0; i < k; i++) {
                    sigma[i] = Math.max(0, device.dot(back.columns(i, i + 1), right.columns(i, i + 1)));
                }
                try (Matrix gv = device.temporary(type, g.rows(), k)) {
                    product(right, gv, null);
                    residuals = Residuals.of(gv, u, sigma);
                }
            } else {
                for (int i = 0; i < k; i++) {
                    sigma[i] = l[i * k + i];
                    for (int j = 0; j < i; j++) {
                        residuals[i] = Math.hypot(residuals[i], l[i * k + j] / l[0]); // of G·vᵢ − σᵢ·uᵢ
                    }
                }
            }
            double[] other = Residuals.of(back, right, sigma); // of Gᵀ·uᵢ − σᵢ·vᵢ
            boolean converged = true;
            for (int i = 0; i < k; i++) {
                residuals[i] = Math.max(residuals[i], other[i]);
                converged &= residuals[i] <= tolerance;
            }
            Triplets.transpose(right, vt);
            return Triplets.finish(g, u, sigma, vt, unit, new Certificate(residuals, Residuals.capturedEnergy(sigma, norm2 / (unit * unit)), products,
                    width / block, converged), seed);
        } catch (RuntimeException e) {
            u.close();
            if (vt != null) {
                vt.close();
            }
            throw e;
        }
    }

    /** The leading k vectors of V's span by squares; false where σ_k is lost in their rounding. */
    private boolean ritz(Matrix right) {
        try (Matrix t = device.temporary(type, width, width); Matrix squares = device.temporary(type, 1, width);
                Matrix x = device.temporary(type, k, width)) {
            device.copy(c.view(0, width, 0, width), t);
            device.symmetricEigen(t, squares);
            double[] sigma2 = squares.read();
            if (!(sigma2[width - k] > 16 * 2 * type.unitRoundoff() * Math.sqrt(width) * sigma2[width - 1])) {
                return false;
            }
            for (int i = 0; i < k; i++) {
                device.copy(t.rows(width - 1 - i, width - i), x.rows(i, i + 1));
            }
            device.gemm(1, v.columns(0, width), Op.NONE, x, Op.TRANSPOSE, 0, right);
            return true;
        }
    }

    /** The leading k vectors of V's span by the exact SVD of G·V. */
    private void exact(Matrix right) {
        try (Matrix gv = device.temporary(type, g.rows(), width); Matrix u = device.temporary(type, g.rows(), width);
                Matrix s = device.temporary(type, 1, width); Matrix vt = device.temporary(type, width, width)) {
            product(v.columns(0, width), gv, null);
            device.svd(gv, u, s, vt);
            device.gemm(1, v.columns(0, width), Op.NONE, vt.rows(0, k), Op.TRANSPOSE, 0, right);
        }
    }

    /** Makes room for {@code columns} columns and keeps what is there. */
    private void reserve(int columns) {
        if (v != null && v.cols() >= columns) {
            return;
        }
        v = grown(v, g.cols(), columns);
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
        for (Matrix a : new Matrix[] {y, z, v, c}) {
            if (a != null) {
                a.close();
            }
        }
    }
}
