package org.lora4j.svd;

import java.util.Random;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** What every method does to the triplets it has found: their rank, the completion of a basis, their signs. */
final class Triplets {
    private Triplets() {}

    static void checkCount(Matrix g, int k) {
        long min = Math.min(g.rows(), g.cols());
        if (k < 1 || k > min) {
            throw new IllegalArgumentException(k + " singular triplets of a matrix of " + g.rows() + "×" + g.cols() + ": from 1 to " + min + " can be had");
        }
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

    /** Replaces the vectors from {@code rank} on by random ones orthonormal to those before. */
    static void complete(Matrix u, Matrix vt, int rank, long seed) {
        Device device = u.device();
        int k = (int) u.cols();
        Random random = new Random(seed);
        try (Matrix r = device.allocate(u.type(), k, k);
                Matrix v = device.allocate(u.type(), vt.cols(), k)) {
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
        try (Matrix identity = device.allocate(source.type(), k, k)) {
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

    /** Gives each pair the sign that makes the entry of v of largest magnitude positive. */
    static void fixSigns(Matrix u, Matrix vt) {
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
