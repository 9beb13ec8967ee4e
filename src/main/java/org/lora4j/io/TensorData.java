package org.lora4j.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

import org.lora4j.device.Matrix;

/**
 * Elements that can be read from the first to the last, piece by piece: a tensor of a file, a matrix of a device, memory, or
 * whatever a caller implements it with. Row-major, little-endian, without gaps.
 */
public interface TensorData {
    /** Takes pieces of a tensor in their order. */
    @FunctionalInterface
    interface Sink {
        /** Takes the next piece, a whole number of elements, which may be overwritten after the call. */
        void write(MemorySegment piece) throws IOException;
    }

    /** How the elements are stored. */
    TensorType type();

    /** The sizes, outermost first; empty for a scalar. */
    long[] shape();

    /** Gives all elements to {@code sink}, in order, in pieces of any size. */
    void writeTo(Sink sink) throws IOException;

    /** The number of elements. */
    default long elements() {
        return TensorType.elements(shape());
    }

    /** The number of bytes. */
    default long byteSize() {
        return type().bytes(shape());
    }

    /**
     * Copies all elements to {@code target} (on or off the heap), converted to {@code as}: widening is exact; narrowing
     * rounds to nearest, ties to even, from F64 by way of float32.
     *
     * @throws IllegalArgumentException when {@code target} has another size, or one of two different types is not a float
     * @throws SafeTensorsException when the file was cut after it was opened
     */
    default void read(TensorType as, MemorySegment target) throws IOException {
        Conversion conversion = new Conversion(type(), as);
        if (target.byteSize() != as.bytes(shape())) {
            throw new IllegalArgumentException("the memory has " + target.byteSize() + " bytes; " + as + " of shape " + TensorHeader.shown(shape())
                    + " takes " + as.bytes(shape()));
        }
        long[] done = {0};
        writeTo(piece -> done[0] += conversion.convert(piece, target.asSlice(done[0])));
        Conversion.checkComplete(done[0], target.byteSize());
    }

    /** All elements as float32, as {@link #read} converts them. */
    default float[] toFloats() throws IOException {
        float[] values = new float[Math.toIntExact(elements())];
        read(TensorType.F32, MemorySegment.ofArray(values));
        return values;
    }

    /**
     * Copies all elements to a matrix, converted to its type, in blocks of rows.
     *
     * @param target of the tensor's shape; a vector also fits a matrix of one row or one column
     * @throws IllegalArgumentException when shapes disagree or the type is not a float
     */
    default void copyTo(Matrix target) throws IOException {
        MatrixBlocks.copy(this, target, false);
    }

    /** The same elements as another type, converted as {@link #read} does while they are read. */
    default TensorData as(TensorType type) {
        return type == type() ? this : new Conversion.Converted(this, type);
    }

    /** Elements in memory, on or off the heap, which must stay until they were read. */
    static TensorData of(TensorType type, MemorySegment values, long... shape) {
        TensorData data = of(type, sink -> sink.write(values.asReadOnly()), shape);
        if (values.byteSize() != data.byteSize()) {
            throw new IllegalArgumentException("the memory has " + values.byteSize() + " bytes; " + type + " of shape " + TensorHeader.shown(shape)
                    + " takes " + data.byteSize());
        }
        return data;
    }

    /** Elements that {@code source} writes when they are wanted, each time from the first on. */
    static TensorData of(TensorType type, Source source, long... shape) {
        return new DescribedData(type, shape.clone(), source);
    }

    /** The elements that a matrix has when they are read, which the thread must do that owns its device. */
    static TensorData of(Matrix matrix) {
        return MatrixBlocks.of(matrix, false);
    }

    /** What gives the elements of a tensor that is described apart from them. */
    @FunctionalInterface
    interface Source {
        /** Gives all elements to {@code sink}, in order. */
        void writeTo(Sink sink) throws IOException;
    }
}
