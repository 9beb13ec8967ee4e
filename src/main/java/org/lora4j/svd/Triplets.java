package org.lora4j.svd;

import java.util.Random;
import java.util.function.LongFunction;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.NativeException;
import org.lora4j.device.Op;

/** What every method does to the triplets it has found: their rank, the completion of a basis, their signs. */
final class Triplets {
    private Triplets() {}

    static void checkCount(Matrix g, int k) {
        if (g.type() != g.type().accumulation()) {
            throw new IllegalArgumentException("singular triplets of " + g.type() + ": they are found of FLOAT32 and FLOAT64; convert it");
        }
        long min = Math.min(g.rows(), g.cols());
        if (k < 1 || k > min) {
            throw new IllegalArgumentException(k + " singular triplets of a matrix of " + g.rows() + "×" + g.cols() + ": from 1 to " + min + " can be had");
        }
    }

    /** The power of two at or below |x|, by which dividing is exact; 1 for 0. Its inverse is finite too. */
    static double powerOfTwo(double x) {
        if (!Double.isFinite(x)) {
            throw new IllegalArgumentException("the matrix contains " + x + "; every element must be finite");
        }
        return x == 0 ? 1 : Math.scalb(1.0, Math.max(Math.getExponent(x), Double.MIN_EXPONENT));
    }

    /** The singular values above 4·ε·√max(m, n)·σ₁: below stands what rounding leaves where an exact one would be 0. */
    static int numericalRank(double[] values, Matrix g) {
        double threshold = 4 * 2 * g.type().unitRoundoff() * Math.sqrt(Math.max(g.rows(), g.cols())) * values[0];
        int rank = 0;
        while (rank < values.length && values[rank] > threshold) {
            rank++;
        }
        return rank;
    }

    /** XᵀX = L·Lᵀ; false where it has no such factor. */
    static boolean factor(Matrix x, Matrix l) {
        x.device().gemm(1, x, Op.TRANSPOSE, x, Op.NONE, 0, l);
        try {
            x.device().cholesky(l);
            return true;
        } catch (NativeException dependent) {
            return false;
        }
    }

    /** Replaces the vectors from {@code rank} on by random ones orthonormal to those before. */
    static void complete(Matrix u, Matrix vt, int rank, long seed) {
        Device device = u.device();
        int k = (int) u.cols();
        Random random = new Random(seed);
        try (Matrix r = device.temporary(u.type(), k, k);
                Matrix v = device.temporary(u.type(), vt.cols(), k)) {
            transpose(vt, v);
            randomise(u.columns(rank, k), random);
            randomise(v.columns(rank, k), random);
            device.qr(u, r); // orthonormal columns stay what they are, because R's diagonal is positive
            device.qr(v, r);
            transpose(v, vt);
        }
    }

    /** target ← sourceᵀ, by a product with the identity of the smaller side. */
    static void transpose(Matrix source, Matrix target) {
        Device device = source.device();
        boolean wide = source.cols() > source.rows();
        int k = (int) Math.min(source.rows(), source.cols());
        double[] ones = new double[k * k];
        for (int i = 0; i < k; i++) {
            ones[i * k + i] = 1;
        }
        try (Matrix identity = device.temporary(source.type(), k, k)) {
            identity.write(ones);
            if (wide) {
                device.gemm(1, source, Op.TRANSPOSE, identity, Op.NONE, 0, target);
            } else {
                device.gemm(1, identity, Op.NONE, source, Op.TRANSPOSE, 0, target);
            }
        }
    }

    /** Fills {@code a} with standard normal numbers. */
    static void randomise(Matrix a, Random random) {
        double[] values = new double[Math.toIntExact(a.rows() * a.cols())];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextGaussian();
        }
        a.write(values);
    }

    /** Gives each right vector, a row of Vᵀ, the sign that makes its entry of largest magnitude positive, and the same one to what belongs to it. */
    static void fixSigns(Matrix vt, LongFunction<Matrix> belonging) {
        Device device = vt.device();
        for (long i = 0; i < vt.rows(); i++) {
            Matrix v = vt.rows(i, i + 1);
            double sign = device.largest(v) < 0 ? -1 : 1; // the counters don't tell which: it is the library's
            device.scale(sign, v);
            device.scale(sign, belonging.apply(i));
        }
    }

    /**
     * Makes the result: descending, completed where the rank is low, σ scaled back. Takes over U and Vᵀ, whose signs are fixed.
     *
     * @param sigma of G/unit, descending but for near equals
     * @param norm2 ‖G‖²
     */
    static SingularTriplets finish(Matrix g, Matrix u, double[] sigma, Matrix vt, double unit, double norm2, double[] residuals, int products, int steps,
            boolean converged, long seed) {
        for (int i = 1; i < sigma.length; i++) { // insertion sort: near equals may have changed places
            for (int j = i; j > 0 && sigma[j] > sigma[j - 1]; j--) {
                swap(u.columns(j, j + 1), u.columns(j - 1, j));
                swap(vt.rows(j, j + 1), vt.rows(j - 1, j));
                swap(sigma, j);
                swap(residuals, j);
            }
        }
        int rank = numericalRank(sigma, g);
        if (rank < sigma.length) {
            complete(u, vt, rank, seed);
            fixSigns(vt, i -> u.columns(i, i + 1));
        }
        double[] values = new double[sigma.length];
        for (int i = 0; i < sigma.length; i++) {
            values[i] = sigma[i] * unit;
        }
        double captured = Residuals.capturedEnergy(values, g, norm2);
        return new SingularTriplets(u, values, vt, rank, new Certificate(residuals, captured, products, steps, converged));
    }

    /** Whether {@code times} of the values that aren't zero are equal, as far as an iteration of few steps can tell. */
    static boolean repeated(double[] values, int times) {
        for (int i = 0; i + times <= values.length; i++) {
            if (values[i + times - 1] > 0 && values[i + times - 1] >= values[i] * (1 - 1e-3)) {
                return true;
            }
        }
        return false;
    }

    private static void swap(double[] a, int j) {
        double x = a[j];
        a[j] = a[j - 1];
        a[j - 1] = x;
    }

    private static void swap(Matrix a, Matrix b) {
        Device device = a.device();
        try (Matrix copy = device.temporary(a.type(), a.rows(), a.cols())) {
            device.copy(a, copy);
            device.copy(b, a);
            device.copy(copy, b);
        }
    }
}
