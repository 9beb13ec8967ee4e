package org.lora4j.bench;

import org.lora4j.svd.SingularTriplets;

/**
 * Leading singular triplets in Java's memory.
 *
 * @param values σ, descending
 * @param u (m, k), row-major
 * @param v (n, k), row-major
 */
record Triplets(double[] values, double[] u, double[] v) {
    /** A copy of what a device holds. */
    static Triplets of(SingularTriplets found) {
        int k = found.values().length;
        double[] vt = found.vt().read();
        double[] v = new double[vt.length];
        int n = v.length / k;
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < n; j++) {
                v[j * k + i] = vt[i * n + j];
            }
        }
        return new Triplets(found.values(), found.u().read(), v);
    }

    /**
     * ‖PᵀQ‖²/k (Frobenius) for the first k columns of each: 1 where they span the same space, 0 where the spaces are orthogonal.
     *
     * @param p row-major, of as many rows as {@code q}, its columns orthonormal
     * @param q row-major, its columns orthonormal
     */
    private static double overlap(double[] p, int colsP, double[] q, int colsQ, int k) {
        double[] product = new double[k * k];
        for (int row = 0; row < p.length / colsP; row++) {
            for (int i = 0; i < k; i++) {
                double x = p[row * colsP + i];
                for (int j = 0; j < k; j++) {
                    product[i * k + j] += x * q[row * colsQ + j];
                }
            }
        }
        double sum = 0;
        for (double x : product) {
            sum += x * x;
        }
        return sum / k;
    }

    /** How much of the span of the first k columns of U lies in that of the other's, from 0 to 1. */
    double overlapU(Triplets other, int k) {
        return overlap(u, values.length, other.u, other.values.length, k);
    }

    /** The same of V. */
    double overlapV(Triplets other, int k) {
        return overlap(v, values.length, other.v, other.values.length, k);
    }
}
