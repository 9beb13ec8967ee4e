package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

import org.lora4j.bindings.cuda.cuda_h;

/** One stream of one GPU with the handles and the workspace that work on it, opened together and closed together. */
final class CudaStream {
    /** The workspace of cuBLAS in bytes, as NVIDIA recommends it up to compute capability 8 and from 9 on. */
    private static final long WORKSPACE = 4L << 20;
    private static final long HOPPER_WORKSPACE = 32L << 20;

    final Cudart cudart;
    final Cublas cublas;
    final Cusolver cusolver;
    final int index;
    final InFlight inFlight = new InFlight();
    final MemorySegment stream;
    final MemorySegment blas; // cublasHandle_t
    final MemorySegment solver; // cusolverDnHandle_t
    final MemorySegment svd; // gesvdjInfo_t
    final int svdSweeps;
    final double svdSlack; // what a decomposition's elements may be off by beyond rounding, as the options want it

    private final MemorySegment alphas;
    private final MemorySegment betas;
    private final MemorySegment word;
    private final Deque<Runnable> closers = new ArrayDeque<>(); // the last opened first

    CudaStream(CudaLibraries libraries, CudaOptions options) {
        cudart = libraries.cudart();
        cublas = libraries.cublas();
        cusolver = libraries.cusolver();
        index = options.index();
        svdSweeps = options.svdSweeps() == 0 ? 100 : options.svdSweeps();
        svdSlack = 4 * options.svdTolerance() + (options.tf32() ? 0x1p-9 : 0);
        Arena arena = Arena.ofShared();
        closers.push(arena::close);
        alphas = arena.allocate(8, 8);
        betas = arena.allocate(8, 8);
        word = arena.allocate(8, 8);
        try {
            select();
            if (options.stream() == null) {
                stream = cudart.createStream(inFlight);
                closers.push(() -> cudart.destroyStream(stream, inFlight));
            } else {
                stream = options.stream();
            }
            long workspaceBytes = cudart.attribute(cuda_h.cudaDevAttrComputeCapabilityMajor(), index) < 9 ? WORKSPACE : HOPPER_WORKSPACE;
            MemorySegment workspace = malloc("device memory for cuBLAS's workspace", workspaceBytes, 0);
            closers.push(() -> cudart.free(workspace, inFlight));
            blas = cublas.create(inFlight);
            closers.push(() -> cublas.destroy(blas, inFlight));
            cublas.setStream(blas, stream, inFlight);
            cublas.setWorkspace(blas, workspace, workspaceBytes, inFlight); // after the stream, which takes it away
            cublas.setMathMode(blas, (options.tf32() ? cuda_h.CUBLAS_TF32_TENSOR_OP_MATH() : cuda_h.CUBLAS_DEFAULT_MATH())
                    | cuda_h.CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION(), inFlight);
            solver = cusolver.create(inFlight);
            closers.push(() -> cusolver.destroy(solver, inFlight));
            cusolver.setStream(solver, stream, inFlight);
            svd = cusolver.createGesvdjInfo(inFlight);
            closers.push(() -> cusolver.destroyGesvdjInfo(svd, inFlight));
            if (options.svdTolerance() > 0) {
                cusolver.setTolerance(svd, options.svdTolerance(), inFlight);
            }
            if (options.svdSweeps() > 0) {
                cusolver.setMaxSweeps(svd, options.svdSweeps(), inFlight);
            }
        } catch (RuntimeException e) {
            try {
                close();
            } catch (RuntimeException closing) {
                e.addSuppressed(closing);
            }
            throw e;
        }
    }

    /** Makes this GPU the calling thread's. */
    void select() {
        cudart.setDevice(index, inFlight);
    }

    /** Waits until everything queued here is done. */
    void synchronize() {
        cudart.synchronize(stream, inFlight);
    }

    /** @throws OutOfDeviceMemoryException when there is no room */
    MemorySegment malloc(String what, long bytes, long held) {
        MemorySegment memory = cudart.malloc(bytes, inFlight);
        if (memory.equals(MemorySegment.NULL)) {
            throw OutOfDeviceMemoryException.ofGpu(what, bytes, held, cudart.memory());
        }
        return memory;
    }

    /** {@code value} as the scalar α of a call: in the type's accumulation type. Good until the next one. */
    MemorySegment alpha(DataType type, double value) {
        type.accumulation().set(alphas, 0, value);
        return alphas;
    }

    /** The same for β. */
    MemorySegment beta(DataType type, double value) {
        type.accumulation().set(betas, 0, value);
        return betas;
    }

    /** Eight bytes of host memory for what a call answers. */
    MemorySegment word() {
        return word;
    }

    /** Row-major target ← source on this GPU, for rows of {@code cols} elements. */
    void copy(DataType type, MemorySegment source, long sourceLd, MemorySegment target, long targetLd, long rows, long cols) {
        long size = type.bytes();
        cudart.copy(target, targetLd * size, source, sourceLd * size, cols * size, rows, cuda_h.cudaMemcpyDeviceToDevice(), stream, inFlight);
    }

    /** Row-major zeros. */
    void zero(DataType type, MemorySegment target, long ld, long rows, long cols) {
        cudart.set(target, ld * type.bytes(), 0, cols * type.bytes(), rows, stream, inFlight);
    }

    /** C ← α·op(A) for a column-major C (m×n); C may be A where op is none. */
    void geam(DataType type, int op, long m, long n, double alpha, MemorySegment a, long lda, MemorySegment c, long ldc) {
        cublas.geam(blas, type, op, (int) m, (int) n, alpha(type, alpha), a, (int) lda, beta(type, 0), c, (int) ldc, inFlight);
    }

    /** x ← α·x for n elements {@code step} apart. */
    void scale(DataType type, long n, double alpha, MemorySegment x, long step) {
        cublas.scale(blas, type, (int) n, alpha(type, alpha), x, (int) step, inFlight);
    }

    /** Gives everything back, the caller's stream excepted. */
    void close() {
        Failures.runAll(List.copyOf(closers));
        closers.clear();
    }
}
