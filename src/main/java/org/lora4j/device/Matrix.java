package org.lora4j.device;

import java.lang.foreign.MemorySegment;

/**
 * A row-major matrix in the memory of a {@link Device}, or a rectangle of one.
 *
 * <p>Element (i, j) stands at {@code i * leadingDimension + j}. Views share the memory of the matrix they were taken
 * from; nothing is copied. Closing a matrix frees its memory and ends its views; closing a view does nothing. After
 * that, and after the device was closed, every use throws {@link IllegalStateException}.
 */
public final class Matrix implements AutoCloseable {
    private static final long MAX_ARRAY = Integer.MAX_VALUE - 8; // the longest array of bytes that a JVM makes

    private final Device device;
    private final Matrix root;
    private final Allocation allocation; // null for views and for borrowed memory
    private final MemorySegment borrowed; // the caller's memory, else null
    private final DataType type;
    private final long rows;
    private final long cols;
    private final long leadingDimension;
    private final long firstRow; // of this rectangle within the root
    private final long firstCol;
    private final MemorySegment segment; // from element (0, 0) to the end of the last row
    private boolean closed; // of the root

    /** A matrix that owns its memory. */
    Matrix(Device device, Allocation allocation, DataType type, long rows, long cols, long leadingDimension) {
        this(device, allocation, null, allocation.segment(), type, rows, cols, leadingDimension);
    }

    /** A matrix at {@code segment}, which is {@code borrowed} as the device sees it. */
    Matrix(Device device, MemorySegment borrowed, MemorySegment segment, DataType type, long rows, long cols, long leadingDimension) {
        this(device, null, borrowed, segment, type, rows, cols, leadingDimension);
    }

    private Matrix(Device device, Allocation allocation, MemorySegment borrowed, MemorySegment segment, DataType type, long rows, long cols,
            long leadingDimension) {
        this.device = device;
        this.root = this;
        this.allocation = allocation;
        this.borrowed = borrowed;
        this.type = type;
        this.rows = rows;
        this.cols = cols;
        this.leadingDimension = leadingDimension;
        this.firstRow = 0;
        this.firstCol = 0;
        this.segment = segment;
    }

    private Matrix(Matrix of, long fromRow, long toRow, long fromCol, long toCol) {
        this.device = of.device;
        this.root = of.root;
        this.allocation = null;
        this.borrowed = null;
        this.type = of.type;
        this.rows = toRow - fromRow;
        this.cols = toCol - fromCol;
        this.leadingDimension = of.leadingDimension;
        this.firstRow = of.firstRow + fromRow;
        this.firstCol = of.firstCol + fromCol;
        long bytes = span(rows, cols, leadingDimension) * type.bytes();
        this.segment = device.slice(of.segment, bytes == 0 ? 0 : (fromRow * leadingDimension + fromCol) * type.bytes(), bytes);
    }

    /** Elements from the first to the end of the last row. Throws where the count does not fit into a long. */
    static long span(long rows, long cols, long leadingDimension) {
        return rows == 0 || cols == 0 ? 0 : Math.addExact(Math.multiplyExact(rows - 1, leadingDimension), cols);
    }

    /** The device whose memory this is. */
    public Device device() {
        return device;
    }

    /** How the elements are stored. */
    public DataType type() {
        return type;
    }

    /** The number of rows. */
    public long rows() {
        return rows;
    }

    /** The number of columns. */
    public long cols() {
        return cols;
    }

    /** The distance from one row to the next, in elements. */
    public long leadingDimension() {
        return leadingDimension;
    }

    /**
     * Where element (0, 0) is. On the host device it is the memory up to the end of the last row, and may be read and
     * written directly by the owner thread until the matrix is closed. On a GPU it is an address that native code can be
     * given, of length 0: Java can't read it by accident.
     *
     * @throws IllegalStateException after close
     */
    public MemorySegment segment() {
        checkOpen();
        return segment;
    }

    /** The rows {@code from} (included) to {@code to} (excluded), sharing this matrix's memory. */
    public Matrix rows(long from, long to) {
        return view(from, to, 0, cols);
    }

    /** The columns {@code from} (included) to {@code to} (excluded), sharing this matrix's memory. */
    public Matrix columns(long from, long to) {
        return view(0, rows, from, to);
    }

    /**
     * The rectangle of rows {@code fromRow} to {@code toRow} and columns {@code fromCol} to {@code toCol} (ends
     * excluded), sharing this matrix's memory.
     *
     * @throws IndexOutOfBoundsException where the rectangle leaves the matrix
     * @throws IllegalStateException after close
     */
    public Matrix view(long fromRow, long toRow, long fromCol, long toCol) {
        checkOpen();
        if (fromRow < 0 || toRow < fromRow || toRow > rows || fromCol < 0 || toCol < fromCol || toCol > cols) {
            throw new IndexOutOfBoundsException("rows " + fromRow + " to " + toRow + ", columns " + fromCol + " to " + toCol
                    + " of a matrix of " + shape());
        }
        return new Matrix(this, fromRow, toRow, fromCol, toCol);
    }

    /** A copy of the given type that lasts for a computation ({@link Device#temporary}); the caller closes it. */
    public Matrix temporaryCopy(DataType copyType) {
        Matrix copy = device.temporary(copyType, rows, cols);
        try {
            device.convert(this, copy);
            return copy;
        } catch (RuntimeException e) {
            copy.close();
            throw e;
        }
    }

    /** Copies {@code values} (row after row, exactly rows·cols of them, rounded to this type) to the device. */
    public void write(double... values) {
        if (values.length != rows * cols) {
            throw new IllegalArgumentException(values.length + " values for a matrix of " + shape());
        }
        MemorySegment host = hostArray();
        for (int i = 0; i < values.length; i++) {
            type.set(host, i, values[i]);
        }
        device.copyIn(host, Math.max(1, cols), this);
    }

    /** Copies the elements from the device, row after row, as an array of rows·cols values. */
    public double[] read() {
        MemorySegment host = hostArray();
        double[] values = new double[(int) (rows * cols)];
        device.copyOut(this, host, Math.max(1, cols));
        for (int i = 0; i < values.length; i++) {
            values[i] = type.get(host, i);
        }
        return values;
    }

    /** Host memory on the heap for all elements. */
    private MemorySegment hostArray() {
        if (rows * cols * type.bytes() > MAX_ARRAY) {
            throw new IllegalArgumentException("a matrix of " + shape() + " " + type + " is too large for a Java array; copy it in parts, or to a MemorySegment");
        }
        return MemorySegment.ofArray(new byte[(int) (rows * cols * type.bytes())]);
    }

    /** "rows×cols", for messages. */
    String shape() {
        return rows + "×" + cols;
    }

    boolean isOpen() {
        return !root.closed && !device.isClosed();
    }

    void checkOpen() {
        if (!isOpen()) {
            throw new IllegalStateException("the matrix of " + shape() + " is closed" + (device.isClosed() ? ": its device was" : ""));
        }
        MemorySegment memory = root.borrowed;
        if (memory != null && !memory.scope().isAlive()) {
            throw new IllegalStateException("the memory that the matrix of " + shape() + " borrows is closed");
        }
        if (memory != null && !memory.isAccessibleBy(Thread.currentThread())) {
            throw new WrongThreadException("the memory that the matrix of " + shape() + " borrows belongs to another thread's arena");
        }
    }

    /** Whether this matrix and {@code other} are views of the same allocation or borrowing. */
    public boolean sharesMemoryWith(Matrix other) {
        return root == other.root;
    }

    /** Whether this and {@code other} share an element; borrowings of the same memory are recognised. */
    public boolean overlaps(Matrix other) {
        return overlaps(rows, cols, other, other.rows, other.cols);
    }

    /** Whether the leading r×c block of this shares an element with the leading r2×c2 block of other. */
    boolean overlaps(long r, long c, Matrix other, long r2, long c2) {
        if (r == 0 || c == 0 || r2 == 0 || c2 == 0) {
            return false;
        }
        if (root != other.root) {
            return overlapsByAddress(r, c, other, r2, c2);
        }
        return firstRow < other.firstRow + r2 && other.firstRow < firstRow + r
                && firstCol < other.firstCol + c2 && other.firstCol < firstCol + c;
    }

    /** The same of memory that was borrowed apart: rectangles where rows are equally far from each other, else ranges. */
    private boolean overlapsByAddress(long r, long c, Matrix other, long r2, long c2) {
        long distance = other.segment.address() - segment.address();
        long size = type.bytes();
        if (leadingDimension != other.leadingDimension || type != other.type || distance % size != 0) {
            return distance < span(r, c, leadingDimension) * size && -distance < span(r2, c2, other.leadingDimension) * other.type.bytes();
        }
        long row = Math.floorDiv(distance / size, leadingDimension); // of other's first element, as this counts rows
        long col = Math.floorMod(distance / size, leadingDimension);
        return meet(row, r2, r) && meet(col, c2, c) || meet(row + 1, r2, r) && meet(col - leadingDimension, c2, c);
    }

    /** Whether [from, from + count) and [0, other) share a number. */
    private static boolean meet(long from, long count, long other) {
        return from < other && from + count > 0;
    }

    boolean isTemporary() {
        return allocation != null && allocation.temporary();
    }

    /** Frees the memory if this is the matrix that was allocated; does nothing for a view or the second time. */
    @Override
    public void close() {
        if (root == this && isOpen()) {
            device.free(this);
        }
    }

    /** Called by the device only, which has checked its owner. */
    void release() {
        closed = true;
        if (allocation != null) {
            allocation.free().run();
        }
    }

    @Override
    public String toString() {
        return type + " " + shape() + (leadingDimension == cols ? "" : " (leading dimension " + leadingDimension + ")");
    }
}
