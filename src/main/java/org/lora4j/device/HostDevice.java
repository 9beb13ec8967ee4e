package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

import org.lora4j.bindings.openblas.openblas_h;

/**
 * The processor and a BLAS library; see {@link BlasLibrary} for which one and how to choose another.
 *
 * <p>Memory of this device is ordinary off-heap memory: {@link Matrix#segment()} may be read and written directly, and
 * {@link #borrow} takes any native segment of the caller.
 *
 * <p>Where the JVM ends while a host device is open, by Ctrl-C say, native libraries' exit handlers are skipped on Linux
 * (shutdown hooks run, C's files are written): OpenBLAS's crashes or waits for ever when a product or a factorisation is going on.
 */
public final class HostDevice extends Device {
    private final BlasLibrary library;
    private final Blas blas;
    private final HostLapack lapack;
    private final HostKernels kernels;
    private final HostNarrow narrow;

    private HostDevice(BlasLibrary library) {
        this.library = library;
        this.blas = library.blas();
        this.lapack = new HostLapack(blas, this);
        this.kernels = HostKernels.open(blas::threads, this);
        this.narrow = new HostNarrow(this);
    }

    /**
     * Opens the host with the library that {@code -Dlora4j.blas} names, OpenBLAS by default, and with the native
     * kernels that {@code -Dlora4j.kernels} names (auto, off, amx, avx512, avx2 or portable), by default those that
     * suit the processor.
     *
     * @throws UnsatisfiedLinkError listing everything that was tried and the loader's own words
     * @throws IllegalArgumentException for kernels that this processor doesn't run
     */
    public static HostDevice open() {
        HostDevice device = new HostDevice(BlasLibrary.load());
        ProcessEnd.opened();
        return device;
    }

    @Override
    public String description() {
        int threads = blas.threads();
        return "host, " + library() + ", " + kernels() + (threads > 0 ? ", " + threads + (threads == 1 ? " thread" : " threads") : "");
    }

    @Override
    public String library() {
        return blas.name();
    }

    /** Where the library was loaded from. */
    public String libraryOrigin() {
        return library.origin();
    }

    /** "kernels avx512" for example, or "no native kernels: " and why: then products are BLAS's, reductions and copies are loops in Java. */
    public String kernels() {
        return kernels.description();
    }

    @Override
    long maxDimension() {
        return Integer.MAX_VALUE;
    }

    @Override
    Allocation allocateBytes(long bytes, boolean temporary, boolean zeroed) {
        Arena arena = temporary ? Arena.ofConfined() : Arena.ofShared(); // closing a shared arena asks every thread of the JVM
        try {
            return new Allocation(allocate(arena, bytes, zeroed), temporary, () -> {
                arena.close();
                countFreed(bytes);
            });
        } catch (OutOfDeviceMemoryException e) {
            arena.close();
            throw e;
        }
    }

    /** Zeroed memory that lives as long as the arena, counted as allocated; who closes the arena counts it as freed. */
    MemorySegment allocate(Arena arena, long bytes) {
        return allocate(arena, bytes, true);
    }

    private MemorySegment allocate(Arena arena, long bytes, boolean zeroed) {
        try {
            MemorySegment memory = kernels.allocate(arena, bytes, zeroed);
            countAllocated(bytes);
            return memory;
        } catch (OutOfMemoryError e) {
            throw OutOfDeviceMemoryException.ofHost(bytes, heldBytes(), e.getMessage());
        }
    }

    @Override
    MemorySegment borrowable(MemorySegment memory, DataType type, long rows, long cols, long leadingDimension) {
        Checks.hostMemory(memory, type, rows, cols, leadingDimension);
        if (!memory.isNative() || memory.address() % type.bytes() != 0) {
            throw new IllegalArgumentException("the host device can borrow off-heap memory aligned to " + type.bytes() + " bytes; this is "
                    + (memory.isNative() ? "at address " + Long.toHexString(memory.address()) : "on the heap"));
        }
        return memory;
    }

    @Override
    MemorySegment slice(MemorySegment memory, long offset, long bytes) {
        return memory.asSlice(offset, bytes);
    }

    @Override
    void doCopyIn(MemorySegment source, long leadingDimension, Matrix target) {
        HostElements.copy(source, leadingDimension, target.segment(), target.leadingDimension(), target);
    }

    @Override
    void doCopyOut(Matrix source, MemorySegment target, long leadingDimension) {
        HostElements.copy(source.segment(), source.leadingDimension(), target, leadingDimension, source);
    }

    @Override
    void doCopy(Matrix source, Matrix target) {
        if (kernels.suitCopy(source, target)) {
            kernels.copy(source, target);
        } else {
            HostElements.copy(source.segment(), source.leadingDimension(), target.segment(), target.leadingDimension(), source);
        }
    }

    @Override
    void doConvert(Matrix source, Matrix target) {
        HostElements.convert(source.segment(), source.type(), source.leadingDimension(), target.segment(), target.type(), target.leadingDimension(),
                source.rows(), source.cols());
    }

    @Override
    void doFill(Matrix a, double value) {
        HostElements.fill(a, value);
    }

    @Override
    void doUniform(long seed, Matrix a) {
        HostElements.uniform(seed, a.type(), a.segment(), a.leadingDimension(), 0, a.rows(), a.cols());
    }

    @Override
    void doScale(double alpha, Matrix a) {
        HostElements.scale(alpha, a);
    }

    @Override
    double doDot(Matrix a, Matrix b) {
        return kernels.suitPass(a) ? kernels.dot(a, b) : HostElements.dot(a, b);
    }

    @Override
    double doLargest(Matrix a) {
        return kernels.suitPass(a) ? kernels.largest(a) : HostElements.largest(a);
    }

    @Override
    void doGemm(long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        if (m == 0 || n == 0) {
            return;
        }
        if (a.type() != a.type().accumulation()) {
            narrow.gemm(m, n, k, alpha, a, opA, b, opB, beta, c);
        } else if (m == 1 && k > 0) { // a row: xGEMM would pack the whole of B for it
            gemv(b, opB == Op.NONE ? Op.TRANSPOSE : Op.NONE, k, n, alpha, a, opA == Op.NONE, beta, c.segment(), 1);
        } else if (n == 1 && k > 0) {
            gemv(a, opA, k, m, alpha, b, opB == Op.TRANSPOSE, beta, c.segment(), (int) c.leadingDimension());
        } else {
            gemm(a.type(), opA, opB, m, n, k, alpha, a.segment(), a.leadingDimension(), b.segment(), b.leadingDimension(), beta, c.segment(),
                    c.leadingDimension());
        }
    }

    /** C ← α·op(A)·op(B) + β·C for C m×n and k products to each sum, of float32 or float64, by the kernels or BLAS. */
    void gemm(DataType type, Op opA, Op opB, long m, long n, long k, double alpha, MemorySegment a, long lda, MemorySegment b, long ldb, double beta,
            MemorySegment c, long ldc) {
        if (kernels.suitProduct(type, opA, opB, m, n, k, alpha)) {
            kernels.gemm(opA, opB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, c, ldc);
        } else {
            blas.gemm(type, transpose(opA), transpose(opB), (int) m, (int) n, (int) k, alpha, a, (int) lda, b, (int) ldb, beta, c, (int) ldc);
        }
    }

    @Override
    void doAddmm(Matrix c, double alpha, Matrix a, Op opA, Matrix b, Op opB, Matrix d) {
        long k = opA == Op.NONE ? a.cols() : a.rows();
        if (a.type() == c.type() && kernels.suitProduct(a.type(), opA, opB, c.rows(), c.cols(), k, alpha)) {
            kernels.gemm(opA, opB, c.rows(), c.cols(), k, alpha, a.segment(), a.leadingDimension(), b.segment(), b.leadingDimension(), 1, c.segment(),
                    c.leadingDimension(), d.segment(), d.leadingDimension());
        } else {
            super.doAddmm(c, alpha, a, opA, b, opB, d);
        }
    }

    /** y ← α·op(A)·x + β·y for x of {@code k} and y of {@code length} elements; x is a row or a column of a matrix. */
    private void gemv(Matrix a, Op op, long k, long length, double alpha, Matrix x, boolean isRow, double beta, MemorySegment y, int incy) {
        blas.gemv(a.type(), transpose(op), (int) (op == Op.NONE ? length : k), (int) (op == Op.NONE ? k : length), alpha, a.segment(),
                (int) a.leadingDimension(), x.segment(), isRow ? 1 : (int) x.leadingDimension(), beta, y, incy);
    }

    @Override
    void doPowerStep(Matrix g, Matrix v, Matrix y, Matrix z) {
        if (kernels.suit(g, v.cols())) {
            kernels.powerStep(g, v, y, z);
        } else {
            super.doPowerStep(g, v, y, z);
        }
    }

    @Override
    double doPowerStepAndNorm(Matrix g, Matrix v, Matrix y, Matrix z) {
        return kernels.suit(g, v.cols()) ? kernels.powerStepAndNorm(g, v, y, z) : super.doPowerStepAndNorm(g, v, y, z);
    }

    @Override
    PowerSteps doPowerSteps(Matrix g, long k) {
        if (!kernels.suit(g, k)) {
            return super.doPowerSteps(g, k);
        }
        blas.narrow();
        return new PowerSteps() {
            private boolean closed;

            @Override
            public void close() {
                if (!closed) {
                    closed = true;
                    blas.widen();
                }
            }
        };
    }

    @Override
    void doSvd(Matrix a, Matrix u, Matrix s, Matrix vt) {
        if (s.cols() > 0) {
            lapack.svd(a, u, s, vt);
        }
    }

    @Override
    void doQr(Matrix a, Matrix r) {
        if (a.cols() > 0) {
            lapack.qr(a, r);
        }
    }

    @Override
    void doCholesky(Matrix a) {
        if (a.rows() > 0) {
            lapack.cholesky(a);
        }
    }

    @Override
    void doTriangularSolve(Side side, Triangle triangle, Op op, double alpha, Matrix t, Matrix b) {
        if (b.rows() == 0 || b.cols() == 0) {
            return;
        }
        boolean upper = (triangle == Triangle.UPPER) == (op == Op.NONE);
        if (side == Side.RIGHT && upper && alpha != 0 && kernels.suitSolve(b)) {
            kernels.solve(alpha, t, op, b);
        } else {
            blas.trsm(b.type(), side == Side.LEFT ? openblas_h.CblasLeft() : openblas_h.CblasRight(),
                    triangle == Triangle.LOWER ? openblas_h.CblasLower() : openblas_h.CblasUpper(), transpose(op),
                    (int) b.rows(), (int) b.cols(), alpha, t.segment(), (int) t.leadingDimension(), b.segment(), (int) b.leadingDimension());
        }
    }

    @Override
    void doSymmetricEigen(Matrix a, Matrix w) {
        if (a.rows() > 0 && !kernels.eigen(a, w)) {
            lapack.symmetricEigen(a, w);
        }
    }

    @Override
    void doClose() {
        ProcessEnd.closed();
        narrow.close();
        kernels.close(); // the libraries stay loaded: other devices use them
    }

    static int transpose(Op op) {
        return op == Op.NONE ? openblas_h.CblasNoTrans() : openblas_h.CblasTrans();
    }
}
