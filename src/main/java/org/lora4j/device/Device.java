package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

import org.lora4j.device.Counters.Call;

/**
 * A place where matrices live and are multiplied and factorised.
 *
 * <p>Every operation checks its arguments before anything native is called and counts what it does
 * ({@link #counters()}). All of them throw
 * <ul>
 *   <li>{@link IllegalStateException} when the device or one of the matrices is closed,
 *   <li>{@link WrongThreadException} when called by another thread than the device's owner,
 *   <li>{@link IllegalArgumentException} when shapes or types disagree, a matrix belongs to another device, a result
 *       overlaps an operand, or a dimension is beyond what the native library takes,
 *   <li>{@link NativeException} when the native library fails.
 * </ul>
 * A device is owned by the thread that opened it until {@link #handOver}; devices are independent of each other.
 * Closing it frees every matrix it allocated.
 */
public abstract class Device implements AutoCloseable {
    private final Counters counters = new Counters();
    private final Set<Matrix> matrices = new LinkedHashSet<>();
    private volatile Thread owner = Thread.currentThread();
    private volatile boolean closed;

    /** Opens the best device of this machine: the host. */
    public static Device open() {
        return HostDevice.open();
    }

    /** The device, its library and the library's threads, in words. */
    public abstract String description();

    /** The native library that does the work, in its own words where it has any. */
    public abstract String library();

    /** The least number of elements from {@code elements} on that is whole blocks of 16 bytes, where libraries are fast. */
    public final long aligned(DataType type, long elements) {
        long block = 16 / type.bytes();
        return Math.ceilDiv(elements, block) * block;
    }

    // ---- memory

    /** Allocates a rows×cols matrix of zeros whose rows follow each other without gaps. */
    public final Matrix allocate(DataType type, long rows, long cols) {
        return allocate(type, rows, cols, Math.max(1, cols));
    }

    /**
     * Allocates a rows×cols matrix of zeros.
     *
     * @param leadingDimension the distance between rows in elements, at least {@code cols}
     * @throws IllegalArgumentException for a negative size, a too small leading dimension or a size beyond 2⁶³ bytes
     * @throws OutOfDeviceMemoryException when there is no room
     */
    public final Matrix allocate(DataType type, long rows, long cols, long leadingDimension) {
        checkOwned();
        long bytes = Checks.bytes(type, rows, cols, leadingDimension);
        Arena arena = Arena.ofShared();
        try {
            Matrix m = new Matrix(this, arena, allocateBytes(arena, bytes), type, rows, cols, leadingDimension);
            matrices.add(m);
            counters.allocated(bytes);
            return m;
        } catch (OutOfMemoryError e) {
            arena.close();
            throw new OutOfDeviceMemoryException(bytes, counters.currentBytes, e.getMessage());
        }
    }

    /**
     * Makes a matrix of memory that the caller owns and frees, later than the last use of the matrix. Nothing is copied.
     *
     * @param memory memory of this device; its element (0, 0) comes first
     * @throws IllegalArgumentException when it is not memory of this device, or shorter than the matrix, or not aligned
     *     to its type
     */
    public final Matrix borrow(MemorySegment memory, DataType type, long rows, long cols, long leadingDimension) {
        checkOwned();
        Checks.bytes(type, rows, cols, leadingDimension);
        Checks.hostMemory(memory, type, rows, cols, leadingDimension);
        checkBorrowable(memory, type);
        return new Matrix(this, null, memory, type, rows, cols, leadingDimension);
    }

    /** Copies rows {@code leadingDimension} elements apart from host memory (on or off the heap) into {@code target}. */
    public final void copyIn(MemorySegment source, long leadingDimension, Matrix target) {
        checkOwned();
        check(target);
        Checks.hostMemory(source, target.type(), target.rows(), target.cols(), leadingDimension);
        count(Call.COPY_IN);
        counters.bytesIn += target.rows() * target.cols() * target.type().bytes();
        doCopyIn(source, leadingDimension, target);
    }

    /** Copies {@code source} to host memory (on or off the heap), rows {@code leadingDimension} elements apart. */
    public final void copyOut(Matrix source, MemorySegment target, long leadingDimension) {
        checkOwned();
        check(source);
        Checks.hostMemory(target, source.type(), source.rows(), source.cols(), leadingDimension);
        if (target.isReadOnly()) {
            throw new IllegalArgumentException("the target of a copy is read-only");
        }
        count(Call.COPY_OUT);
        counters.bytesOut += source.rows() * source.cols() * source.type().bytes();
        doCopyOut(source, target, leadingDimension);
    }

    /** target = source, both of the same shape, type and device. */
    public final void copy(Matrix source, Matrix target) {
        checkOwned();
        check(source);
        check(target);
        Checks.sameShape("copy", source, target);
        Checks.noOverlap("copy", target, target.rows(), target.cols(), source, source.rows(), source.cols());
        count(Call.COPY);
        doCopy(source, target);
    }

    // ---- element-wise passes and reductions

    /** Every element of {@code a} becomes {@code value}. */
    public final void fill(Matrix a, double value) {
        elementwise(a);
        doFill(a, value);
    }

    /** A ← α·A. */
    public final void scale(double alpha, Matrix a) {
        elementwise(a);
        doScale(alpha, a);
    }

    /** Σᵢⱼ Aᵢⱼ·Bᵢⱼ, summed in float64. {@code dot(a, a)} is the square of the Frobenius norm. */
    public final double dot(Matrix a, Matrix b) {
        elementwise(a);
        check(b);
        Checks.sameShape("dot", a, b);
        return doDot(a, b);
    }

    /** The element of largest magnitude with its sign, the first in row order of equals; NaN if there is a NaN; 0 if empty. */
    public final double largest(Matrix a) {
        elementwise(a);
        return doLargest(a);
    }

    private void elementwise(Matrix a) {
        checkOwned();
        check(a);
        count(Call.ELEMENTWISE);
    }

    // ---- products

    /**
     * C ← α·op(A)·op(B) + β·C. With β = 0, C is not read. C must not overlap A or B.
     *
     * @see <a href="https://www.netlib.org/blas/">BLAS xGEMM</a>
     */
    public final void gemm(double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        long k = opA == Op.NONE ? a.cols() : a.rows();
        Checks.gemmShapes(a, opA, b, opB, c);
        gemm(c.rows(), c.cols(), k, alpha, a, opA, b, opB, beta, c);
    }

    /**
     * C ← α·op(A)·op(B) + β·C for the leading blocks op(A) (m×k), op(B) (k×n) and C (m×n) of matrices at least as
     * large. Allocates nothing, whatever the sizes: fixed matrices serve batches of changing size.
     */
    public final void gemm(long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        checkOwned();
        check(a);
        check(b);
        check(c);
        Checks.gemm(m, n, k, a, opA, b, opB, c, maxDimension());
        count(Call.GEMM);
        doGemm(m, n, k, alpha, a, opA, b, opB, beta, c);
    }

    // ---- factorisations

    /**
     * A = U·diag(s)·Vᵀ with k = min(m, n), s descending, checked for orthogonality and residual. A is not modified.
     * The signs of singular pairs are the library's.
     *
     * @param a m×n, finite
     * @param u m×k, overwritten
     * @param s 1×k, overwritten
     * @param vt k×n, overwritten
     * @throws NativeException when no method converges to a result that passes the check
     */
    public final void svd(Matrix a, Matrix u, Matrix s, Matrix vt) {
        factorisation(Call.SVD, a, u, s, vt);
        long k = Math.min(a.rows(), a.cols());
        Checks.shape("svd: u", u, a.rows(), k);
        Checks.shape("svd: s", s, 1, k);
        Checks.shape("svd: vt", vt, k, a.cols());
        Checks.finite("svd: a", a, doLargest(a));
        doSvd(a, u, s, vt);
    }

    /**
     * A = Q·R. A (m×n, m ≥ n) is overwritten by Q with orthonormal columns, {@code r} (n×n) by the upper triangular R
     * whose diagonal is not negative, which makes both unique where A has full rank.
     */
    public final void qr(Matrix a, Matrix r) {
        factorisation(Call.QR, a, r);
        if (a.rows() < a.cols()) {
            throw new IllegalArgumentException("qr of a matrix of " + a.shape() + ": it must have at least as many rows as columns");
        }
        Checks.shape("qr: r", r, a.cols(), a.cols());
        doQr(a, r);
    }

    /**
     * A = L·Lᵀ. The lower triangle of the symmetric A is read; A is overwritten by L, zeros above the diagonal.
     *
     * @throws NativeException with code i when the leading minor of order i is not positive definite
     */
    public final void cholesky(Matrix a) {
        factorisation(Call.CHOLESKY, a);
        Checks.shape("cholesky: a", a, a.rows(), a.rows());
        doCholesky(a);
    }

    /** Solves op(T)·X = α·B (left) or X·op(T) = α·B (right); B is overwritten by X. */
    public final void triangularSolve(Side side, Triangle triangle, Op op, double alpha, Matrix t, Matrix b) {
        factorisation(Call.TRIANGULAR_SOLVE, t, b);
        long n = side == Side.LEFT ? b.rows() : b.cols();
        Checks.shape("triangularSolve: t", t, n, n);
        doTriangularSolve(side, triangle, op, alpha, t, b);
    }

    /**
     * A = Qᵀ·diag(w)·Q. The lower triangle of the symmetric A is read; A is overwritten by Q, whose rows are the
     * eigenvectors; {@code w} (1×n) by the eigenvalues, ascending.
     */
    public final void symmetricEigen(Matrix a, Matrix w) {
        factorisation(Call.SYMMETRIC_EIGEN, a, w);
        Checks.shape("symmetricEigen: a", a, a.rows(), a.rows());
        Checks.shape("symmetricEigen: w", w, 1, a.rows());
        doSymmetricEigen(a, w);
    }

    /** Checks and counts a factorisation of {@code operands}, the first of which gives the type. */
    private void factorisation(Call kind, Matrix... operands) {
        checkOwned();
        for (int i = 0; i < operands.length; i++) {
            check(operands[i]);
            Checks.sameType(kind, operands[0], operands[i]);
            Checks.dimensions(kind, operands[i], maxDimension());
            for (int j = 0; j < i; j++) {
                Matrix a = operands[i];
                Matrix b = operands[j];
                Checks.noOverlap(kind.toString(), a, a.rows(), a.cols(), b, b.rows(), b.cols());
            }
        }
        count(kind);
    }

    // ---- life

    /** What this device has done so far. */
    public final Counters counters() {
        checkOwned();
        return counters.copy();
    }

    /** Makes {@code newOwner} the only thread that may use this device and its matrices. Called by the present owner. */
    public final void handOver(Thread newOwner) {
        checkOwned();
        owner = newOwner;
    }

    /** Whether {@link #close()} was called. */
    public final boolean isClosed() {
        return closed;
    }

    /** Frees every matrix that was allocated here and the library's handles. Closing again does nothing. */
    @Override
    public final void close() {
        if (closed) {
            return;
        }
        checkOwned();
        List<Matrix> open = new ArrayList<>(matrices);
        open.forEach(this::free);
        doClose();
        closed = true;
    }

    final void free(Matrix m) {
        checkOwned();
        matrices.remove(m);
        counters.currentBytes -= m.ownedBytes();
        m.release();
    }

    /** Memory for the library's own use, counted like a matrix. */
    final void countWorkspace(long bytes) {
        counters.allocated(bytes);
    }

    final void freeWorkspace(long bytes) {
        counters.currentBytes -= bytes;
    }

    private void count(Call kind) {
        counters.calls[kind.ordinal()]++;
    }

    private void checkOwned() {
        if (closed) {
            throw new IllegalStateException("the device is closed");
        }
        if (Thread.currentThread() != owner) {
            throw new WrongThreadException("the device belongs to thread \"" + owner.getName() + "\" and was called by \""
                    + Thread.currentThread().getName() + "\"; its owner can hand it over");
        }
    }

    private void check(Matrix m) {
        if (m.device() != this) {
            throw new IllegalArgumentException("the matrix of " + m.shape() + " belongs to another device");
        }
        m.checkOpen();
    }

    // ---- what a device implements; arguments have been checked

    /** The largest dimension or leading dimension that the native library takes. */
    abstract long maxDimension();

    /** Zeroed memory that lives as long as the arena. */
    abstract MemorySegment allocateBytes(Arena arena, long bytes);

    abstract void checkBorrowable(MemorySegment memory, DataType type);

    abstract void doCopyIn(MemorySegment source, long leadingDimension, Matrix target);

    abstract void doCopyOut(Matrix source, MemorySegment target, long leadingDimension);

    abstract void doCopy(Matrix source, Matrix target);

    abstract void doFill(Matrix a, double value);

    abstract void doScale(double alpha, Matrix a);

    abstract double doDot(Matrix a, Matrix b);

    abstract double doLargest(Matrix a);

    abstract void doGemm(long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c);

    abstract void doSvd(Matrix a, Matrix u, Matrix s, Matrix vt);

    abstract void doQr(Matrix a, Matrix r);

    abstract void doCholesky(Matrix a);

    abstract void doTriangularSolve(Side side, Triangle triangle, Op op, double alpha, Matrix t, Matrix b);

    abstract void doSymmetricEigen(Matrix a, Matrix w);

    abstract void doClose();
}
