package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.Map;

import org.lora4j.bindings.cuda.*;

/**
 * The functions of one loaded cuSOLVER, each for float32 and float64. Matrices are column-major here, as the library has
 * them; workspaces are counted in elements. Each function checks the code that comes back, not the {@code info} that the
 * device writes.
 */
final class Cusolver {
    private static final int VECTORS = cuda_h.CUSOLVER_EIG_MODE_VECTOR();
    private static final int UPPER = cuda_h.CUBLAS_FILL_MODE_UPPER();

    private final MemorySegment create;
    private final MemorySegment destroy;
    private final MemorySegment setStream;
    private final MemorySegment getProperty;
    private final MemorySegment createGesvdjInfo;
    private final MemorySegment destroyGesvdjInfo;
    private final MemorySegment setTolerance;
    private final MemorySegment setMaxSweeps;
    private final MemorySegment getSweeps;
    private final MemorySegment getResidual;
    private final MemorySegment[] gesvdjSize;
    private final MemorySegment[] gesvdj;
    private final MemorySegment[] gesvdjBatchedSize;
    private final MemorySegment[] gesvdjBatched;
    private final MemorySegment[] geqrfSize;
    private final MemorySegment[] geqrf;
    private final MemorySegment[] orgqrSize;
    private final MemorySegment[] orgqr;
    private final MemorySegment[] potrfSize;
    private final MemorySegment[] potrf;
    private final MemorySegment[] syevdSize;
    private final MemorySegment[] syevd;

    /** @throws UnsatisfiedLinkError naming every function that the library does not export */
    Cusolver(SymbolLookup library) {
        Symbols symbols = new Symbols(library);
        create = symbols.find("cusolverDnCreate");
        destroy = symbols.find("cusolverDnDestroy");
        setStream = symbols.find("cusolverDnSetStream");
        getProperty = symbols.find("cusolverGetProperty");
        createGesvdjInfo = symbols.find("cusolverDnCreateGesvdjInfo");
        destroyGesvdjInfo = symbols.find("cusolverDnDestroyGesvdjInfo");
        setTolerance = symbols.find("cusolverDnXgesvdjSetTolerance");
        setMaxSweeps = symbols.find("cusolverDnXgesvdjSetMaxSweeps");
        getSweeps = symbols.find("cusolverDnXgesvdjGetSweeps");
        getResidual = symbols.find("cusolverDnXgesvdjGetResidual");
        gesvdjSize = both(symbols, "gesvdj_bufferSize");
        gesvdj = both(symbols, "gesvdj");
        gesvdjBatchedSize = both(symbols, "gesvdjBatched_bufferSize");
        gesvdjBatched = both(symbols, "gesvdjBatched");
        geqrfSize = both(symbols, "geqrf_bufferSize");
        geqrf = both(symbols, "geqrf");
        orgqrSize = both(symbols, "orgqr_bufferSize");
        orgqr = both(symbols, "orgqr");
        potrfSize = both(symbols, "potrf_bufferSize");
        potrf = both(symbols, "potrf");
        syevdSize = both(symbols, "syevd_bufferSize");
        syevd = both(symbols, "syevd");
        symbols.check();
    }

    /** The functions for FLOAT32 and FLOAT64, in the order of the enum. */
    private static MemorySegment[] both(Symbols symbols, String name) {
        return new MemorySegment[] {symbols.find("cusolverDnS" + name), symbols.find("cusolverDnD" + name)};
    }

    private static boolean single(DataType type) {
        return type == DataType.FLOAT32;
    }

    private static MemorySegment of(MemorySegment[] both, DataType type) {
        return both[single(type) ? 0 : 1];
    }

    /** "12.0.4". */
    String version() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            StringBuilder version = new StringBuilder();
            for (int part : new int[] {cuda_h.MAJOR_VERSION(), cuda_h.MINOR_VERSION(), cuda_h.PATCH_LEVEL()}) {
                check(cusolverGetProperty.invoke(getProperty, part, value), "cusolverGetProperty(" + part + ")", null);
                version.append(version.isEmpty() ? "" : ".").append(value.get(ValueLayout.JAVA_INT, 0));
            }
            return version.toString();
        }
    }

    MemorySegment create(InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
            check(cusolverDnCreate.invoke(create, handle), "cusolverDnCreate()", inFlight);
            return handle.get(ValueLayout.ADDRESS, 0);
        }
    }

    void destroy(MemorySegment handle, InFlight inFlight) {
        check(cusolverDnDestroy.invoke(destroy, handle), "cusolverDnDestroy()", inFlight);
    }

    void setStream(MemorySegment handle, MemorySegment stream, InFlight inFlight) {
        check(cusolverDnSetStream.invoke(setStream, handle, stream), "cusolverDnSetStream()", inFlight);
    }

    // ---- gesvdj

    MemorySegment createGesvdjInfo(InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = arena.allocate(ValueLayout.ADDRESS);
            check(cusolverDnCreateGesvdjInfo.invoke(createGesvdjInfo, info), "cusolverDnCreateGesvdjInfo()", inFlight);
            return info.get(ValueLayout.ADDRESS, 0);
        }
    }

    void destroyGesvdjInfo(MemorySegment info, InFlight inFlight) {
        check(cusolverDnDestroyGesvdjInfo.invoke(destroyGesvdjInfo, info), "cusolverDnDestroyGesvdjInfo()", inFlight);
    }

    void setTolerance(MemorySegment info, double tolerance, InFlight inFlight) {
        check(cusolverDnXgesvdjSetTolerance.invoke(setTolerance, info, tolerance), "cusolverDnXgesvdjSetTolerance(" + tolerance + ")", inFlight);
    }

    void setMaxSweeps(MemorySegment info, int sweeps, InFlight inFlight) {
        check(cusolverDnXgesvdjSetMaxSweeps.invoke(setMaxSweeps, info, sweeps), "cusolverDnXgesvdjSetMaxSweeps(" + sweeps + ")", inFlight);
    }

    /** The sweeps of the last {@link #gesvdj}, which must have run. */
    int sweeps(MemorySegment handle, MemorySegment info, InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            check(cusolverDnXgesvdjGetSweeps.invoke(getSweeps, handle, info, value), "cusolverDnXgesvdjGetSweeps()", inFlight);
            return value.get(ValueLayout.JAVA_INT, 0);
        }
    }

    /** What the last {@link #gesvdj}, which must have run, left beside the diagonal. */
    double residual(MemorySegment handle, MemorySegment info, InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_DOUBLE);
            check(cusolverDnXgesvdjGetResidual.invoke(getResidual, handle, info, value), "cusolverDnXgesvdjGetResidual()", inFlight);
            return value.get(ValueLayout.JAVA_DOUBLE, 0);
        }
    }

    int gesvdjSize(MemorySegment handle, DataType type, int m, int n, MemorySegment a, int lda, MemorySegment s, MemorySegment u, int ldu,
            MemorySegment v, int ldv, MemorySegment params, MemorySegment size, InFlight inFlight) {
        MemorySegment f = of(gesvdjSize, type);
        int code = single(type) ? cusolverDnSgesvdj_bufferSize.invoke(f, handle, VECTORS, 1, m, n, a, lda, s, u, ldu, v, ldv, size, params)
                : cusolverDnDgesvdj_bufferSize.invoke(f, handle, VECTORS, 1, m, n, a, lda, s, u, ldu, v, ldv, size, params);
        return size(code, "gesvdj", type, m, n, size, inFlight);
    }

    /** A = U·S·Vᵀ, economy size; A is destroyed. */
    void gesvdj(MemorySegment handle, DataType type, int m, int n, MemorySegment a, int lda, MemorySegment s, MemorySegment u, int ldu,
            MemorySegment v, int ldv, MemorySegment work, int lwork, MemorySegment info, MemorySegment params, InFlight inFlight) {
        MemorySegment f = of(gesvdj, type);
        int code = single(type) ? cusolverDnSgesvdj.invoke(f, handle, VECTORS, 1, m, n, a, lda, s, u, ldu, v, ldv, work, lwork, info, params)
                : cusolverDnDgesvdj.invoke(f, handle, VECTORS, 1, m, n, a, lda, s, u, ldu, v, ldv, work, lwork, info, params);
        done(code, "gesvdj", type, m, n, lwork, inFlight);
    }

    int gesvdjBatchedSize(MemorySegment handle, DataType type, int n, MemorySegment a, int lda, MemorySegment s, MemorySegment u, int ldu,
            MemorySegment v, int ldv, MemorySegment params, MemorySegment size, InFlight inFlight) {
        MemorySegment f = of(gesvdjBatchedSize, type);
        int code = single(type) ? cusolverDnSgesvdjBatched_bufferSize.invoke(f, handle, VECTORS, n, n, a, lda, s, u, ldu, v, ldv, size, params, 1)
                : cusolverDnDgesvdjBatched_bufferSize.invoke(f, handle, VECTORS, n, n, a, lda, s, u, ldu, v, ldv, size, params, 1);
        return size(code, "gesvdjBatched", type, n, n, size, inFlight);
    }

    /** The same of one small square A, n at most 32, as a batch of one: a single kernel. */
    void gesvdjBatched(MemorySegment handle, DataType type, int n, MemorySegment a, int lda, MemorySegment s, MemorySegment u, int ldu,
            MemorySegment v, int ldv, MemorySegment work, int lwork, MemorySegment info, MemorySegment params, InFlight inFlight) {
        MemorySegment f = of(gesvdjBatched, type);
        int code = single(type) ? cusolverDnSgesvdjBatched.invoke(f, handle, VECTORS, n, n, a, lda, s, u, ldu, v, ldv, work, lwork, info, params, 1)
                : cusolverDnDgesvdjBatched.invoke(f, handle, VECTORS, n, n, a, lda, s, u, ldu, v, ldv, work, lwork, info, params, 1);
        done(code, "gesvdjBatched", type, n, n, lwork, inFlight);
    }

    // ---- QR, Cholesky, symmetric eigenproblem

    /** The workspace that both {@link #geqrf} and {@link #orgqr} of an m×n matrix need. */
    int qrSize(MemorySegment handle, DataType type, int m, int n, MemorySegment a, int lda, MemorySegment tau, MemorySegment size, InFlight inFlight) {
        MemorySegment f = of(geqrfSize, type);
        int code = single(type) ? cusolverDnSgeqrf_bufferSize.invoke(f, handle, m, n, a, lda, size)
                : cusolverDnDgeqrf_bufferSize.invoke(f, handle, m, n, a, lda, size);
        int ofGeqrf = size(code, "geqrf", type, m, n, size, inFlight);
        f = of(orgqrSize, type);
        code = single(type) ? cusolverDnSorgqr_bufferSize.invoke(f, handle, m, n, n, a, lda, tau, size)
                : cusolverDnDorgqr_bufferSize.invoke(f, handle, m, n, n, a, lda, tau, size);
        return Math.max(ofGeqrf, size(code, "orgqr", type, m, n, size, inFlight));
    }

    /** A = Q·R; A is overwritten by R and the reflectors. */
    void geqrf(MemorySegment handle, DataType type, int m, int n, MemorySegment a, int lda, MemorySegment tau, MemorySegment work, int lwork,
            MemorySegment info, InFlight inFlight) {
        MemorySegment f = of(geqrf, type);
        int code = single(type) ? cusolverDnSgeqrf.invoke(f, handle, m, n, a, lda, tau, work, lwork, info)
                : cusolverDnDgeqrf.invoke(f, handle, m, n, a, lda, tau, work, lwork, info);
        done(code, "geqrf", type, m, n, lwork, inFlight);
    }

    /** The m×n matrix Q from the reflectors of {@link #geqrf}. */
    void orgqr(MemorySegment handle, DataType type, int m, int n, MemorySegment a, int lda, MemorySegment tau, MemorySegment work, int lwork,
            MemorySegment info, InFlight inFlight) {
        MemorySegment f = of(orgqr, type);
        int code = single(type) ? cusolverDnSorgqr.invoke(f, handle, m, n, n, a, lda, tau, work, lwork, info)
                : cusolverDnDorgqr.invoke(f, handle, m, n, n, a, lda, tau, work, lwork, info);
        done(code, "orgqr", type, m, n, lwork, inFlight);
    }

    int potrfSize(MemorySegment handle, DataType type, int n, MemorySegment a, int lda, MemorySegment size, InFlight inFlight) {
        MemorySegment f = of(potrfSize, type);
        int code = single(type) ? cusolverDnSpotrf_bufferSize.invoke(f, handle, UPPER, n, a, lda, size)
                : cusolverDnDpotrf_bufferSize.invoke(f, handle, UPPER, n, a, lda, size);
        return size(code, "potrf", type, n, n, size, inFlight);
    }

    /** A = Uᵀ·U from the upper triangle. */
    void potrf(MemorySegment handle, DataType type, int n, MemorySegment a, int lda, MemorySegment work, int lwork, MemorySegment info,
            InFlight inFlight) {
        MemorySegment f = of(potrf, type);
        int code = single(type) ? cusolverDnSpotrf.invoke(f, handle, UPPER, n, a, lda, work, lwork, info)
                : cusolverDnDpotrf.invoke(f, handle, UPPER, n, a, lda, work, lwork, info);
        done(code, "potrf", type, n, n, lwork, inFlight);
    }

    int syevdSize(MemorySegment handle, DataType type, int n, MemorySegment a, int lda, MemorySegment w, MemorySegment size, InFlight inFlight) {
        MemorySegment f = of(syevdSize, type);
        int code = single(type) ? cusolverDnSsyevd_bufferSize.invoke(f, handle, VECTORS, UPPER, n, a, lda, w, size)
                : cusolverDnDsyevd_bufferSize.invoke(f, handle, VECTORS, UPPER, n, a, lda, w, size);
        return size(code, "syevd", type, n, n, size, inFlight);
    }

    /** Eigenvalues and, in the columns of A, eigenvectors, from the upper triangle. */
    void syevd(MemorySegment handle, DataType type, int n, MemorySegment a, int lda, MemorySegment w, MemorySegment work, int lwork,
            MemorySegment info, InFlight inFlight) {
        MemorySegment f = of(syevd, type);
        int code = single(type) ? cusolverDnSsyevd.invoke(f, handle, VECTORS, UPPER, n, a, lda, w, work, lwork, info)
                : cusolverDnDsyevd.invoke(f, handle, VECTORS, UPPER, n, a, lda, w, work, lwork, info);
        done(code, "syevd", type, n, n, lwork, inFlight);
    }

    // ---- errors

    private static String name(String function, DataType type) {
        return "cusolverDn" + (single(type) ? "S" : "D") + function;
    }

    private static int size(int code, String function, DataType type, int m, int n, MemorySegment size, InFlight inFlight) {
        if (code != 0) {
            throw failure(code, name(function, type) + "_bufferSize(m=" + m + ", n=" + n + ")", inFlight);
        }
        return size.get(ValueLayout.JAVA_INT, 0);
    }

    private static void done(int code, String function, DataType type, int m, int n, int lwork, InFlight inFlight) {
        if (code != 0) {
            throw failure(code, name(function, type) + "(m=" + m + ", n=" + n + ", lwork=" + lwork + ")", inFlight);
        }
        inFlight.add(name(function, type), m, n, -1);
    }

    private static void check(int code, String call, InFlight inFlight) {
        if (code != 0) {
            throw failure(code, call, inFlight);
        }
    }

    private static NativeException failure(int code, String call, InFlight inFlight) {
        return new NativeException(call, code, STATUS.getOrDefault(code, "a status without a name in cuSOLVER's header") + (inFlight == null ? "" : inFlight.text()));
    }

    private static final Map<Integer, String> STATUS = Map.of( // cuSOLVER has no function that names its codes
            cuda_h.CUSOLVER_STATUS_NOT_INITIALIZED(), "CUSOLVER_STATUS_NOT_INITIALIZED",
            cuda_h.CUSOLVER_STATUS_ALLOC_FAILED(), "CUSOLVER_STATUS_ALLOC_FAILED",
            cuda_h.CUSOLVER_STATUS_INVALID_VALUE(), "CUSOLVER_STATUS_INVALID_VALUE",
            cuda_h.CUSOLVER_STATUS_ARCH_MISMATCH(), "CUSOLVER_STATUS_ARCH_MISMATCH",
            cuda_h.CUSOLVER_STATUS_EXECUTION_FAILED(), "CUSOLVER_STATUS_EXECUTION_FAILED",
            cuda_h.CUSOLVER_STATUS_INTERNAL_ERROR(), "CUSOLVER_STATUS_INTERNAL_ERROR",
            cuda_h.CUSOLVER_STATUS_MATRIX_TYPE_NOT_SUPPORTED(), "CUSOLVER_STATUS_MATRIX_TYPE_NOT_SUPPORTED",
            cuda_h.CUSOLVER_STATUS_NOT_SUPPORTED(), "CUSOLVER_STATUS_NOT_SUPPORTED");
}
