package org.lora4j.device;

import java.lang.foreign.MemorySegment;

import org.lora4j.bindings.cuda.cuda_h;

/**
 * The factorisations of a GPU by cuSOLVER.
 *
 * <p>A row-major m×n matrix with its leading dimension is a column-major n×m one. Operands are worked on in copies: after a
 * failure they are what they were. A triangle is cleared in a copy whose rows are 2n apart, where the elements beside the
 * diagonal of all rows form one pitched block of its own.
 */
final class CudaFactorisations {
    /** The largest matrix that gesvdjBatched takes. */
    private static final int SMALL = 32;

    private final CudaStream s;
    private final CudaMemory memory;
    private final CudaStaging staging;
    private final CudaSvdCheck check;

    CudaFactorisations(CudaStream stream, CudaMemory memory, CudaStaging staging, CudaElements elements) {
        this.s = stream;
        this.memory = memory;
        this.staging = staging;
        this.check = new CudaSvdCheck(stream, staging, elements);
    }

    /** A = U·diag(s)·Vᵀ by gesvdj of Aᵀ = V·diag(s)·Uᵀ; {@code largest} is A's largest element. */
    void svd(Matrix a, double largest, Matrix u, Matrix sigma, Matrix vt) {
        DataType type = a.type();
        int m = (int) a.rows();
        int n = (int) a.cols();
        int k = Math.min(m, n);
        double scale = scale(type, largest);
        try (CudaScratch scratch = new CudaScratch(memory, type)) {
            MemorySegment copy = scratch.elements((long) m * n); // column-major (n, m)
            MemorySegment left = scratch.elements((long) m * k); // U, column-major (m, k)
            MemorySegment info = scratch.bytes(Integer.BYTES);
            s.geam(type, cuda_h.CUBLAS_OP_N(), n, m, scale, a.segment(), a.leadingDimension(), copy, n);
            int ldu = (int) vt.leadingDimension();
            MemorySegment size = s.word();
            if (m == n && n <= SMALL) {
                int lwork = s.cusolver.gesvdjBatchedSize(s.solver, type, n, copy, n, sigma.segment(), vt.segment(), ldu, left, m, s.svd, size, s.inFlight);
                s.cusolver.gesvdjBatched(s.solver, type, n, copy, n, sigma.segment(), vt.segment(), ldu, left, m, scratch.elements(lwork), lwork, info,
                        s.svd, s.inFlight);
            } else {
                int lwork = s.cusolver.gesvdjSize(s.solver, type, n, m, copy, n, sigma.segment(), vt.segment(), ldu, left, m, s.svd, size, s.inFlight);
                s.cusolver.gesvdj(s.solver, type, n, m, copy, n, sigma.segment(), vt.segment(), ldu, left, m, scratch.elements(lwork), lwork, info,
                        s.svd, s.inFlight);
            }
            String call = "cusolverDn" + (type == DataType.FLOAT32 ? "S" : "D") + (m == n && n <= SMALL ? "gesvdjBatched" : "gesvdj") + "(m=" + n + ", n=" + m + ")";
            checkConverged(call, info, m == n && n <= SMALL);
            s.geam(type, cuda_h.CUBLAS_OP_N(), n, m, scale, a.segment(), a.leadingDimension(), copy, n);
            String defect = check.defect(scratch, type, n, m, k, copy, vt.segment(), ldu, sigma.segment(), left, m);
            if (defect != null) {
                throw new NativeException(call, 0, defect);
            }
            s.geam(type, cuda_h.CUBLAS_OP_T(), k, m, 1, left, m, u.segment(), u.leadingDimension());
            s.geam(type, cuda_h.CUBLAS_OP_N(), k, 1, 1 / scale, sigma.segment(), k, sigma.segment(), k);
        }
    }

    private void checkConverged(String call, MemorySegment info, boolean batched) {
        int code = info(info);
        if (code > 0) {
            throw new SvdNotConvergedException(call, code, batched ? s.svdSweeps : s.cusolver.sweeps(s.solver, s.svd, s.inFlight),
                    batched ? Double.NaN : s.cusolver.residual(s.solver, s.svd, s.inFlight));
        }
        checkArguments(call, code);
    }

    /** The power of two that brings {@code largest} to about 1, where squares neither over- nor underflow; 1 for 0. */
    private static double scale(DataType type, double largest) {
        int most = type == DataType.FLOAT32 ? 126 : 1022;
        return largest == 0 ? 1 : Math.scalb(1.0, Math.clamp(-Math.getExponent(largest), -most, most));
    }

    /** A ← Q and R of A = Q·R with R's diagonal not negative. */
    void qr(Matrix a, Matrix r) {
        DataType type = a.type();
        int m = (int) a.rows();
        int n = (int) a.cols();
        try (CudaScratch scratch = new CudaScratch(memory, type)) {
            MemorySegment q = scratch.elements((long) m * n); // column-major (m, n)
            MemorySegment tau = scratch.elements(n);
            MemorySegment info = scratch.bytes(Integer.BYTES);
            MemorySegment info2 = scratch.bytes(Integer.BYTES);
            MemorySegment wide = scratch.elements(2L * n * n); // row-major (n, 2n), R in the right half
            MemorySegment triangle = at(wide, type, n);
            s.geam(type, cuda_h.CUBLAS_OP_T(), m, n, 1, a.segment(), a.leadingDimension(), q, m);
            int lwork = s.cusolver.qrSize(s.solver, type, m, n, q, m, tau, s.word(), s.inFlight);
            MemorySegment work = scratch.elements(lwork);
            s.cusolver.geqrf(s.solver, type, m, n, q, m, tau, work, lwork, info, s.inFlight);
            s.geam(type, cuda_h.CUBLAS_OP_T(), n, n, 1, q, m, triangle, 2L * n);
            s.cusolver.orgqr(s.solver, type, m, n, q, m, tau, work, lwork, info2, s.inFlight);
            if (n > 1) {
                s.zero(type, at(wide, type, 1), 2L * n + 1, n, n - 1); // what stands before the diagonal
            }
            double[] diagonal = staging.read(type, triangle, 2L * n + 1, n);
            checkArguments("cusolverDnXgeqrf(m=" + m + ", n=" + n + ")", info(info));
            checkArguments("cusolverDnXorgqr(m=" + m + ", n=" + n + ")", info(info2));
            for (int i = 0; i < n; i++) {
                if (diagonal[i] < 0) {
                    s.scale(type, n - i, -1, at(triangle, type, i * (2L * n + 1)), 1);
                    s.scale(type, m, -1, at(q, type, (long) i * m), 1);
                }
            }
            s.copy(type, triangle, 2L * n, r.segment(), r.leadingDimension(), n, n);
            s.geam(type, cuda_h.CUBLAS_OP_T(), n, m, 1, q, m, a.segment(), a.leadingDimension());
        }
    }

    /** A ← L of A = L·Lᵀ, zeros above the diagonal. */
    void cholesky(Matrix a) {
        DataType type = a.type();
        int n = (int) a.rows();
        try (CudaScratch scratch = new CudaScratch(memory, type)) {
            MemorySegment l = scratch.elements(2L * n * n); // row-major (n, 2n), L in the left half
            MemorySegment info = scratch.bytes(Integer.BYTES);
            s.copy(type, a.segment(), a.leadingDimension(), l, 2L * n, n, n);
            int lwork = s.cusolver.potrfSize(s.solver, type, n, l, 2 * n, s.word(), s.inFlight);
            s.cusolver.potrf(s.solver, type, n, l, 2 * n, scratch.elements(lwork), lwork, info, s.inFlight);
            if (n > 1) {
                s.zero(type, at(l, type, 1), 2L * n + 1, n - 1, n - 1); // what stands behind the diagonal
            }
            double[] diagonal = staging.read(type, l, 2L * n + 1, n);
            int code = info(info);
            for (int i = 0; code == 0 && i < n; i++) { // a NaN passes comparisons
                code = diagonal[i] > 0 && diagonal[i] < Double.POSITIVE_INFINITY ? 0 : i + 1;
            }
            if (code > 0) {
                throw new NativeException("cusolverDnXpotrf(n=" + n + ")", code, "the leading minor of order " + code + " is not positive definite");
            }
            checkArguments("cusolverDnXpotrf(n=" + n + ")", code);
            s.copy(type, l, 2L * n, a.segment(), a.leadingDimension(), n, n);
        }
    }

    /** A ← Q and w of A = Qᵀ·diag(w)·Q. */
    void symmetricEigen(Matrix a, Matrix w) {
        DataType type = a.type();
        int n = (int) a.rows();
        try (CudaScratch scratch = new CudaScratch(memory, type)) {
            MemorySegment q = scratch.elements((long) n * n);
            MemorySegment info = scratch.bytes(Integer.BYTES);
            s.copy(type, a.segment(), a.leadingDimension(), q, n, n, n);
            int lwork = s.cusolver.syevdSize(s.solver, type, n, q, n, w.segment(), s.word(), s.inFlight);
            s.cusolver.syevd(s.solver, type, n, q, n, w.segment(), scratch.elements(lwork), lwork, info, s.inFlight);
            double[] values = staging.read(type, w.segment(), 1, n);
            int code = info(info);
            String call = "cusolverDnXsyevd(n=" + n + ")";
            if (code > 0) {
                throw new NativeException(call, code, "not converged");
            }
            checkArguments(call, code);
            for (double value : values) {
                if (!Double.isFinite(value)) {
                    throw new NativeException(call, 0, "an eigenvalue is not finite, as from a NaN or an infinity in the matrix");
                }
            }
            s.copy(type, q, n, a.segment(), a.leadingDimension(), n, n);
        }
    }

    /** What the device wrote into {@code info}. The host waits. */
    private int info(MemorySegment info) {
        return staging.readInt(info);
    }

    private static void checkArguments(String call, int info) {
        if (info != 0) {
            throw new NativeException(call, info, "argument " + -info + " is wrong");
        }
    }

    private static MemorySegment at(MemorySegment memory, DataType type, long element) {
        return MemorySegment.ofAddress(memory.address() + element * type.bytes());
    }
}
