package org.lora4j.device;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;

import org.lora4j.device.Counters.Call;

/** The memory of a {@link Device}, what it counts, and its life. */
abstract sealed class DeviceMemory implements AutoCloseable permits DeviceElements {
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
        return allocate(false, true, type, rows, cols, leadingDimension);
    }

    /** Allocates a rows×cols matrix of any content. */
    final Matrix allocateUnset(DataType type, long rows, long cols, long leadingDimension) {
        return allocate(false, false, type, rows, cols, leadingDimension);
    }

    /**
     * Allocates a rows×cols matrix of zeros for the length of a computation: it must be closed before the device is
     * handed over. Making and closing it is cheap: on the host no other thread of the JVM is asked, on a GPU the memory
     * of an earlier one is used again.
     */
    public final Matrix temporary(DataType type, long rows, long cols) {
        return allocate(true, true, type, rows, cols, Math.max(1, cols));
    }

    /** The same of any content: whoever makes it writes every element before reading it. */
    public final Matrix temporaryUnset(DataType type, long rows, long cols) {
        return allocate(true, false, type, rows, cols, Math.max(1, cols));
    }

    private Matrix allocate(boolean temporary, boolean zeroed, DataType type, long rows, long cols, long leadingDimension) {
        enter();
        long bytes = Checks.bytes(type, rows, cols, leadingDimension);
        Matrix m = new Matrix((Device) this, allocateBytes(bytes, temporary, zeroed), type, rows, cols, leadingDimension);
        matrices.add(m);
        return m;
    }

    /**
     * Makes a matrix of memory that the caller owns and frees, later than the last use of the matrix. Nothing is copied.
     * Memory that is mapped from a file ends the JVM if the file shrinks below what is used.
     *
     * @param memory memory of this device; its element (0, 0) comes first
     * @throws IllegalArgumentException when it is not memory of this device, or shorter than the matrix, or not aligned
     *     to its type, or read-only
     */
    public final Matrix borrow(MemorySegment memory, DataType type, long rows, long cols, long leadingDimension) {
        enter();
        Checks.bytes(type, rows, cols, leadingDimension);
        Checks.usable(memory, "a matrix of " + rows + "×" + cols);
        Checks.writable(memory);
        return new Matrix((Device) this, memory, borrowable(memory, type, rows, cols, leadingDimension), type, rows, cols, leadingDimension);
    }

    /** Copies rows {@code leadingDimension} elements apart from host memory (on or off the heap) into {@code target}. */
    public final void copyIn(MemorySegment source, long leadingDimension, Matrix target) {
        enter();
        check(target);
        Checks.hostMemory(source, target.type(), target.rows(), target.cols(), leadingDimension);
        count(Call.COPY_IN);
        counters.bytesIn += target.rows() * target.cols() * target.type().bytes();
        doCopyIn(source, leadingDimension, target);
    }

    /** Copies {@code source} to host memory (on or off the heap), rows {@code leadingDimension} elements apart. */
    public final void copyOut(Matrix source, MemorySegment target, long leadingDimension) {
        enter();
        check(source);
        Checks.hostMemory(target, source.type(), source.rows(), source.cols(), leadingDimension);
        Checks.writable(target);
        count(Call.COPY_OUT);
        counters.bytesOut += source.rows() * source.cols() * source.type().bytes();
        doCopyOut(source, target, leadingDimension);
    }

    /** target = source, both of the same shape, type and device. */
    public final void copy(Matrix source, Matrix target) {
        Checks.sameType("copy", source, target);
        convert(source, target);
    }

    /** target = source, rounded to the target's type; both of the same shape and device. A zero may lose its sign. */
    public final void convert(Matrix source, Matrix target) {
        enter();
        check(source);
        check(target);
        Checks.sameShape("copy", source, target);
        Checks.noOverlap("copy", target, target.rows(), target.cols(), source, source.rows(), source.cols());
        count(Call.COPY);
        if (source.rows() == 0 || source.cols() == 0) {
            return;
        }
        if (source.type() == target.type()) {
            doCopy(source, target);
        } else {
            doConvert(source, target);
        }
    }

    // ---- life

    /**
     * Waits until everything that was asked for is done, as before looking at a clock; what failed of it is thrown here. The
     * host has always done it already.
     */
    public final void synchronize() {
        enter();
        doSynchronize();
    }

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
            if (m.isTemporary()) {
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
        List<Runnable> steps = new ArrayList<>(List.of(this::bind));
        matrices.forEach(m -> steps.add(m::release));
        steps.add(this::doClose);
        try {
            Failures.runAll(steps);
        } finally {
            matrices.clear();
            closed = true;
        }
    }

    final void free(Matrix m) {
        enter();
        matrices.remove(m);
        m.release();
    }

    /** Memory was allocated: for a matrix or for the library's own use. */
    final void countAllocated(long bytes) {
        counters.allocated(bytes);
    }

    final void countFreed(long bytes) {
        counters.currentBytes -= bytes;
    }

    /** Bytes allocated and not yet freed. */
    final long heldBytes() {
        return counters.currentBytes;
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

    /** What every operation begins with. */
    final void enter() {
        checkOwned();
        bind();
    }

    final void check(Matrix m) {
        if (m.device() != this) {
            throw new IllegalArgumentException("the matrix of " + m.shape() + " belongs to another device");
        }
        m.checkOpen();
    }

    // ---- what a device implements; arguments have been checked

    /** Makes this device the one that native calls of this thread go to. */
    void bind() {}

    /** Counted memory, zeroed or of any content. */
    abstract Allocation allocateBytes(long bytes, boolean temporary, boolean zeroed);

    /** Where {@code memory} is for this device, or an error where it can't be borrowed for such a matrix. */
    abstract MemorySegment borrowable(MemorySegment memory, DataType type, long rows, long cols, long leadingDimension);

    /** The memory from {@code offset} bytes on, {@code bytes} long. */
    abstract MemorySegment slice(MemorySegment memory, long offset, long bytes);

    abstract void doCopyIn(MemorySegment source, long leadingDimension, Matrix target);

    abstract void doCopyOut(Matrix source, MemorySegment target, long leadingDimension);

    /** Of two that are not empty and have one type. */
    abstract void doCopy(Matrix source, Matrix target);

    /** Of two that are not empty and differ in type. */
    abstract void doConvert(Matrix source, Matrix target);

    void doSynchronize() {}

    abstract void doClose();
}
