package org.lora4j.device;

import java.lang.foreign.MemorySegment;
import java.util.List;

import org.lora4j.bindings.cuda.cuda_h;

/**
 * An NVIDIA GPU by cuBLAS and cuSOLVER, from CUDA 12 on; {@link CudaLibraries} says where they are looked for.
 *
 * <p>Everything is queued in one stream. Operations return when they are queued; those that give a number or fill the
 * caller's memory ({@code copyOut}, {@code dot}, {@code largest}, factorisations) wait. A failure of work that was queued
 * shows at a later call, whose {@link NativeException} names what was in flight; after an illegal access the GPU's context
 * is lost and only closing is left.
 *
 * <p>Host memory that is copied goes through pinned memory of the device's own. {@link #borrow} takes device memory of the
 * caller, as a segment whose address is the device pointer; its length may be 0: then no more is known of it than what
 * the driver tells of its first and its last byte. What other streams still do to it isn't waited for.
 *
 * <p>Each operation makes its GPU the calling thread's current device, and leaves it so.
 */
public final class CudaDevice extends Device {
    private final CudaLibraries libraries;
    private final CudaStream s;
    private final CudaMemory memory;
    private final CudaStaging staging;
    private final CudaElements elements;
    private final CudaFactorisations factorisations;
    private final String name;

    private CudaDevice(CudaLibraries libraries, CudaOptions options) {
        this.libraries = libraries;
        this.name = libraries.cudart().deviceName(options.index());
        this.s = new CudaStream(libraries, options);
        this.memory = new CudaMemory(s, this);
        this.staging = new CudaStaging(s, this);
        this.elements = new CudaElements(s, memory, staging);
        this.factorisations = new CudaFactorisations(s, memory, staging, elements);
    }

    /** Opens a GPU with a stream of its own and float32 throughout, counted from 0 in CUDA's own order. */
    public static CudaDevice open(int index) {
        return open(CudaOptions.defaults().withIndex(index));
    }

    /**
     * Opens a GPU.
     *
     * @throws DeviceUnavailableException when there are no CUDA libraries, no driver or no such GPU, with all that was tried
     * @throws NativeException when the GPU can't be opened
     * @throws OutOfDeviceMemoryException when it has no room for cuBLAS's workspace
     */
    public static CudaDevice open(CudaOptions options) {
        return open(CudaLibraries.load(), options);
    }

    static CudaDevice open(CudaLibraries libraries, CudaOptions options) {
        int count = count(libraries);
        if (options.index() >= count) {
            throw new DeviceUnavailableException("GPU " + options.index() + ": " + libraries.origin() + " (" + libraries.versions() + ") has "
                    + count + (count == 1 ? " GPU" : " GPUs") + ", counted from 0");
        }
        return new CudaDevice(libraries, options);
    }

    /** How many GPUs there are; at least 1. */
    static int count(CudaLibraries libraries) {
        int count;
        try {
            count = libraries.cudart().deviceCount();
        } catch (NativeException e) {
            throw new DeviceUnavailableException("no GPU: " + libraries.origin() + " (" + libraries.versions() + ") says: " + e.getMessage());
        }
        if (count == 0) {
            throw new DeviceUnavailableException("no GPU: " + libraries.origin() + " (" + libraries.versions() + ") counts none");
        }
        return count;
    }

    @Override
    public String description() {
        return "cuda:" + s.index + ", " + name + ", " + library();
    }

    @Override
    public String library() {
        return libraries.versions() + ", cuBLAS " + s.cublas.version() + ", cuSOLVER " + s.cusolver.version();
    }

    /** The runtime library that was loaded. */
    public String libraryOrigin() {
        return libraries.origin();
    }

    /** The {@code cudaStream_t} that everything is queued in: the caller's own, or this device's until it is closed. */
    public MemorySegment stream() {
        checkOwned();
        return s.stream;
    }

    @Override
    void bind() {
        s.select();
    }

    @Override
    void doSynchronize() {
        s.synchronize();
        staging.synchronised();
    }

    @Override
    long maxDimension() {
        return Integer.MAX_VALUE;
    }

    // ---- memory

    @Override
    Allocation allocateBytes(long bytes, boolean temporary, boolean zeroed) {
        if (bytes == 0) {
            return new Allocation(MemorySegment.NULL, temporary, () -> {});
        }
        MemorySegment block = temporary ? memory.acquire(bytes) : memory.allocate(bytes);
        Runnable free = temporary ? () -> memory.release(block, bytes) : () -> memory.free(block, bytes);
        try {
            if (zeroed) {
                s.cudart.set(block, bytes, 0, bytes, 1, s.stream, s.inFlight);
            }
        } catch (NativeException e) {
            try {
                free.run();
            } catch (NativeException closing) {
                e.addSuppressed(closing);
            }
            throw e;
        }
        return new Allocation(MemorySegment.ofAddress(block.address()), temporary, free);
    }

    @Override
    MemorySegment borrowable(MemorySegment pointer, DataType type, long rows, long cols, long leadingDimension) {
        long needed = Matrix.span(rows, cols, leadingDimension) * type.bytes();
        if (!pointer.isNative() || pointer.address() % type.bytes() != 0 || pointer.address() == 0 && needed > 0) {
            throw new IllegalArgumentException("a GPU can borrow device memory aligned to " + type.bytes() + " bytes; this is "
                    + (pointer.isNative() ? "at address 0x" + Long.toHexString(pointer.address()) : "on the heap"));
        }
        if (pointer.byteSize() > 0 && pointer.byteSize() < needed) {
            throw new IllegalArgumentException("the memory has " + pointer.byteSize() + " bytes; a matrix of " + rows + "×" + cols + " " + type
                    + " with leading dimension " + leadingDimension + " needs " + needed);
        }
        if (needed > 0) {
            checkOwner(pointer, 0);
            checkOwner(pointer, needed - 1);
        }
        return MemorySegment.ofAddress(pointer.address());
    }

    private void checkOwner(MemorySegment pointer, long offset) {
        int owner = s.cudart.deviceOf(MemorySegment.ofAddress(pointer.address() + offset), s.inFlight);
        if (owner != s.index) {
            throw new IllegalArgumentException("the memory at address 0x" + Long.toHexString(pointer.address()) + (offset == 0 ? "" : " + " + offset)
                    + " is " + (owner < 0 ? "no GPU's" : "GPU " + owner + "'s") + "; it must be GPU " + s.index + "'s");
        }
    }

    @Override
    MemorySegment slice(MemorySegment block, long offset, long bytes) {
        return MemorySegment.ofAddress(block.address() + offset);
    }

    @Override
    void doCopyIn(MemorySegment source, long leadingDimension, Matrix target) {
        if (target.rows() > 0 && target.cols() > 0) {
            int size = target.type().bytes();
            staging.in(target.type(), target.rows(), target.cols(), (pinned, from, to) -> HostElements.copy(
                    source.asSlice(from * leadingDimension * size), leadingDimension, pinned, target.cols(), size, to - from, target.cols()),
                    target.segment(), target.leadingDimension());
        }
    }

    @Override
    void doCopyOut(Matrix source, MemorySegment target, long leadingDimension) {
        if (source.rows() > 0 && source.cols() > 0) {
            int size = source.type().bytes();
            staging.out(source.type(), source.rows(), source.cols(), source.segment(), source.leadingDimension(), (pinned, from, to) -> HostElements.copy(
                    pinned, source.cols(), target.asSlice(from * leadingDimension * size), leadingDimension, size, to - from, source.cols()));
        }
    }

    @Override
    void doCopy(Matrix source, Matrix target) {
        s.copy(source.type(), source.segment(), source.leadingDimension(), target.segment(), target.leadingDimension(), source.rows(), source.cols());
    }

    /** From 16 bits to float32 on the GPU, as products with 1; otherwise by way of the host. */
    @Override
    void doConvert(Matrix source, Matrix target) {
        if (target.type() == DataType.FLOAT32 && source.type().bytes() == Short.BYTES) {
            elements.widen(source, target.segment(), target.leadingDimension());
            return;
        }
        long cols = source.cols();
        long most = Math.max(1, CudaStaging.LARGEST / (cols * Double.BYTES));
        for (long i = 0; i < source.rows(); i += most) {
            long rows = Math.min(most, source.rows() - i);
            MemorySegment values = MemorySegment.ofArray(new double[Math.toIntExact(rows * cols)]);
            MemorySegment rounded = MemorySegment.ofArray(new double[Math.toIntExact(rows * cols)]);
            copyOut(source.rows(i, i + rows), values, cols);
            HostElements.convert(values, source.type(), cols, rounded, target.type(), cols, rows, cols);
            copyIn(rounded, cols, target.rows(i, i + rows));
        }
    }

    // ---- element-wise passes and reductions

    @Override
    void doFill(Matrix a, double value) {
        elements.fill(a, value);
    }

    @Override
    void doUniform(long seed, Matrix a) {
        elements.uniform(seed, a);
    }

    @Override
    void doScale(double alpha, Matrix a) {
        elements.scale(alpha, a);
    }

    @Override
    double doDot(Matrix a, Matrix b) {
        return elements.dot(a, b);
    }

    @Override
    double doLargest(Matrix a) {
        return elements.largest(a);
    }

    // ---- products and factorisations

    /** Row-major C = A·B is column-major Cᵀ = Bᵀ·Aᵀ: the operands change places, here and nowhere else. */
    @Override
    void doGemm(long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        if (m == 0 || n == 0) {
            return;
        }
        if (k == 0) { // what the libraries do then differs
            Matrix block = c.view(0, m, 0, n);
            if (beta == 0) {
                doFill(block, 0);
            } else {
                doScale(beta, block);
            }
            return;
        }
        s.cublas.gemm(s.blas, a.type(), c.type(), transpose(opB), transpose(opA), (int) n, (int) m, (int) k, s.alpha(a.type(), alpha), b.segment(),
                (int) b.leadingDimension(), a.segment(), (int) a.leadingDimension(), s.beta(a.type(), beta), c.segment(), (int) c.leadingDimension(),
                s.inFlight);
    }

    @Override
    void doSvd(Matrix a, Matrix u, Matrix sigma, Matrix vt) {
        if (sigma.cols() > 0) {
            factorisations.svd(a, doLargest(a), u, sigma, vt);
        }
    }

    @Override
    void doQr(Matrix a, Matrix r) {
        if (a.cols() > 0) {
            factorisations.qr(a, r);
        }
    }

    @Override
    void doCholesky(Matrix a) {
        if (a.rows() > 0) {
            factorisations.cholesky(a);
        }
    }

    /** Row-major and column-major differ in the side and in the triangle. */
    @Override
    void doTriangularSolve(Side side, Triangle triangle, Op op, double alpha, Matrix t, Matrix b) {
        if (b.rows() > 0 && b.cols() > 0) {
            s.cublas.trsm(s.blas, b.type(), side == Side.LEFT ? cuda_h.CUBLAS_SIDE_RIGHT() : cuda_h.CUBLAS_SIDE_LEFT(),
                    triangle == Triangle.LOWER ? cuda_h.CUBLAS_FILL_MODE_UPPER() : cuda_h.CUBLAS_FILL_MODE_LOWER(), transpose(op), (int) b.cols(),
                    (int) b.rows(), s.alpha(b.type(), alpha), t.segment(), (int) t.leadingDimension(), b.segment(), (int) b.leadingDimension(), s.inFlight);
        }
    }

    @Override
    void doSymmetricEigen(Matrix a, Matrix w) {
        if (a.rows() > 0) {
            factorisations.symmetricEigen(a, w);
        }
    }

    private static int transpose(Op op) {
        return op == Op.NONE ? cuda_h.CUBLAS_OP_N() : cuda_h.CUBLAS_OP_T();
    }

    @Override
    void doClose() {
        Failures.runAll(List.of(s::synchronize, memory::trim, staging::close, s::close));
    }
}
