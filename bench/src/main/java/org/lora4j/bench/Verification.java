package org.lora4j.bench;

import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Whether a contender's result is right, against a reference summed in float64. A result R is compared by R·v with a
 * vector v of random signs, which costs one pass over the matrices and shows an error in any element. The tolerance is
 * 4ε√k of what the elements of a row are sums of, for products with k terms.
 */
final class Verification {
    private static final double EPSILON = Math.ulp(1f) / 2;
    /** The share of the energy of the 2r leading directions that a start must have found. */
    private static final double LEAST_CAPTURED = 0.98;

    private Verification() {}

    /** What {@link #check} needs of a work. */
    static Set<String> wanted(Work work) {
        return switch (work) {
            case FORWARD -> Set.of("y");
            case FORWARD_BACKWARD -> Set.of("y", "dx", "da", "db");
            case INIT -> Set.of("w", "a", "b");
            case MERGE -> Set.of("w");
            case POWER_STEP -> Set.of("y", "z");
            case PRODUCT -> Set.of("y");
            case TRANSPOSED_PRODUCT -> Set.of("z");
            case SQUARES -> Set.of("squares");
        };
    }

    /**
     * Checks what a contender computed from the first input set.
     *
     * @return for a start the share of the best possible energy that it captured, else 1
     * @throws ArithmeticException saying what is wrong
     */
    static double check(Item item, Inputs.Set in, Map<String, float[]> results) {
        int b = item.b();
        int m = item.m();
        int n = item.n();
        int r = item.r();
        double eta = item.eta();
        Random random = new Random(7);
        double[] vm = signs(m, random);
        double[] vn = signs(n, random);
        double[] vr = signs(r, random);
        if (item.work().isKernel()) {
            kernel(item, in, results, vr);
            return 1;
        }
        if (item.work() == Work.INIT) { // W + η·B0·A0 is W0
            float[] a = results.get("a");
            float[] b0 = results.get("b");
            double[] effective = sum(times(results.get("w"), m, n, vn), eta, times(b0, m, r, times(a, r, n, vn)));
            compare("w", effective, times(in.w(), m, n, vn), rowNorms(in.w(), m, n), Math.sqrt(n), r + 1);
            return captured(item, in.g(), a, b0);
        }
        double weight = Math.sqrt(squares(in.w()) + eta * eta * squares(in.a()) * squares(in.b())); // bounds ‖W'‖
        if (item.work() == Work.MERGE) {
            double[] expected = sum(times(in.w(), m, n, vn), eta, times(in.b(), m, r, times(in.a(), r, n, vn)));
            compare("w", times(results.get("w"), m, n, vn), expected, rowNorms(in.w(), m, n), Math.sqrt(n), r + 1);
            return 1;
        }
        double[] ofY = sum(transposed(in.w(), m, n, vm), eta, transposed(in.a(), r, n, transposed(in.b(), m, r, vm))); // W'ᵀ·v
        compare("y", times(results.get("y"), b, m, vm), times(in.x(), b, n, ofY), rowNorms(in.x(), b, n), weight, n);
        if (item.work() == Work.FORWARD_BACKWARD) {
            double[] ofDx = sum(times(in.w(), m, n, vn), eta, times(in.b(), m, r, times(in.a(), r, n, vn))); // W'·v
            compare("dx", times(results.get("dx"), b, n, vn), times(in.dy(), b, m, ofDx), rowNorms(in.dy(), b, m), weight, m);
            double[] da = transposed(in.b(), m, r, transposed(in.dy(), b, m, times(in.x(), b, n, vn))); // Bᵀ·dYᵀ·X·v
            double size = Math.sqrt(squares(in.x()) * squares(in.dy()));
            compare("da", times(results.get("da"), r, n, vn), sum(new double[r], eta, da), filled(r, Math.sqrt(squares(in.b()))), eta * size, b + m);
            double[] db = transposed(in.dy(), b, m, times(in.x(), b, n, transposed(in.a(), r, n, vr))); // dYᵀ·X·Aᵀ·v
            compare("db", times(results.get("db"), m, r, vr), sum(new double[m], eta, db), filled(m, Math.sqrt(squares(in.a()))), eta * size, b + n);
        }
        return 1;
    }

    private static void kernel(Item item, Inputs.Set in, Map<String, float[]> results, double[] vr) {
        int m = item.m();
        int n = item.n();
        int r = item.r();
        double norm = Math.sqrt(squares(in.g()));
        double size = Math.sqrt(squares(in.v()));
        switch (item.work()) {
            case SQUARES -> compare("squares", new double[] {results.get("squares")[0]}, new double[] {norm * norm}, new double[] {norm}, norm, 1);
            case TRANSPOSED_PRODUCT -> compare("z", times(results.get("z"), n, r, vr), transposed(in.g(), m, n, times(in.v(), m, r, vr)), filled(n, norm), size, m);
            default -> {
                double[] gv = times(in.g(), m, n, times(in.v(), n, r, vr));
                compare("y", times(results.get("y"), m, r, vr), gv, rowNorms(in.g(), m, n), size, n);
                if (item.work() == Work.POWER_STEP) {
                    compare("z", times(results.get("z"), n, r, vr), transposed(in.g(), m, n, gv), filled(n, norm), norm * size, m + n);
                }
            }
        }
    }

    /**
     * Checks leading singular values.
     *
     * @param known at least as many, the largest first
     * @param tolerance relative to the largest
     * @throws ArithmeticException saying which is wrong
     */
    static void singularValues(double[] found, double[] known, double tolerance) {
        for (int i = 0; i < found.length; i++) {
            if (!(Math.abs(found[i] - known[i]) <= tolerance * known[0])) {
                throw new ArithmeticException("wrong singular value " + (i + 1) + ": " + found[i] + ", should be " + known[i] + " within " + tolerance * known[0]);
            }
        }
    }

    private static void compare(String name, double[] found, double[] expected, double[] rowNorms, double otherNorm, double terms) {
        double tolerance = 4 * EPSILON * Math.sqrt(terms) * otherNorm;
        for (int i = 0; i < found.length; i++) {
            if (!(Math.abs(found[i] - expected[i]) <= tolerance * rowNorms[i])) {
                throw new ArithmeticException("wrong result " + name + ": row " + i + " times a vector of signs is " + found[i] + ", should be " + expected[i]
                        + " within " + tolerance * rowNorms[i]);
            }
        }
    }

    /** Σ‖G·aᵢ‖² + Σ‖Gᵀ·bᵢ‖² for the directions of A0's rows and B0's columns, over Σσ² of the 2r largest. */
    private static double captured(Item item, float[] g, float[] a, float[] b) {
        int m = item.m();
        int n = item.n();
        int r = item.r();
        double found = IntStream.range(0, r).parallel().mapToDouble(i -> {
            double[] right = IntStream.range(0, n).mapToDouble(j -> a[i * n + j]).toArray();
            double[] left = IntStream.range(0, m).mapToDouble(j -> b[j * r + i]).toArray();
            return square(times(g, m, n, right)) / square(right) + square(transposed(g, m, n, left)) / square(left);
        }).sum();
        double best = IntStream.rangeClosed(1, 2 * r).mapToDouble(i -> Math.pow(Spectrum.INVERSE.value(i), 2)).sum();
        if (!(found / best >= LEAST_CAPTURED && found / best <= 1 + 1e-3)) {
            throw new ArithmeticException("wrong start: its directions hold " + found / best + " of the energy of the first " + 2 * r);
        }
        return found / best;
    }

    private static double[] signs(int count, Random random) {
        return IntStream.range(0, count).mapToDouble(i -> random.nextBoolean() ? 1 : -1).toArray();
    }

    private static double[] filled(int count, double value) {
        return IntStream.range(0, count).mapToDouble(i -> value).toArray();
    }

    private static double[] sum(double[] u, double factor, double[] v) {
        return IntStream.range(0, u.length).mapToDouble(i -> u[i] + factor * v[i]).toArray();
    }

    private static double square(double[] v) {
        return IntStream.range(0, v.length).mapToDouble(i -> v[i] * v[i]).sum();
    }

    private static double squares(float[] a) {
        return IntStream.range(0, a.length).parallel().mapToDouble(i -> (double) a[i] * a[i]).sum();
    }

    private static double[] rowNorms(float[] a, int rows, int cols) {
        return IntStream.range(0, rows).parallel()
                .mapToDouble(i -> Math.sqrt(IntStream.range(i * cols, (i + 1) * cols).mapToDouble(k -> (double) a[k] * a[k]).sum())).toArray();
    }

    /** A·v for A (rows, cols). */
    static double[] times(float[] a, int rows, int cols, double[] v) {
        return IntStream.range(0, rows).parallel().mapToDouble(i -> {
            double sum = 0;
            for (int j = 0; j < cols; j++) {
                sum += a[i * cols + j] * v[j];
            }
            return sum;
        }).toArray();
    }

    /** Aᵀ·v for A (rows, cols). */
    static double[] transposed(float[] a, int rows, int cols, double[] v) {
        double[] sum = new double[cols];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                sum[j] += a[i * cols + j] * v[i];
            }
        }
        return sum;
    }
}
