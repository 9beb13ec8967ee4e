package org.lora4j.init;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

import org.lora4j.device.DataType;

/**
 * A matrix that is read when its layer's turn comes: from a file, from a trainer's memory, from anywhere.
 *
 * @param type how its elements are stored
 * @param reader fills memory with them
 */
public record TensorSource(DataType type, Reader reader) {
    /** Reads a matrix. It is called by another thread than the one that computes, for one matrix after the other. */
    @FunctionalInterface
    public interface Reader {
        /**
         * Fills {@code target} with all elements, row after row. What is left unfilled is NaN, and is found out.
         *
         * @param target of exactly the matrix's bytes, in native byte order; only to be written while this call lasts
         * @throws Exception when it can't: the layer is then one of those that failed
         */
        void read(MemorySegment target) throws Exception;
    }

    /** @throws NullPointerException when an argument is null */
    public TensorSource {
        Objects.requireNonNull(type, "type");
        Objects.requireNonNull(reader, "reader");
    }

    /**
     * A matrix that is in memory already or mapped into it. Its size is checked when it is read.
     *
     * @param memory on the heap or off it, such that every thread may read it: not of a confined arena
     */
    public static TensorSource of(MemorySegment memory, DataType type) {
        Objects.requireNonNull(memory, "memory");
        return new TensorSource(type, target -> {
            if (memory.byteSize() != target.byteSize()) {
                throw new IllegalArgumentException("the matrix has " + memory.byteSize() + " bytes; " + target.byteSize() / type.bytes() + " elements of "
                        + type + " are " + target.byteSize());
            }
            target.copyFrom(memory);
        });
    }
}
