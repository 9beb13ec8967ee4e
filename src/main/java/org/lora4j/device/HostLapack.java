package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.LongBinaryOperator;

import org.lora4j.bindings.openblas.openblas_h;

/**
 * The factorisations of the host device by LAPACK.
 *
 * <p>A row-major m×n matrix is handed over as the column-major n×m one that it is, and the factorisation is chosen so
 * that the answer needs no transposition either: Aᵀ = V·S·Uᵀ for the SVD, Aᵀ = Rᵀ·Qᵀ (an LQ factorisation) for QR.
 */
final class HostLapack {
    /** One LAPACK driver of the economy SVD of a column-major m×n matrix, which it destroys. */
    interface SvdDriver {
        /** {@code lwork} of −1 asks for the workspace, which is left in {@code work[0]}. */
        int run(Blas blas, DataType type, int m, int n, MemorySegment a, int lda, MemorySegment s, MemorySegment u, int ldu,
                MemorySegment vt, int ldvt, MemorySegment work, int lwork, MemorySegment iwork);
    }

    /**
     * A driver with its name.
     *
     * @param workspace the elements of workspace it needs at least, by its documentation
     */
    record Rung(String name, SvdDriver driver, LongBinaryOperator workspace) {}

    /** Divide and conquer first; QR iteration, slower and with fewer ways to fail, where that gives no good answer. */
    static final List<Rung> LADDER = List.of(
            new Rung("gesdd", Blas::gesdd, (m, n) -> Math.min(m, n) * (4 * Math.min(m, n) + 7) + Math.max(m, n)),
            new Rung("gesvd", (blas, type, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork) ->
                    blas.gesvd(type, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork), (m, n) -> 5 * Math.max(m, n)));
    /** What LAPACK may add to the documented workspace for its blocks; beyond 2³¹ elements its own count wraps around. */
    private static final long BLOCKS = 1 << 26;

    private final Blas blas;
    private final HostDevice device;
    private final List<Rung> ladder;

    HostLapack(Blas blas, HostDevice device) {
        this(blas, device, LADDER);
    }

    HostLapack(Blas blas, HostDevice device, List<Rung> ladder) {
        this.blas = blas;
        this.device = device;
        this.ladder = ladder;
    }

    /** A = U·diag(s)·Vᵀ by the first driver of the ladder whose answer passes {@link #defect}. */
    void svd(Matrix a, Matrix u, Matrix s, Matrix vt) {
        DataType type = a.type();
        int m = (int) a.rows();
        int n = (int) a.cols();
        int k = Math.min(m, n);
        StringBuilder failures = new StringBuilder();
        int info = 0;
        try (Scratch scratch = new Scratch(type)) {
            MemorySegment copy = scratch.elements((long) m * n);
            MemorySegment iwork = scratch.ints(8L * k);
            MemorySegment size = scratch.elements(1);
            double scale = scale(HostElements.largest(a));
            for (Rung rung : ladder) {
                long least = rung.workspace.applyAsLong(m, n);
                if (least > Integer.MAX_VALUE - BLOCKS) {
                    failures.append(failures.isEmpty() ? "" : "; ").append(rung.name).append(": needs a workspace of ").append(least)
                            .append(" elements, which LAPACK can't count");
                    continue;
                }
                scaledCopy(a, scale, copy);
                int ldu = (int) vt.leadingDimension();
                int ldvt = (int) u.leadingDimension();
                info = rung.driver.run(blas, type, n, m, copy, n, s.segment(), vt.segment(), ldu, u.segment(), ldvt, size, -1, iwork);
                if (info == 0) {
                    int lwork = Blas.workspace(type, size);
                    info = rung.driver.run(blas, type, n, m, copy, n, s.segment(), vt.segment(), ldu, u.segment(), ldvt,
                            scratch.elements(lwork), lwork, iwork);
                }
                String failure = info == 0 ? defect(a, scale, u, s, vt, copy, scratch)
                        : info < 0 ? "argument " + -info + " is wrong" : "not converged, info " + info;
                if (failure == null) {
                    HostElements.scale(1 / scale, s);
                    return;
                }
                failures.append(failures.isEmpty() ? "" : "; ").append(rung.name).append(": ").append(failure);
            }
        }
        throw new NativeException("SVD of a matrix of " + a.shape() + " " + type, info, failures.toString());
    }

    /** The power of two that brings {@code largest} to about 1, where squares neither over- nor underflow; 1 for 0. */
    private static double scale(double largest) {
        return largest == 0 ? 1 : Math.scalb(1.0, Math.clamp(-Math.getExponent(largest), -1022, 1022));
    }

    /** target ← scale·A, without gaps between the rows. */
    private static void scaledCopy(Matrix a, double scale, MemorySegment target) {
        for (long i = 0; i < a.rows(); i++) {
            for (long j = 0; j < a.cols(); j++) {
                a.type().set(target, i * a.cols() + j, scale * a.type().get(a.segment(), i * a.leadingDimension() + j));
            }
        }
    }

    /**
     * What is wrong with a decomposition of scale·A, or null. It is good when ‖A − U·S·Vᵀ‖ ≤ t·‖A‖ (Frobenius) and no element of
     * UᵀU − I or VᵀV − I exceeds t, where t = 4·(max(m, n) + 10)·ε. LAPACK's driver tests
     * (ddrvbd with svd.in) accept 35·max(m, n)·ε; correct answers have been seen at 1.3·(max(m, n) + 10)·ε.
     */
    private String defect(Matrix a, double scale, Matrix u, Matrix s, Matrix vt, MemorySegment residual, Scratch scratch) {
        DataType type = a.type();
        int m = (int) a.rows();
        int n = (int) a.cols();
        int k = (int) s.cols();
        double tolerance = 4 * (Math.max(m, n) + 10) * 2 * type.unitRoundoff();
        int none = openblas_h.CblasNoTrans();
        int transpose = openblas_h.CblasTrans();

        MemorySegment us = scratch.elements((long) m * k);
        for (long i = 0; i < m; i++) {
            for (long j = 0; j < k; j++) {
                type.set(us, i * k + j, type.get(u.segment(), i * u.leadingDimension() + j) * type.get(s.segment(), j));
            }
        }
        scaledCopy(a, scale, residual);
        blas.gemm(type, none, none, m, n, k, -1, us, k, vt.segment(), (int) vt.leadingDimension(), 1, residual, n);
        double norm2 = 0;
        double residual2 = 0;
        for (long i = 0; i < m; i++) {
            for (long j = 0; j < n; j++) {
                double x = scale * type.get(a.segment(), i * a.leadingDimension() + j);
                double r = type.get(residual, i * n + j);
                norm2 += x * x;
                residual2 += r * r;
            }
        }
        if (!(residual2 <= tolerance * tolerance * norm2)) {
            return "relative residual " + Math.sqrt(residual2 / norm2) + " exceeds " + tolerance;
        }
        MemorySegment gram = scratch.elements((long) k * k);
        blas.gemm(type, transpose, none, k, k, m, 1, u.segment(), (int) u.leadingDimension(), u.segment(), (int) u.leadingDimension(), 0, gram, k);
        double uDefect = distanceFromIdentity(type, gram, k);
        blas.gemm(type, none, transpose, k, k, n, 1, vt.segment(), (int) vt.leadingDimension(), vt.segment(), (int) vt.leadingDimension(), 0, gram, k);
        double vDefect = distanceFromIdentity(type, gram, k);
        return uDefect <= tolerance && vDefect <= tolerance ? null
                : "U is " + uDefect + " and V " + vDefect + " from orthonormal; at most " + tolerance + " is right";
    }

    private static double distanceFromIdentity(DataType type, MemorySegment gram, long k) {
        double distance = 0;
        for (long i = 0; i < k * k; i++) {
            double d = Math.abs(type.get(gram, i) - (i % (k + 1) == 0 ? 1 : 0));
            distance = d <= distance ? distance : d; // keeps a NaN
        }
        return distance;
    }

    void qr(Matrix a, Matrix r) {
        DataType type = a.type();
        int m = (int) a.rows();
        int n = (int) a.cols();
        int lda = (int) a.leadingDimension();
        MemorySegment q = a.segment();
        try (Scratch scratch = new Scratch(type)) {
            MemorySegment tau = scratch.elements(n);
            MemorySegment size = scratch.elements(1);
            check("gelqf", a, blas.gelqf(type, n, m, q, lda, tau, size, -1));
            int lwork = Blas.workspace(type, size);
            check("gelqf", a, blas.gelqf(type, n, m, q, lda, tau, scratch.elements(lwork), lwork));
            for (long i = 0; i < n; i++) {
                for (long j = 0; j < n; j++) {
                    type.set(r.segment(), i * r.leadingDimension() + j, j < i ? 0 : type.get(q, i * lda + j));
                }
            }
            check("orglq", a, blas.orglq(type, n, m, q, lda, tau, size, -1));
            lwork = Blas.workspace(type, size);
            check("orglq", a, blas.orglq(type, n, m, q, lda, tau, scratch.elements(lwork), lwork));
        }
        for (long i = 0; i < n; i++) {
            if (type.get(r.segment(), i * r.leadingDimension() + i) < 0) {
                HostElements.scale(-1, r.rows(i, i + 1));
                HostElements.scale(-1, a.columns(i, i + 1));
            }
        }
    }

    void cholesky(Matrix a) {
        int n = (int) a.rows();
        int info = blas.potrf(a.type(), n, a.segment(), (int) a.leadingDimension());
        for (int i = 0; info == 0 && i < n; i++) { // NaN and infinity pass potrf unnoticed
            info = Double.isFinite(a.type().get(a.segment(), i * a.leadingDimension() + i)) ? 0 : i + 1;
        }
        if (info > 0) {
            throw new NativeException("potrf(n=" + n + ")", info, "the leading minor of order " + info + " is not positive definite");
        }
        check("potrf", a, info);
        for (long i = 0; i < n - 1; i++) {
            HostElements.fill(a.view(i, i + 1, i + 1, n), 0);
        }
    }

    void symmetricEigen(Matrix a, Matrix w) {
        DataType type = a.type();
        int n = (int) a.rows();
        int lda = (int) a.leadingDimension();
        long least = 1 + 6L * n + 2L * n * n;
        if (least > Integer.MAX_VALUE - BLOCKS) {
            throw new IllegalArgumentException("symmetricEigen of " + a.shape() + " needs a workspace of " + least + " elements, which LAPACK can't count");
        }
        try (Scratch scratch = new Scratch(type)) {
            MemorySegment size = scratch.elements(1);
            MemorySegment intSize = scratch.ints(1);
            check("syevd", a, blas.syevd(type, n, a.segment(), lda, w.segment(), size, -1, intSize, -1));
            int lwork = Blas.workspace(type, size);
            int liwork = intSize.get(ValueLayout.JAVA_INT, 0);
            check("syevd", a, blas.syevd(type, n, a.segment(), lda, w.segment(), scratch.elements(lwork), lwork, scratch.ints(liwork), liwork));
        }
        if (!Double.isFinite(HostElements.largest(w))) {
            throw new NativeException("syevd of a matrix of " + a.shape() + " " + type, 0, "an eigenvalue is not finite, as from a NaN or an infinity in the matrix");
        }
    }

    private static void check(String function, Matrix a, int info) {
        if (info != 0) {
            throw new NativeException(function + " of a matrix of " + a.shape() + " " + a.type(), info,
                    info < 0 ? "argument " + -info + " is wrong" : "not converged");
        }
    }

    /** Memory for the length of one factorisation, counted by the device. */
    private final class Scratch implements AutoCloseable {
        private final Arena arena = Arena.ofConfined();
        private final DataType type;
        private long bytes;

        Scratch(DataType type) {
            this.type = type;
        }

        MemorySegment elements(long count) {
            return allocate(count * type.bytes());
        }

        MemorySegment ints(long count) {
            return allocate(count * Integer.BYTES);
        }

        private MemorySegment allocate(long size) {
            MemorySegment segment = device.allocate(arena, size);
            bytes += size;
            return segment;
        }

        @Override
        public void close() {
            arena.close();
            device.countFreed(bytes);
        }
    }
}
