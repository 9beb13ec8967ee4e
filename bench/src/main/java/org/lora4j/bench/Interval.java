package org.lora4j.bench;

import java.util.Arrays;

/**
 * A median and a confidence interval of it that assumes nothing about the distribution: two order statistics that enclose
 * the true median with at least 95 % probability, or the smallest and the largest value where there are fewer than six.
 *
 * @param count of the values
 */
record Interval(double median, double low, double high, int count) {
    /** Whether a value is within, so that it is not known on which side of it the true median is. */
    boolean holds(double value) {
        return low < value && value < high;
    }

    static Interval of(double... values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int n = sorted.length;
        double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
        int k = 0; // the interval from the k-th smallest to the k-th largest misses with probability 2·P(Binomial(n, ½) ≤ k)
        double term = Math.pow(0.5, n);
        double tail = term;
        while (true) {
            term *= (double) (n - k) / (k + 1);
            if (2 * (tail + term) > 0.05) {
                break;
            }
            tail += term;
            k++;
        }
        return new Interval(median, sorted[k], sorted[n - 1 - k], n);
    }
}
