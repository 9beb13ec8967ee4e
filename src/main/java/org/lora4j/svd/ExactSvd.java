package org.lora4j.svd;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

import java.util.Random;

/** All singular triplets by {@link Device#svd}, of which the leading ones are kept. Costs O(m·n·min(m, n)). */
public final class ExactSvd implements TopSvd {
    /** It has no settings. */
    public ExactSvd() {}

    @Override
    public SingularTriplets top(Matrix g, int k, long seed) {
        long min = Math.min(g.rows(), g.cols());
        if (k < 1 || k > min) {
            throw new IllegalArgumentException(k + " singular triplets of a matrix of " + g.rows() + "×" + g.cols() + ": from 1 to " + min + " can be had");
        }
        Device device = g.device();
        DataType type = g.type();
        Matrix leadingU = device.allocate(type, g.rows(), k);
        Matrix leadingVt = device.allocate(type, k, g.cols());
        try (Matrix scaled = device.allocate(type, g.rows(), g.cols());
                Matrix u = device.allocate(type, g.rows(), min);
                Matrix s = device.allocate(type, 1, min);
                Matrix vt = device.allocate(type, min, g.cols())) {
            double unit = powerOfTwo(device.largest(g));
            device.copy(g, scaled);
            device.scale(1 / unit, scaled);
            device.svd(scaled, u, s, vt);
            double[] values = s.read();
            int rank = numericalRank(values, Math.max(g.rows(), g.cols()), type);
            device.copy(u.columns(0, k), leadingU);
            device.copy(vt.rows(0, k), leadingVt);
            if (rank < k) {
                complete(leadingU, leadingVt, rank, seed);
            }
            fixSigns(leadingU, leadingVt);
            double[] leading = new double[k];
            for (int i = 0; i < k; i++) {
                leading[i] = values[i] * unit;
            }
            return new SingularTriplets(leadingU, leading, leadingVt, rank);
        } catch (RuntimeException e) {
            leadingU.close();
            leadingVt.close();
            throw e;
        }
    }

    /** The power of two at or below |x|, by which dividing is exact; 1 for 0. Its inverse is finite too. */
    private static double powerOfTwo(double x) {
        if (!Double.isFinite(x)) {
            throw new IllegalArgumentException("the matrix contains " + x + "; every element must be finite");
        }
        return x == 0 ? 1 : Math.scalb(1.0, Math.max(Math.getExponent(x), Double.MIN_EXPONENT));
    }

    /** The singular values above 4·ε·√max(m, n)·σ₁: what LAPACK's rounding leaves where an exact one would be 0. */
    private static int numericalRank(double[] values, long size, DataType type) {
        double threshold = 4 * 2 * type.unitRoundoff() * Math.sqrt(size) * values[0];
        int rank = 0;
        while (rank < values.length && values[rank] > threshold) {
            rank++;
        }
        return rank;
    }

    /** Replaces the vectors from {@code rank} on by random ones orthonormal to those before. */
    private static void complete(Matrix u, Matrix vt, int rank, long seed) {
        Device device = u.device();
        int k = (int) u.cols();
        Random random = new Random(seed);
        try (Matrix r = device.allocate(u.type(), k, k);
                Matrix identity = device.allocate(u.type(), k, k);
                Matrix v = device.allocate(u.type(), vt.cols(), k)) {
            for (int i = 0; i < k; i++) {
                identity.view(i, i + 1, i, i + 1).write(1);
            }
            device.gemm(1, vt, Op.TRANSPOSE, identity, Op.NONE, 0, v);
            randomise(u.columns(rank, k), random);
            randomise(v.columns(rank, k), random);
            device.qr(u, r); // orthonormal columns stay what they are, because R's diagonal is positive
            device.qr(v, r);
            device.gemm(1, identity, Op.NONE, v, Op.TRANSPOSE, 0, vt);
        }
    }

    private static void randomise(Matrix a, Random random) {
        double[] values = new double[Math.toIntExact(a.rows() * a.cols())];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextGaussian();
        }
        a.write(values);
    }

    private static void fixSigns(Matrix u, Matrix vt) {
        Device device = u.device();
        for (long i = 0; i < u.cols(); i++) {
            Matrix v = vt.rows(i, i + 1);
            if (device.largest(v) < 0) {
                device.scale(-1, v);
                device.scale(-1, u.columns(i, i + 1));
            }
        }
    }
}
