package org.lora4j.svd;

import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.device.Side;
import org.lora4j.device.Triangle;

/**
 * A growing orthonormal block Lanczos basis V = [V₁ … V_q] of GᵀG, with Y = G·V. V₁ spans GᵀG·Ω of a random Ω.
 *
 * <p>GᵀY − V·(YᵀY) is zero, to rounding, but for its last block R, which has no part in V and is where V grows next.
 */
final class KrylovBasis implements AutoCloseable {
    /** What a normalised vector may have in V's span for one more projection to leave nothing but rounding there. */
    private static final double APART = 0.1;
    /** Of so many rows one is sampled before the first step: a small part of a step. */
    private static final long SAMPLED = 32;
    /** ‖L − I‖ (Frobenius) up to which X has a condition below 1.3, and X·L⁻ᵀ is orthonormal to rounding. */
    private static final double NEAR = 0.125;

    private final Device device;
    private final Matrix g;
    private final DataType type;
    private final int block;
    private double unit = 1; // what is decomposed is G/unit, a power of two
    private double norm2; // ‖G‖²
    private Matrix v; // (n, capacity)
    private Matrix y; // G·V (m, capacity)
    private Matrix c; // VᵀGᵀGV, lower triangle (capacity, capacity)
    private Matrix r; // what GᵀG·V_q has outside V (n, block)
    private int width; // columns of V that G has been applied to
    private int products;

    /** Room for {@code steps} blocks; it grows where more are asked for. */
    KrylovBasis(Matrix g, int block, int steps) {
        this.g = g;
        this.device = g.device();
        this.type = g.type();
        this.block = block;
        try {
            reserve(steps * block);
            r = device.temporaryUnset(type, g.cols(), block);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /**
     * V₁ from the seed; false where G is zero, or the random block was orthogonal to all of it.
     *
     * @param sampled whether Ω is made of some rows of G too
     */
    boolean start(long seed, boolean sampled) {
        Matrix first = v.columns(0, block);
        device.uniform(seed, first);
        if (sampled) {
            addSample(seed, first);
        }
        norm2 = device.powerStepAndNorm(g, first, y.columns(0, block), r);
        products += 2;
        if (!inRange(device.largest(r))) {
            int most = type == DataType.FLOAT32 ? 126 : 1022; // the inverse must be a number of the type too
            unit = Math.scalb(1.0, Math.clamp(Math.getExponent(Triplets.powerOfTwo(device.largest(g))), -most, most));
            product(first, y.columns(0, block), r);
        }
        device.copy(r, first);
        boolean some = device.largest(r) != 0;
        boolean orthonormal = false;
        for (int pass = 0; some && !orthonormal && pass < 5; pass++) { // two do, unless G is nearly of lower rank
            orthonormal = orthonormalise(first);
        }
        return orthonormal;
    }

    /**
     * Adds to Ω random sums of neighbouring rows of G, as large as Ω itself: they lean towards the leading right vectors as if half a step had
     * been made. What those rows have nothing of is in Ω's random numbers as before, and found a little later than without.
     */
    private void addSample(long seed, Matrix omega) {
        long count = Math.ceilDiv(g.rows(), SAMPLED);
        long from = new Random(seed).nextLong(g.rows() - count + 1);
        Matrix rows = g.rows(from, from + count);
        try (Matrix weights = device.temporaryUnset(type, count, block)) {
            device.uniform(seed, weights);
            device.gemm(1, rows, Op.TRANSPOSE, weights, Op.NONE, 0, r);
            double scale = Math.sqrt(device.dot(omega, omega) / device.dot(r, r));
            if (inRange(scale)) {
                device.scale(scale, weights);
                device.gemm(1, rows, Op.TRANSPOSE, weights, Op.NONE, 1, omega);
            }
        }
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
        try (Matrix overlap = device.temporaryUnset(type, width, block)) {
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
                if (orthonormalise(next) && apart) {
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
     * X ← Q of X = Q·Lᵀ by Cholesky's factor of XᵀX. Whether X was orthonormal but for little, and now is to rounding: else
     * XᵀX has lost some of it, and it takes another pass. Where X has dependent columns, Q is Householder's.
     */
    private boolean orthonormalise(Matrix x) {
        int n = (int) x.cols();
        try (Matrix l = device.temporaryUnset(type, n, n)) {
            if (!Triplets.factor(x, l)) {
                device.qr(x, l);
                return false;
            }
            device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.TRANSPOSE, 1, l, x);
            double[] triangle = l.read();
            double distance2 = 0;
            for (int i = 0; i < n; i++) {
                triangle[i * n + i] -= 1;
            }
            for (double element : triangle) {
                distance2 += element * element;
            }
            return distance2 < NEAR * NEAR;
        }
    }

    /** The leading k triplets of G on the basis; see {@link RitzTriplets}. */
    RitzTriplets triplets(int k) {
        return new RitzTriplets(this, k);
    }

    Matrix g() {
        return g;
    }

    /** A power of two: of G divided by it are all the others. */
    double unit() {
        return unit;
    }

    /** ‖G‖² (Frobenius). */
    double norm2() {
        return norm2;
    }

    int block() {
        return block;
    }

    /** The columns of V and of G·V. */
    int width() {
        return width;
    }

    /** Products of G or Gᵀ with a block so far. */
    int products() {
        return products;
    }

    /** Counts products that were made elsewhere. */
    void count(int more) {
        products += more;
    }

    /** V (n, width). */
    Matrix v() {
        return v.columns(0, width);
    }

    /** G·V (m, width). */
    Matrix y() {
        return y.columns(0, width);
    }

    /** VᵀGᵀGV (width, width), of which the lower triangle is there. */
    Matrix c() {
        return c.view(0, width, 0, width);
    }

    /** R (n, block). */
    Matrix r() {
        return r;
    }

    /** Makes room for {@code columns} columns and keeps what is there. */
    private void reserve(int columns) {
        if (v != null && v.cols() >= columns) {
            return;
        }
        v = grown(v, device.temporaryUnset(type, g.cols(), columns));
        y = grown(y, device.temporaryUnset(type, g.rows(), columns));
        c = grown(c, device.temporary(type, columns, columns)); // zeros where only a triangle is written
    }

    private Matrix grown(Matrix old, Matrix larger) {
        if (old != null) {
            try {
                device.copy(old, larger.view(0, old.rows(), 0, old.cols()));
            } catch (RuntimeException e) {
                larger.close();
                throw e;
            }
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
