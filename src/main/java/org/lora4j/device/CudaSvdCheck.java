package org.lora4j.device;

import java.lang.foreign.MemorySegment;

import org.lora4j.bindings.cuda.cuda_h;

/**
 * Whether U·S·Vᵀ is A's singular value decomposition, computed on the GPU by products: the library's word for it is not enough.
 * It is when ‖A − U·S·Vᵀ‖ ≤ t·‖A‖ and ‖UᵀU − I‖ and ‖VᵀV − I‖ (Frobenius) are at most t·√k, with the host's
 * t = 4·(max(m, n) + 10)·ε, and more where TF32 or a tolerance of gesvdj's was asked for. Matrices are column-major here.
 */
final class CudaSvdCheck {
    private final CudaStream s;
    private final CudaStaging staging;
    private final CudaElements elements;

    CudaSvdCheck(CudaStream stream, CudaStaging staging, CudaElements elements) {
        this.s = stream;
        this.staging = staging;
        this.elements = elements;
    }

    /** What is wrong, or null. A (m, n) without gaps is overwritten by A − U·S·Vᵀ. The host waits. */
    String defect(CudaScratch scratch, DataType type, int m, int n, int k, MemorySegment a, MemorySegment u, int ldu, MemorySegment sigma, MemorySegment v,
            int ldv) {
        double allowed = 4 * (Math.max(m, n) + 10) * 2 * type.unitRoundoff() + s.svdSlack * Math.sqrt(k);
        MemorySegment square = scratch.elements((long) k * k);
        MemorySegment vs = scratch.elements((long) n * k);
        double norm = norm(type, a, n, m);
        s.zero(type, square, k, k, k);
        s.copy(type, sigma, 1, square, k + 1L, k, 1);
        product(type, cuda_h.CUBLAS_OP_N(), cuda_h.CUBLAS_OP_N(), n, k, k, 1, v, ldv, square, k, 0, vs, n);
        product(type, cuda_h.CUBLAS_OP_N(), cuda_h.CUBLAS_OP_T(), m, n, k, -1, u, ldu, vs, n, 1, a, m);
        double residual = norm(type, a, n, m);
        if (!(residual <= allowed * norm)) {
            return "relative residual " + residual / norm + " exceeds " + allowed;
        }
        double ofU = distanceFromIdentity(type, k, m, u, ldu, square);
        double ofV = distanceFromIdentity(type, k, n, v, ldv, square);
        double orthonormal = allowed * Math.sqrt(k);
        return ofU <= orthonormal && ofV <= orthonormal ? null
                : "U is " + ofU + " and V " + ofV + " from orthonormal; at most " + orthonormal + " is right";
    }

    /** ‖QᵀQ − I‖ for Q (rows, k). */
    private double distanceFromIdentity(DataType type, int k, int rows, MemorySegment q, int ldq, MemorySegment square) {
        s.zero(type, square, k, k, k);
        staging.in(type, k, 1, (pinned, from, to) -> {
            for (long i = 0; i < to - from; i++) {
                type.set(pinned, i, 1);
            }
        }, square, k + 1L);
        product(type, cuda_h.CUBLAS_OP_T(), cuda_h.CUBLAS_OP_N(), k, k, rows, 1, q, ldq, q, ldq, -1, square, k);
        return norm(type, square, k, k);
    }

    private double norm(DataType type, MemorySegment a, long rows, long cols) {
        return Math.sqrt(elements.dot(type, a, cols, a, cols, rows, cols));
    }

    private void product(DataType type, int opA, int opB, int m, int n, int k, double alpha, MemorySegment a, int lda, MemorySegment b, int ldb, double beta,
            MemorySegment c, int ldc) {
        s.cublas.gemm(s.blas, type, type, opA, opB, m, n, k, s.alpha(type, alpha), a, lda, b, ldb, s.beta(type, beta), c, ldc, s.inFlight);
    }
}
