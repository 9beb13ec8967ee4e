package org.lora4j.gradient;

import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.Certificate;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/**
 * The gradient G = Σ dYᵀ·X (m×n) of fewer rows than min(m, n), kept as its two thin factors: all of X (b×n) and dY (b×m).
 *
 * <p>The singular triplets are exact and G is never formed: with the QR factorisations dYᵀ = Q₁R₁ and Xᵀ = Q₂R₂, those of
 * the b×b matrix R₁R₂ᵀ = U·S·Vᵀ give G = (Q₁U)·S·(Q₂V)ᵀ (Golub and Van Loan, Matrix Computations, section 5.4.3's
 * R-SVD on both sides). Memory is (m+n)·capacity elements, three times that within {@link #top}.
 */
public final class FactoredGradient implements GradientSource, AutoCloseable {
    private static final int TRANSPOSED_AT_ONCE = 64;

    private final Device device;
    private final DataType type;
    private final int capacity;
    private final Matrix dyT; // (m,capacity), of which the first `used` columns are dYᵀ
    private final Matrix xT; // (n,capacity)
    private final Matrix identity;
    private int used;
    private boolean closed;

    /**
     * Allocates room for micro-batches.
     *
     * @param m out features
     * @param n in features
     * @param capacity how many rows all micro-batches together may have, from 1 to min(m, n)
     */
    public FactoredGradient(Device device, DataType type, long m, long n, int capacity) {
        Batches.checkShape(m, n);
        Batches.checkType("factored gradient", type);
        if (capacity < 1 || capacity > Math.min(m, n)) {
            throw new IllegalArgumentException("a factored gradient of " + capacity + " rows for " + m + "×" + n + ": from 1 to " + Math.min(m, n)
                    + " make sense, from there on the gradient itself is smaller");
        }
        this.device = device;
        this.type = type;
        this.capacity = capacity;
        int i = Math.min(capacity, TRANSPOSED_AT_ONCE);
        Matrix[] made = Allocations.all(device, type, new long[][] {{m, capacity}, {n, capacity}, {i, i}});
        dyT = made[0];
        xT = made[1];
        identity = made[2];
        double[] ones = new double[i * i];
        for (int j = 0; j < i; j++) {
            ones[j * i + j] = 1;
        }
        identity.write(ones);
    }

    /**
     * Keeps a copy of the micro-batch.
     *
     * @param x the layer's input, b×n, not modified
     * @param dy gradient of the loss with respect to the layer's output, b×m, not modified
     * @throws IllegalArgumentException when shape, type or device is wrong, or there is no room for b rows; nothing was
     *     kept then
     */
    public void add(Matrix x, Matrix dy) {
        Batches.checkOpen(closed, "factored gradient");
        Batches.check(device, type, rows(), cols(), x, dy);
        if (x.rows() > capacity - used) {
            throw new IllegalArgumentException(x.rows() + " rows, but there is room for " + (capacity - used) + " more of " + capacity);
        }
        int step = (int) identity.rows();
        for (int i = 0; i < x.rows(); i += step) { // transposed by products with the identity
            int to = (int) Math.min(i + step, x.rows());
            Matrix ones = identity.view(0, to - i, 0, to - i);
            device.gemm(1, x.rows(i, to), Op.TRANSPOSE, ones, Op.NONE, 0, xT.columns(used + i, used + to));
            device.gemm(1, dy.rows(i, to), Op.TRANSPOSE, ones, Op.NONE, 0, dyT.columns(used + i, used + to));
        }
        used += (int) x.rows();
    }

    /**
     * {@inheritDoc} The certificate is measured, as that of {@link ExactSvd}.
     *
     * @param k at most min(m, n); where it exceeds the number of rows, the basis is completed
     */
    @Override
    public SingularTriplets top(int k, long seed) {
        Batches.checkOpen(closed, "factored gradient");
        device.checkOwned();
        Batches.checkCount(k, Math.min(rows(), cols()), "of a gradient of " + rows() + "×" + cols());
        int c = Math.max(used, k);
        double unitY = unit("dy", dyT);
        double unitX = unit("x", xT);
        Matrix[] result = Allocations.all(device, type, new long[][] {{rows(), k}, {k, cols()}});
        try (Matrix q1 = device.allocate(type, rows(), c);
                Matrix q2 = device.allocate(type, cols(), c);
                Matrix r1 = device.allocate(type, c, c);
                Matrix r2 = device.allocate(type, c, c);
                Matrix core = device.allocate(type, c, c)) {
            factorise(dyT, unitY, q1, r1, seed);
            factorise(xT, unitX, q2, r2, seed + 1);
            device.gemm(1, r1.columns(0, used), Op.NONE, r2.columns(0, used), Op.TRANSPOSE, 0, core);
            try (SingularTriplets t = new ExactSvd().top(core, c, seed)) {
                device.gemm(1, q1, Op.NONE, t.u().columns(0, k), Op.NONE, 0, result[0]);
                device.gemm(1, t.vt().rows(0, k), Op.NONE, q2, Op.TRANSPOSE, 0, result[1]);
                ProductSvd.fixSigns(result[0], result[1]);
                double[] values = java.util.Arrays.copyOf(t.values(), k);
                Certificate certificate = new Certificate(residuals(result[0], values, result[1], unitY, unitX), captured(t.values(), k), 0, 0, true);
                for (int i = 0; i < k; i++) {
                    values[i] *= unitY * unitX;
                }
                return new SingularTriplets(result[0], values, result[1], ProductSvd.rank(t.values(), result[0], q2), certificate);
            }
        } catch (RuntimeException e) {
            result[0].close();
            result[1].close();
            throw e;
        }
    }

    private double unit(String what, Matrix a) {
        Batches.checkFinite(what, a.columns(0, used));
        return ThinColumns.powerOfTwo(device.largest(a.columns(0, used)));
    }

    /** [a/unit, random] = q·r: the random columns complete the basis where fewer rows were added than triplets are wanted. */
    private void factorise(Matrix a, double unit, Matrix q, Matrix r, long seed) {
        device.copy(a.columns(0, used), q.columns(0, used));
        device.scale(1 / unit, q.columns(0, used));
        Matrix rest = q.columns(used, q.cols());
        Random random = new Random(seed);
        rest.write(random.doubles(rest.rows() * rest.cols(), -1, 1).toArray());
        device.qr(q, r);
    }

    /** ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ with G·V = dYᵀ·(X·V). */
    private double[] residuals(Matrix u, double[] sigma, Matrix vt, double unitY, double unitX) {
        int k = sigma.length;
        double[] residuals = new double[k];
        double[] diagonal = new double[k * k];
        for (int i = 0; i < k; i++) {
            diagonal[i * k + i] = sigma[i];
        }
        try (Matrix xv = device.allocate(type, used, k); Matrix gv = device.allocate(type, rows(), k); Matrix s = device.allocate(type, k, k)) {
            s.write(diagonal);
            device.gemm(1 / unitX, xT.columns(0, used), Op.TRANSPOSE, vt, Op.TRANSPOSE, 0, xv);
            device.gemm(1 / unitY, dyT.columns(0, used), Op.NONE, xv, Op.NONE, 0, gv);
            device.gemm(-1, u, Op.NONE, s, Op.NONE, 1, gv);
            for (int i = 0; i < k && sigma[0] > 0; i++) {
                Matrix column = gv.columns(i, i + 1);
                residuals[i] = Math.sqrt(device.dot(column, column)) / sigma[0];
            }
        }
        return residuals;
    }

    private static double captured(double[] values, int k) {
        double sum = 0;
        double all = 0;
        for (int i = values.length - 1; i >= 0; i--) {
            all += values[i] * values[i];
            sum += i < k ? values[i] * values[i] : 0;
        }
        return all == 0 ? 1 : sum / all;
    }

    @Override
    public Device device() {
        return device;
    }

    @Override
    public DataType type() {
        return type;
    }

    @Override
    public long rows() {
        return dyT.rows();
    }

    @Override
    public long cols() {
        return xT.rows();
    }

    /** How many rows were added. */
    public int batchRows() {
        return used;
    }

    /** Forgets what was added. */
    public void reset() {
        Batches.checkOpen(closed, "factored gradient");
        used = 0;
    }

    /** Frees the factors. Closing again does nothing. */
    @Override
    public void close() {
        dyT.close();
        xT.close();
        identity.close();
        closed = true;
    }
}
