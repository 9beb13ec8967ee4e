package org.lora4j.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** How the elements of a {@link Matrix} are stored. */
public enum DataType {
    /** IEEE 754 binary32. */
    FLOAT32(Float.BYTES, 0x1p-24),
    /** IEEE 754 binary64. */
    FLOAT64(Double.BYTES, 0x1p-53);

    private final int bytes;
    private final double unitRoundoff;

    DataType(int bytes, double unitRoundoff) {
        this.bytes = bytes;
        this.unitRoundoff = unitRoundoff;
    }

    /** The size of one element in bytes. */
    public int bytes() {
        return bytes;
    }

    /** Half the distance from 1 to the next larger number: the largest relative error of one rounding. */
    public double unitRoundoff() {
        return unitRoundoff;
    }

    /** The element at {@code index} (counted in elements) of a segment of this type. */
    double get(MemorySegment segment, long index) {
        return switch (this) {
            case FLOAT32 -> segment.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, index);
            case FLOAT64 -> segment.getAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, index);
        };
    }

    /** Rounds {@code value} to this type and stores it at {@code index} (counted in elements). */
    void set(MemorySegment segment, long index, double value) {
        switch (this) {
            case FLOAT32 -> segment.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, index, (float) value);
            case FLOAT64 -> segment.setAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, index, value);
        }
    }
}
