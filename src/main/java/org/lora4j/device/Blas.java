package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

import org.lora4j.bindings.openblas.*;

/**
 * The functions of one loaded library that exports CBLAS and LAPACKE, each for float32 and float64.
 *
 * <p>Matrices are column-major here, as the library has them: a row-major m×n matrix with its leading dimension is a
 * column-major n×m one. LAPACK functions return {@code info}; a workspace of −1 asks for the size they want.
 */
final class Blas {
    private static final int COLUMN_MAJOR = openblas_h.LAPACK_COL_MAJOR();
    /** The functions without which a library is of no use, as float32 and float64 names. */
    private static final String[] REQUIRED = {
        "cblas_sgemm", "cblas_dgemm", "cblas_sgemv", "cblas_dgemv", "cblas_strsm", "cblas_dtrsm", "LAPACKE_sgesdd_work", "LAPACKE_dgesdd_work",
        "LAPACKE_sgesvd_work", "LAPACKE_dgesvd_work", "LAPACKE_sgelqf_work", "LAPACKE_dgelqf_work", "LAPACKE_sorglq_work",
        "LAPACKE_dorglq_work", "LAPACKE_spotrf_work", "LAPACKE_dpotrf_work", "LAPACKE_ssyevd_work", "LAPACKE_dsyevd_work"};

    private final SymbolLookup library;
    private int narrowed; // how many want one thread
    private int threads; // what there were before
    private final MemorySegment sgemm;
    private final MemorySegment dgemm;
    private final MemorySegment sgemv;
    private final MemorySegment dgemv;
    private final MemorySegment strsm;
    private final MemorySegment dtrsm;
    private final MemorySegment sgesdd;
    private final MemorySegment dgesdd;
    private final MemorySegment sgesvd;
    private final MemorySegment dgesvd;
    private final MemorySegment sgelqf;
    private final MemorySegment dgelqf;
    private final MemorySegment sorglq;
    private final MemorySegment dorglq;
    private final MemorySegment spotrf;
    private final MemorySegment dpotrf;
    private final MemorySegment ssyevd;
    private final MemorySegment dsyevd;
    private final MemorySegment openblasThreads; // null where it is another library, as the next
    private final MemorySegment mklThreads;
    private final boolean solvesFloat64; // or HostTriangular does

    /** @throws UnsatisfiedLinkError naming every required function that the library does not export */
    Blas(SymbolLookup library) {
        List<String> missing = new ArrayList<>();
        for (String symbol : REQUIRED) {
            if (library.find(symbol).isEmpty()) {
                missing.add(symbol);
            }
        }
        if (!missing.isEmpty()) {
            throw new UnsatisfiedLinkError("it does not export " + String.join(", ", missing));
        }
        this.library = library;
        if (libraryName().contains("USE64BITINT")) {
            throw new UnsatisfiedLinkError("it is built with 64-bit integers (USE64BITINT); one with 32-bit integers is needed");
        }
        sgemm = find("cblas_sgemm");
        dgemm = find("cblas_dgemm");
        sgemv = find("cblas_sgemv");
        dgemv = find("cblas_dgemv");
        strsm = find("cblas_strsm");
        dtrsm = find("cblas_dtrsm");
        sgesdd = find("LAPACKE_sgesdd_work");
        dgesdd = find("LAPACKE_dgesdd_work");
        sgesvd = find("LAPACKE_sgesvd_work");
        dgesvd = find("LAPACKE_dgesvd_work");
        sgelqf = find("LAPACKE_sgelqf_work");
        dgelqf = find("LAPACKE_dgelqf_work");
        sorglq = find("LAPACKE_sorglq_work");
        dorglq = find("LAPACKE_dorglq_work");
        spotrf = find("LAPACKE_spotrf_work");
        dpotrf = find("LAPACKE_dpotrf_work");
        ssyevd = find("LAPACKE_ssyevd_work");
        dsyevd = find("LAPACKE_dsyevd_work");
        openblasThreads = find("openblas_get_num_threads");
        mklThreads = find("MKL_Get_Max_Threads");
        solvesFloat64 = solvesFloat64();
    }

    /** Whether dtrsm solves T·X = B for a lower triangle of ones and X[i, j] = i + 3j, where nothing is rounded. */
    private boolean solvesFloat64() {
        int n = 16;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment t = arena.allocate(ValueLayout.JAVA_DOUBLE, n * n);
            MemorySegment b = arena.allocate(ValueLayout.JAVA_DOUBLE, n * n);
            for (int at = 0; at < n * n; at++) {
                int i = at / n;
                t.setAtIndex(ValueLayout.JAVA_DOUBLE, at, 1);
                b.setAtIndex(ValueLayout.JAVA_DOUBLE, at, i * (i + 1) / 2 + (i + 1) * 3 * (at % n));
            }
            cblas_dtrsm.invoke(dtrsm, openblas_h.CblasRowMajor(), openblas_h.CblasLeft(), openblas_h.CblasLower(), openblas_h.CblasNoTrans(),
                    openblas_h.CblasNonUnit(), n, n, 1, t, n, b, n);
            double[] x = b.toArray(ValueLayout.JAVA_DOUBLE);
            return IntStream.range(0, n * n).allMatch(at -> x[at] == at / n + 3 * (at % n));
        }
    }

    private MemorySegment find(String symbol) {
        return library.find(symbol).orElse(null);
    }

    /** C ← α·op(A)·op(B) + β·C, row-major. */
    void gemm(DataType type, int opA, int opB, int m, int n, int k, double alpha, MemorySegment a, int lda, MemorySegment b,
            int ldb, double beta, MemorySegment c, int ldc) {
        int order = openblas_h.CblasRowMajor();
        switch (type) {
            case FLOAT32 -> cblas_sgemm.invoke(sgemm, order, opA, opB, m, n, k, (float) alpha, a, lda, b, ldb, (float) beta, c, ldc);
            case FLOAT64 -> cblas_dgemm.invoke(dgemm, order, opA, opB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
            default -> throw unsupported(type);
        }
    }

    /** y ← α·op(A)·x + β·y for A (m×n), row-major; the elements of x and y are incx and incy apart. */
    void gemv(DataType type, int opA, int m, int n, double alpha, MemorySegment a, int lda, MemorySegment x, int incx, double beta, MemorySegment y,
            int incy) {
        int order = openblas_h.CblasRowMajor();
        switch (type) {
            case FLOAT32 -> cblas_sgemv.invoke(sgemv, order, opA, m, n, (float) alpha, a, lda, x, incx, (float) beta, y, incy);
            case FLOAT64 -> cblas_dgemv.invoke(dgemv, order, opA, m, n, alpha, a, lda, x, incx, beta, y, incy);
            default -> throw unsupported(type);
        }
    }

    /** Solves op(T)·X = α·B or X·op(T) = α·B, row-major. */
    void trsm(DataType type, int side, int triangle, int op, int m, int n, double alpha, MemorySegment t, int ldt,
            MemorySegment b, int ldb) {
        int order = openblas_h.CblasRowMajor();
        int diagonal = openblas_h.CblasNonUnit();
        switch (type) {
            case FLOAT32 -> cblas_strsm.invoke(strsm, order, side, triangle, op, diagonal, m, n, (float) alpha, t, ldt, b, ldb);
            case FLOAT64 -> {
                if (solvesFloat64) {
                    cblas_dtrsm.invoke(dtrsm, order, side, triangle, op, diagonal, m, n, alpha, t, ldt, b, ldb);
                } else {
                    HostTriangular.solve(side == openblas_h.CblasLeft(), triangle == openblas_h.CblasLower(), op == openblas_h.CblasTrans(), m, n,
                            alpha, t, ldt, b, ldb);
                }
            }
            default -> throw unsupported(type);
        }
    }

    /** Economy SVD by divide and conquer; A is destroyed. */
    int gesdd(DataType type, int m, int n, MemorySegment a, int lda, MemorySegment s, MemorySegment u, int ldu,
            MemorySegment vt, int ldvt, MemorySegment work, int lwork, MemorySegment iwork) {
        byte job = 'S';
        return switch (type) {
            case FLOAT32 -> LAPACKE_sgesdd_work.invoke(sgesdd, COLUMN_MAJOR, job, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork);
            case FLOAT64 -> LAPACKE_dgesdd_work.invoke(dgesdd, COLUMN_MAJOR, job, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork);
            default -> throw unsupported(type);
        };
    }

    /** Economy SVD by QR iteration; A is destroyed. */
    int gesvd(DataType type, int m, int n, MemorySegment a, int lda, MemorySegment s, MemorySegment u, int ldu,
            MemorySegment vt, int ldvt, MemorySegment work, int lwork) {
        byte job = 'S';
        return switch (type) {
            case FLOAT32 -> LAPACKE_sgesvd_work.invoke(sgesvd, COLUMN_MAJOR, job, job, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork);
            case FLOAT64 -> LAPACKE_dgesvd_work.invoke(dgesvd, COLUMN_MAJOR, job, job, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork);
            default -> throw unsupported(type);
        };
    }

    /** A = L·Q; A is overwritten by L and the reflectors. */
    int gelqf(DataType type, int m, int n, MemorySegment a, int lda, MemorySegment tau, MemorySegment work, int lwork) {
        return switch (type) {
            case FLOAT32 -> LAPACKE_sgelqf_work.invoke(sgelqf, COLUMN_MAJOR, m, n, a, lda, tau, work, lwork);
            case FLOAT64 -> LAPACKE_dgelqf_work.invoke(dgelqf, COLUMN_MAJOR, m, n, a, lda, tau, work, lwork);
            default -> throw unsupported(type);
        };
    }

    /** The m×n matrix Q with orthonormal rows from the reflectors of {@link #gelqf}. */
    int orglq(DataType type, int m, int n, MemorySegment a, int lda, MemorySegment tau, MemorySegment work, int lwork) {
        return switch (type) {
            case FLOAT32 -> LAPACKE_sorglq_work.invoke(sorglq, COLUMN_MAJOR, m, n, m, a, lda, tau, work, lwork);
            case FLOAT64 -> LAPACKE_dorglq_work.invoke(dorglq, COLUMN_MAJOR, m, n, m, a, lda, tau, work, lwork);
            default -> throw unsupported(type);
        };
    }

    /** A = Uᵀ·U from the upper triangle. */
    int potrf(DataType type, int n, MemorySegment a, int lda) {
        byte upper = 'U';
        return switch (type) {
            case FLOAT32 -> LAPACKE_spotrf_work.invoke(spotrf, COLUMN_MAJOR, upper, n, a, lda);
            case FLOAT64 -> solvesFloat64 ? LAPACKE_dpotrf_work.invoke(dpotrf, COLUMN_MAJOR, upper, n, a, lda) : HostTriangular.cholesky(n, a, lda);
            default -> throw unsupported(type);
        };
    }

    /** Eigenvalues and, in the columns of A, eigenvectors, from the upper triangle. */
    int syevd(DataType type, int n, MemorySegment a, int lda, MemorySegment w, MemorySegment work, int lwork,
            MemorySegment iwork, int liwork) {
        byte vectors = 'V';
        byte upper = 'U';
        return switch (type) {
            case FLOAT32 -> LAPACKE_ssyevd_work.invoke(ssyevd, COLUMN_MAJOR, vectors, upper, n, a, lda, w, work, lwork, iwork, liwork);
            case FLOAT64 -> LAPACKE_dsyevd_work.invoke(dsyevd, COLUMN_MAJOR, vectors, upper, n, a, lda, w, work, lwork, iwork, liwork);
            default -> throw unsupported(type);
        };
    }

    private static IllegalArgumentException unsupported(DataType type) {
        return new IllegalArgumentException(type + ": BLAS and LAPACK take FLOAT32 and FLOAT64");
    }

    /** What the library says of itself, and what it doesn't. */
    String name() {
        return libraryName() + (solvesFloat64 ? "" : ", whose dtrsm is wrong: float64 solves in Java");
    }

    private String libraryName() {
        MemorySegment config = find("openblas_get_config");
        MemorySegment core = find("openblas_get_corename");
        if (config != null && core != null) {
            return openblas_get_config.invoke(config).getString(0).strip() + ", " + openblas_get_corename.invoke(core).getString(0) + " kernels";
        }
        MemorySegment mkl = find("MKL_Get_Version_String");
        if (mkl != null) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment text = arena.allocate(256);
                MKL_Get_Version_String.invoke(mkl, text, 255);
                return text.getString(0).strip();
            }
        }
        return "a BLAS that doesn't tell its name";
    }

    /** The threads the library uses, {@link #narrow} aside; 0 where it doesn't tell. */
    synchronized int threads() {
        return narrowed > 0 ? threads : libraryThreads();
    }

    /** The threads the library uses now. */
    int libraryThreads() {
        return openblasThreads != null ? openblas_get_num_threads.invoke(openblasThreads) : mklThreads != null ? MKL_Get_Max_Threads.invoke(mklThreads) : 0;
    }

    /** Sets the library's threads, once nobody wants one any more; false where it has no function for that. */
    synchronized boolean setThreads(int count) {
        threads = count;
        return setLibraryThreads(narrowed > 0 ? 1 : count);
    }

    private boolean setLibraryThreads(int count) {
        MemorySegment openblas = find("openblas_set_num_threads");
        MemorySegment mkl = find("MKL_Set_Num_Threads");
        if (openblas != null) {
            openblas_set_num_threads.invoke(openblas, count);
        } else if (mkl != null) {
            MKL_Set_Num_Threads.invoke(mkl, count);
        }
        return openblas != null || mkl != null;
    }

    /** One thread for all of the library's users, until as many calls of {@link #widen} as there were of this. */
    synchronized void narrow() {
        if (narrowed++ == 0) {
            threads = libraryThreads();
            setLibraryThreads(1);
        }
    }

    /** Gives the library its threads back. */
    synchronized void widen() {
        if (--narrowed == 0) {
            setLibraryThreads(threads);
        }
    }

    /** The workspace size that a query left in {@code work[0]}; rounded up, since float32 cannot hold every int. */
    static int workspace(DataType type, MemorySegment work) {
        double size = type == DataType.FLOAT32 ? Math.nextUp(work.get(ValueLayout.JAVA_FLOAT, 0)) : work.get(ValueLayout.JAVA_DOUBLE, 0);
        return Math.toIntExact((long) Math.ceil(size));
    }
}
