package org.lora4j;

import java.util.Arrays;
import java.util.stream.Stream;

import org.lora4j.device.DataType;

/** The types that tests run on, where they don't run on all of them. */
public final class Types {
    /** Method source: what is summed in itself and can be factorised, FLOAT32 and FLOAT64. */
    public static final String FULL = "org.lora4j.Types#full";
    /** Method source: the types of 16 bits. */
    public static final String NARROW = "org.lora4j.Types#narrow";

    private Types() {}

    public static Stream<DataType> full() {
        return Arrays.stream(DataType.values()).filter(type -> !isNarrow(type));
    }

    public static Stream<DataType> narrow() {
        return Arrays.stream(DataType.values()).filter(Types::isNarrow);
    }

    public static boolean isNarrow(DataType type) {
        return type.bytes() == Short.BYTES;
    }

    /** The other type of 16 bits. */
    public static DataType otherNarrow(DataType type) {
        return type == DataType.FLOAT16 ? DataType.BFLOAT16 : DataType.FLOAT16;
    }

    /** Significant bits, the first one included. */
    private static int precision(DataType type) {
        return switch (type) {
            case FLOAT64 -> 53;
            case FLOAT32 -> 24;
            case FLOAT16 -> 11;
            case BFLOAT16 -> 8;
        };
    }

    /** The exponent of the least normal number. */
    private static int leastExponent(DataType type) {
        return switch (type) {
            case FLOAT64 -> Double.MIN_EXPONENT;
            case FLOAT32, BFLOAT16 -> Float.MIN_EXPONENT;
            case FLOAT16 -> -14;
        };
    }

    /** The least positive number. */
    public static double least(DataType type) {
        return Math.scalb(1.0, leastExponent(type) - precision(type) + 1);
    }

    /** The least positive number that is not subnormal. */
    public static double leastNormal(DataType type) {
        return Math.scalb(1.0, leastExponent(type));
    }

    /** The largest finite number. */
    public static double largest(DataType type) {
        return Math.scalb(2 - Math.scalb(1.0, 1 - precision(type)), 1 - leastExponent(type));
    }

    /** The nearest number of that type, the even one from the middle, by counting in units of its last place. */
    public static double round(double x, DataType type) {
        if (type == DataType.FLOAT64 || x == 0 || Double.isNaN(x) || Double.isInfinite(x)) {
            return x;
        }
        int unit = Math.max(Math.getExponent(x), leastExponent(type)) - precision(type) + 1;
        double rounded = Math.scalb(Math.rint(Math.scalb(x, -unit)), unit);
        return Math.abs(rounded) > largest(type) ? Math.copySign(Double.POSITIVE_INFINITY, x) : rounded;
    }
}
