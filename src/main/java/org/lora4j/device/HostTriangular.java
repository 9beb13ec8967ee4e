package org.lora4j.device;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;

import java.lang.foreign.MemorySegment;

/**
 * Triangular solves and Cholesky factorisation of float64 matrices, row-major, in plain loops: for a library whose own
 * are wrong. OpenBLAS 0.3.19, which ND4J 1.0.0-M2.1 brings, is one on processors with AVX-512: its dtrsm for four
 * unknowns or more, and so its dpotrf from n = 33 (OpenBLAS issue 3534, mended in 0.3.20).
 */
final class HostTriangular {
    private HostTriangular() {}

    /** op(T)·X = α·B (left) or X·op(T) = α·B; X overwrites B (m×n). */
    static void solve(boolean left, boolean lower, boolean transposed, int m, int n, double alpha, MemorySegment t, long ldt, MemorySegment b, long ldb) {
        // X·op(T) = α·B is op(T)ᵀ·Xᵀ = α·Bᵀ: a left solve of B read by columns, with T transposed once more
        boolean turned = left == transposed;
        boolean forward = lower != turned;
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                set(b, i * ldb + j, alpha == 0 ? 0 : alpha * get(b, i * ldb + j));
            }
        }
        int unknowns = alpha == 0 ? 0 : left ? m : n;
        int count = left ? n : m;
        long row = left ? ldb : 1;
        long column = left ? 1 : ldb;
        for (int step = 0; step < unknowns; step++) {
            int i = forward ? step : unknowns - 1 - step;
            for (int before = 0; before < step; before++) {
                int j = forward ? before : unknowns - 1 - before;
                double tij = get(t, turned ? j * ldt + i : i * ldt + j);
                for (int c = 0; c < count; c++) {
                    long at = i * row + c * column;
                    set(b, at, get(b, at) - tij * get(b, j * row + c * column));
                }
            }
            for (int c = 0; c < count; c++) {
                long at = i * row + c * column;
                set(b, at, get(b, at) / get(t, i * ldt + i));
            }
        }
    }

    /** A = L·Lᵀ in the lower triangle of A; the order of the first leading minor that is not positive, or 0. */
    static int cholesky(int n, MemorySegment a, long lda) {
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                double sum = get(a, i * lda + j);
                for (int k = 0; k < j; k++) {
                    sum -= get(a, i * lda + k) * get(a, j * lda + k);
                }
                if (i == j && !(sum > 0)) {
                    return i + 1;
                }
                set(a, i * lda + j, i == j ? Math.sqrt(sum) : sum / get(a, j * lda + j));
            }
        }
        return 0;
    }

    private static double get(MemorySegment s, long index) {
        return s.getAtIndex(JAVA_DOUBLE, index);
    }

    private static void set(MemorySegment s, long index, double value) {
        s.setAtIndex(JAVA_DOUBLE, index, value);
    }
}
