package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;

import org.lora4j.bindings.cuda.*;

/**
 * The functions of one loaded cuBLAS with a handle. Matrices are column-major here, as the library has them. Each function
 * checks the code that comes back.
 */
final class Cublas {
    private final MemorySegment create;
    private final MemorySegment destroy;
    private final MemorySegment getProperty;
    private final MemorySegment getStatusName;
    private final MemorySegment getStatusString;
    private final MemorySegment setStream;
    private final MemorySegment setWorkspace;
    private final MemorySegment setMathMode;
    private final MemorySegment sgemm;
    private final MemorySegment dgemm;
    private final MemorySegment gemmEx;
    private final MemorySegment gemmStridedBatchedEx;
    private final MemorySegment sgeam;
    private final MemorySegment dgeam;
    private final MemorySegment strsm;
    private final MemorySegment dtrsm;
    private final MemorySegment scalEx;
    private final MemorySegment isamax;
    private final MemorySegment idamax;
    private final MemorySegment sasum;
    private final MemorySegment dasum;

    /** @throws UnsatisfiedLinkError naming every function that the library does not export */
    Cublas(SymbolLookup library) {
        Symbols symbols = new Symbols(library);
        create = symbols.find("cublasCreate_v2");
        destroy = symbols.find("cublasDestroy_v2");
        getProperty = symbols.find("cublasGetProperty");
        getStatusName = symbols.find("cublasGetStatusName");
        getStatusString = symbols.find("cublasGetStatusString");
        setStream = symbols.find("cublasSetStream_v2");
        setWorkspace = symbols.find("cublasSetWorkspace_v2");
        setMathMode = symbols.find("cublasSetMathMode");
        sgemm = symbols.find("cublasSgemm_v2");
        dgemm = symbols.find("cublasDgemm_v2");
        gemmEx = symbols.find("cublasGemmEx");
        gemmStridedBatchedEx = symbols.find("cublasGemmStridedBatchedEx");
        sgeam = symbols.find("cublasSgeam");
        dgeam = symbols.find("cublasDgeam");
        strsm = symbols.find("cublasStrsm_v2");
        dtrsm = symbols.find("cublasDtrsm_v2");
        scalEx = symbols.find("cublasScalEx");
        isamax = symbols.find("cublasIsamax_v2");
        idamax = symbols.find("cublasIdamax_v2");
        sasum = symbols.find("cublasSasum_v2");
        dasum = symbols.find("cublasDasum_v2");
        symbols.check();
    }

    /** "13.1.1", or why it can't be told. */
    String version() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            StringBuilder version = new StringBuilder();
            for (int part : new int[] {cuda_h.MAJOR_VERSION(), cuda_h.MINOR_VERSION(), cuda_h.PATCH_LEVEL()}) {
                check(cublasGetProperty.invoke(getProperty, part, value), "cublasGetProperty(" + part + ")", null);
                version.append(version.isEmpty() ? "" : ".").append(value.get(ValueLayout.JAVA_INT, 0));
            }
            return version.toString();
        }
    }

    MemorySegment create(InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
            check(cublasCreate_v2.invoke(create, handle), "cublasCreate_v2()", inFlight);
            return handle.get(ValueLayout.ADDRESS, 0);
        }
    }

    void destroy(MemorySegment handle, InFlight inFlight) {
        check(cublasDestroy_v2.invoke(destroy, handle), "cublasDestroy_v2()", inFlight);
    }

    void setStream(MemorySegment handle, MemorySegment stream, InFlight inFlight) {
        check(cublasSetStream_v2.invoke(setStream, handle, stream), "cublasSetStream_v2()", inFlight);
    }

    void setWorkspace(MemorySegment handle, MemorySegment memory, long bytes, InFlight inFlight) {
        check(cublasSetWorkspace_v2.invoke(setWorkspace, handle, memory, bytes), "cublasSetWorkspace_v2(" + bytes + ")", inFlight);
    }

    void setMathMode(MemorySegment handle, int mode, InFlight inFlight) {
        check(cublasSetMathMode.invoke(setMathMode, handle, mode), "cublasSetMathMode(" + mode + ")", inFlight);
    }

    /** C ← α·op(A)·op(B) + β·C; α and β are in the accumulation type. */
    void gemm(MemorySegment handle, DataType type, DataType typeC, int opA, int opB, int m, int n, int k, MemorySegment alpha, MemorySegment a,
            int lda, MemorySegment b, int ldb, MemorySegment beta, MemorySegment c, int ldc, InFlight inFlight) {
        String call;
        int code;
        switch (type) {
            case FLOAT32 -> {
                call = "cublasSgemm_v2";
                code = cublasSgemm_v2.invoke(sgemm, handle, opA, opB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
            }
            case FLOAT64 -> {
                call = "cublasDgemm_v2";
                code = cublasDgemm_v2.invoke(dgemm, handle, opA, opB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
            }
            default -> {
                call = "cublasGemmEx";
                code = cublasGemmEx.invoke(gemmEx, handle, opA, opB, m, n, k, alpha, a, code(type), lda, b, code(type), ldb, beta, c, code(typeC),
                        ldc, compute(type), cuda_h.CUBLAS_GEMM_DEFAULT());
            }
        }
        if (code != 0) {
            throw failure(code, call + "(" + type + ", opA=" + opA + ", opB=" + opB + ", m=" + m + ", n=" + n + ", k=" + k + ", lda=" + lda
                    + ", ldb=" + ldb + ", ldc=" + ldc + ")", inFlight);
        }
        inFlight.add(call, m, n, k);
    }

    /** Cᵢ ← op(Aᵢ)·Bᵢ for each of a batch of matrices whose first elements are {@code strideA}, … elements apart. */
    void gemmBatched(MemorySegment handle, DataType type, int opA, int m, int n, int k, MemorySegment one, MemorySegment a, int lda, long strideA,
            MemorySegment b, int ldb, long strideB, MemorySegment zero, MemorySegment c, int ldc, long strideC, int batch, InFlight inFlight) {
        int code = cublasGemmStridedBatchedEx.invoke(gemmStridedBatchedEx, handle, opA, cuda_h.CUBLAS_OP_N(), m, n, k, one, a, code(type), lda, strideA,
                b, code(type), ldb, strideB, zero, c, code(type.accumulation()), ldc, strideC, batch, compute(type), cuda_h.CUBLAS_GEMM_DEFAULT());
        if (code != 0) {
            throw failure(code, "cublasGemmStridedBatchedEx(" + type + ", m=" + m + ", n=" + n + ", k=" + k + ", lda=" + lda + ", strideA=" + strideA
                    + ", strideB=" + strideB + ", ldc=" + ldc + ", strideC=" + strideC + ", batch=" + batch + ")", inFlight);
        }
        inFlight.add("cublasGemmStridedBatchedEx", m, k, batch);
    }

    /** C ← α·op(A), m×n; C may be A where op is none. */
    void geam(MemorySegment handle, DataType type, int op, int m, int n, MemorySegment alpha, MemorySegment a, int lda, MemorySegment zero,
            MemorySegment c, int ldc, InFlight inFlight) { // C stands for the second operand, which a factor of zero leaves unread
        int none = cuda_h.CUBLAS_OP_N();
        int code = switch (type) {
            case FLOAT32 -> cublasSgeam.invoke(sgeam, handle, op, none, m, n, alpha, a, lda, zero, c, ldc, c, ldc);
            case FLOAT64 -> cublasDgeam.invoke(dgeam, handle, op, none, m, n, alpha, a, lda, zero, c, ldc, c, ldc);
            default -> throw unsupported(type);
        };
        if (code != 0) {
            throw failure(code, "cublasXgeam(" + type + ", op=" + op + ", m=" + m + ", n=" + n + ", lda=" + lda + ", ldc=" + ldc + ")", inFlight);
        }
        inFlight.add("cublasXgeam", m, n, -1);
    }

    /** Solves op(T)·X = α·B or X·op(T) = α·B; B (m×n) is overwritten by X. */
    void trsm(MemorySegment handle, DataType type, int side, int triangle, int op, int m, int n, MemorySegment alpha, MemorySegment t, int ldt,
            MemorySegment b, int ldb, InFlight inFlight) {
        int diagonal = cuda_h.CUBLAS_DIAG_NON_UNIT();
        int code = switch (type) {
            case FLOAT32 -> cublasStrsm_v2.invoke(strsm, handle, side, triangle, op, diagonal, m, n, alpha, t, ldt, b, ldb);
            case FLOAT64 -> cublasDtrsm_v2.invoke(dtrsm, handle, side, triangle, op, diagonal, m, n, alpha, t, ldt, b, ldb);
            default -> throw unsupported(type);
        };
        if (code != 0) {
            throw failure(code, "cublasXtrsm_v2(" + type + ", side=" + side + ", uplo=" + triangle + ", op=" + op + ", m=" + m + ", n=" + n + ", lda="
                    + ldt + ", ldb=" + ldb + ")", inFlight);
        }
        inFlight.add("cublasXtrsm_v2", m, n, -1);
    }

    /** x ← α·x for n elements {@code step} apart; α is in the accumulation type. */
    void scale(MemorySegment handle, DataType type, int n, MemorySegment alpha, MemorySegment x, int step, InFlight inFlight) {
        int scalar = code(type.accumulation());
        int code = cublasScalEx.invoke(scalEx, handle, n, alpha, scalar, x, code(type), step, scalar);
        if (code != 0) {
            throw failure(code, "cublasScalEx(" + type + ", n=" + n + ", incx=" + step + ")", inFlight);
        }
        inFlight.add("cublasScalEx", n, -1, -1);
    }

    /** The place, from 1, of the first element of largest magnitude. The host waits. */
    int largest(MemorySegment handle, DataType type, int n, MemorySegment x, MemorySegment result, InFlight inFlight) {
        int code = switch (type) {
            case FLOAT32 -> cublasIsamax_v2.invoke(isamax, handle, n, x, 1, result);
            case FLOAT64 -> cublasIdamax_v2.invoke(idamax, handle, n, x, 1, result);
            default -> throw unsupported(type);
        };
        if (code != 0) {
            throw failure(code, "cublasIXamax_v2(" + type + ", n=" + n + ")", inFlight);
        }
        inFlight.clear();
        return result.get(ValueLayout.JAVA_INT, 0);
    }

    /** Σ|xᵢ|, NaN where there is one. The host waits. */
    double sumOfMagnitudes(MemorySegment handle, DataType type, int n, MemorySegment x, MemorySegment result, InFlight inFlight) {
        int code = switch (type) {
            case FLOAT32 -> cublasSasum_v2.invoke(sasum, handle, n, x, 1, result);
            case FLOAT64 -> cublasDasum_v2.invoke(dasum, handle, n, x, 1, result);
            default -> throw unsupported(type);
        };
        if (code != 0) {
            throw failure(code, "cublasXasum_v2(" + type + ", n=" + n + ")", inFlight);
        }
        inFlight.clear();
        return type.get(result, 0);
    }

    /** CUDA's name of a type. */
    private static int code(DataType type) {
        return switch (type) {
            case FLOAT32 -> cuda_h.CUDA_R_32F();
            case FLOAT64 -> cuda_h.CUDA_R_64F();
            case BFLOAT16 -> cuda_h.CUDA_R_16BF();
            case FLOAT16 -> cuda_h.CUDA_R_16F();
        };
    }

    private static int compute(DataType type) {
        return type == DataType.FLOAT64 ? cuda_h.CUBLAS_COMPUTE_64F() : cuda_h.CUBLAS_COMPUTE_32F();
    }

    private static IllegalArgumentException unsupported(DataType type) {
        return new IllegalArgumentException(type + ": this takes FLOAT32 and FLOAT64");
    }

    private void check(int code, String call, InFlight inFlight) {
        if (code != 0) {
            throw failure(code, call, inFlight);
        }
    }

    private NativeException failure(int code, String call, InFlight inFlight) {
        return new NativeException(call, code, cublasGetStatusName.invoke(getStatusName, code).getString(0) + " ("
                + cublasGetStatusString.invoke(getStatusString, code).getString(0) + ")" + (inFlight == null ? "" : inFlight.text()));
    }
}
