package org.lora4j.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** How the elements of a {@link Matrix} are stored. */
public enum DataType {
    /** IEEE 754 binary32. */
    FLOAT32(Float.BYTES, 0x1p-24),
    /** IEEE 754 binary64. */
    FLOAT64(Double.BYTES, 0x1p-53),
    /** The upper half of binary32: 8 bits of exponent, 8 significant bits. */
    BFLOAT16(Short.BYTES, 0x1p-8),
    /** IEEE 754 binary16: 5 bits of exponent, 11 significant bits, numbers up to 65504. */
    FLOAT16(Short.BYTES, 0x1p-11);

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

    /** What products of this type are summed in, its gradients are kept in and it is factorised in: FLOAT32 for 16 bits, else itself. */
    public DataType accumulation() {
        return bytes == Short.BYTES ? FLOAT32 : this;
    }

    /** The element at {@code index} (counted in elements) of a segment of this type. */
    double get(MemorySegment segment, long index) {
        return switch (this) {
            case FLOAT32 -> segment.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, index);
            case FLOAT64 -> segment.getAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, index);
            case BFLOAT16 -> widenBfloat16(segment.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, index));
            case FLOAT16 -> Float.float16ToFloat(segment.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, index));
        };
    }

    /** Rounds {@code value} to the nearest of this type, to even from the middle, and stores it at {@code index} (counted in elements). */
    void set(MemorySegment segment, long index, double value) {
        switch (this) {
            case FLOAT32 -> segment.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, index, (float) value);
            case FLOAT64 -> segment.setAtIndex(ValueLayout.JAVA_DOUBLE_UNALIGNED, index, value);
            case BFLOAT16 -> segment.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, index, roundBfloat16(toOdd(value)));
            case FLOAT16 -> segment.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, index, Float.floatToFloat16(toOdd(value)));
        }
    }

    static float widenBfloat16(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    static short roundBfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (short) (value != value ? bits >>> 16 | 0x40 : bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    /** The float next to {@code value} towards 0, its last bit set where that lost anything: rounding it again is then like rounding once. */
    private static float toOdd(double value) {
        float nearest = (float) value;
        if (nearest == value || value != value) {
            return nearest;
        }
        int bits = Float.floatToRawIntBits(nearest);
        return Float.intBitsToFloat((Math.abs((double) nearest) > Math.abs(value) ? bits - 1 : bits) | 1);
    }
}
