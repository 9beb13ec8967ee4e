package org.lora4j.bench;

import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * G = P·diag(σ)·Qᵀ with P and Q products of random reflections: a full matrix of which all singular triplets are known
 * exactly. P = H₄·H₃·H₂·H₁ and Q = K₄·K₃·K₂·K₁ with H = I − 2uuᵀ and K = I − 2vvᵀ.
 */
final class SyntheticGradient {
    private static final int REFLECTORS = 4;

    private final int m;
    private final int n;
    private final Spectrum spectrum;
    private final double[][] left = new double[REFLECTORS][]; // u of each H
    private final double[][] right = new double[REFLECTORS][]; // v of each K

    SyntheticGradient(int m, int n, Spectrum spectrum, SplittableRandom random) {
        this.m = m;
        this.n = n;
        this.spectrum = spectrum;
        for (int i = 0; i < REFLECTORS; i++) {
            right[i] = unit(n, random);
            left[i] = unit(m, random);
        }
    }

    /** The elements of G, row-major. */
    float[] values() {
        return values(0, 0);
    }

    /**
     * The elements of G + E, row-major, with E of independent random elements.
     *
     * @param noise about ‖E‖₂
     */
    float[] values(double noise, long seed) {
        double[] g = new double[Math.multiplyExact(m, n)];
        for (int i = 0; i < Math.min(m, n); i++) {
            g[i * n + i] = spectrum.value(i + 1);
        }
        for (int i = 0; i < REFLECTORS; i++) {
            double[] v = right[i];
            IntStream.range(0, m).parallel().forEach(row -> {
                double dot = 0;
                for (int j = 0; j < n; j++) {
                    dot += g[row * n + j] * v[j];
                }
                for (int j = 0; j < n; j++) {
                    g[row * n + j] -= 2 * dot * v[j];
                }
            });
            double[] u = left[i];
            double[] ug = new double[n]; // uᵀ·G
            for (int row = 0; row < m; row++) {
                for (int j = 0; j < n; j++) {
                    ug[j] += u[row] * g[row * n + j];
                }
            }
            IntStream.range(0, m).parallel().forEach(row -> {
                for (int j = 0; j < n; j++) {
                    g[row * n + j] -= 2 * u[row] * ug[j];
                }
            });
        }
        double bound = noise * Math.sqrt(3) / (Math.sqrt(m) + Math.sqrt(n)); // ‖E‖₂ of a deviation s is about s·(√m + √n)
        float[] rounded = new float[g.length];
        IntStream.range(0, m).parallel().forEach(row -> {
            SplittableRandom random = Inputs.ofRow(seed, row);
            for (int j = row * n; j < (row + 1) * n; j++) {
                rounded[j] = (float) (noise == 0 ? g[j] : g[j] + bound * (2 * random.nextDouble() - 1));
            }
        });
        return rounded;
    }

    /** The k leading singular triplets of G. */
    Triplets leading(int k) {
        return new Triplets(IntStream.rangeClosed(1, k).mapToDouble(spectrum::value).toArray(), columns(left, m, k), columns(right, n, k));
    }

    /** The first k columns of the product of the reflections, the last one leftmost; row-major. */
    private static double[] columns(double[][] reflectors, int rows, int k) {
        double[] columns = new double[rows * k];
        for (int j = 0; j < k; j++) {
            double[] x = new double[rows];
            x[j] = 1;
            for (double[] v : reflectors) {
                double dot = 0;
                for (int i = 0; i < rows; i++) {
                    dot += v[i] * x[i];
                }
                for (int i = 0; i < rows; i++) {
                    x[i] -= 2 * dot * v[i];
                }
            }
            for (int i = 0; i < rows; i++) {
                columns[i * k + j] = x[i];
            }
        }
        return columns;
    }

    private static double[] unit(int n, SplittableRandom random) {
        double[] v = random.doubles(n, -1, 1).toArray();
        double norm = Math.sqrt(IntStream.range(0, n).mapToDouble(i -> v[i] * v[i]).sum());
        return IntStream.range(0, n).mapToDouble(i -> v[i] / norm).toArray();
    }
}
