package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;

import org.lora4j.device.Counters.Call;

/** The memory of a {@link Device}, what it counts, and its life. */
abstract sealed class DeviceMemory implements AutoCloseable permits Device {
    private final Counters counters = new Counters();
    private final Set<Matrix> matrices = new LinkedHashSet<>();
    private volatile Thread owner = Thread.currentThread();
    private volatile boolean closed;

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
        return allocate(Arena.ofShared(), type, rows, cols, leadingDimension);
    }

    /**
     * Allocates a rows×cols matrix of zeros for the length of a computation: it must be closed before the device is
     * handed over, and closing it costs a hundredth of what closing others does, which must ask every thread of the JVM.
     */
    public final Matrix temporary(DataType type, long rows, long cols) {
        checkOwned();
        return allocate(Arena.ofConfined(), type, rows, cols, Math.max(1, cols));
    }

    private Matrix allocate(Arena arena, DataType type, long rows, long cols, long leadingDimension) {
        try {
            long bytes = Checks.bytes(type, rows, cols, leadingDimension);
            try {
                Matrix m = new Matrix((Device) this, arena, allocateBytes(arena, bytes), type, rows, cols, leadingDimension);
                matrices.add(m);
                counters.allocated(bytes);
                return m;
            } catch (OutOfMemoryError e) {
                throw new OutOfDeviceMemoryException(bytes, counters.currentBytes, e.getMessage());
            }
        } catch (RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Makes a matrix of memory that the caller owns and frees, later than the last use of the matrix. Nothing is copied.
     *
     * @param memory memory of this device; its element (0, 0) comes first
     * @throws IllegalArgumentException when it is not memory of this device, or shorter than the matrix, or not aligned
     *     to its type, or read-only
     */
    public final Matrix borrow(MemorySegment memory, DataType type, long rows, long cols, long leadingDimension) {
        checkOwned();
        Checks.bytes(type, rows, cols, leadingDimension);
        Checks.hostMemory(memory, type, rows, cols, leadingDimension);
        Checks.writable(memory);
        checkBorrowable(memory, type);
        return new Matrix((Device) this, null, memory, type, rows, cols, leadingDimension);
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
        Checks.writable(target);
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

    // ---- life

    /** What this device has done so far. */
    public final Counters counters() {
        checkOwned();
        return counters.copy();
    }

    /** Makes {@code newOwner} the only thread that may use this device and its matrices. Called by the present owner. */
    public final void handOver(Thread newOwner) {
        checkOwned();
        Objects.requireNonNull(newOwner, "newOwner");
        for (Matrix m : matrices) {
            if (!m.segment().isAccessibleBy(newOwner)) {
                throw new IllegalStateException("handOver: the temporary matrix of " + m.shape() + " is still open");
            }
        }
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
        m.release();
        matrices.remove(m);
        counters.currentBytes -= m.ownedBytes();
    }

    /** Memory for the library's own use, counted like a matrix. */
    final void countWorkspace(long bytes) {
        counters.allocated(bytes);
    }

    final void freeWorkspace(long bytes) {
        counters.currentBytes -= bytes;
    }

    final void count(Call kind) {
        counters.calls[kind.ordinal()]++;
    }

    /**
     * Throws unless the calling thread may use this device now.
     *
     * @throws IllegalStateException when it is closed
     * @throws WrongThreadException when another thread owns it
     */
    public final void checkOwned() {
        if (closed) {
            throw new IllegalStateException("the device is closed");
        }
        if (Thread.currentThread() != owner) {
            throw new WrongThreadException("the device belongs to thread \"" + owner.getName() + "\" and was called by \""
                    + Thread.currentThread().getName() + "\"; its owner can hand it over");
        }
    }

    final void check(Matrix m) {
        if (m.device() != this) {
            throw new IllegalArgumentException("the matrix of " + m.shape() + " belongs to another device");
        }
        m.checkOpen();
    }

    // ---- what a device implements; arguments have been checked

    /** Zeroed memory that lives as long as the arena. */
    abstract MemorySegment allocateBytes(Arena arena, long bytes);

    abstract void checkBorrowable(MemorySegment memory, DataType type);

    abstract void doCopyIn(MemorySegment source, long leadingDimension, Matrix target);

    abstract void doCopyOut(Matrix source, MemorySegment target, long leadingDimension);

    abstract void doCopy(Matrix source, Matrix target);

    abstract void doClose();
}
