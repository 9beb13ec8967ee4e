package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.Types;

/** Numbers of 16 bits: what each pattern means, and that every double becomes the nearest, the even one from the middle. */
class DataTypeTest {
    private final MemorySegment memory = MemorySegment.ofArray(new short[1]);

    private double get(DataType type, int pattern) {
        memory.set(ValueLayout.JAVA_SHORT, 0, (short) pattern);
        return type.get(memory, 0);
    }

    private int set(DataType type, double value) {
        type.set(memory, 0, value);
        return Short.toUnsignedInt(memory.get(ValueLayout.JAVA_SHORT, 0));
    }

    /** What a pattern means by IEEE 754: a sign, an exponent and what follows the point. */
    private static double meaning(DataType type, int pattern) {
        int fractionBits = type == DataType.FLOAT16 ? 10 : 7;
        int exponents = 1 << 15 - fractionBits;
        int bias = exponents / 2 - 1;
        int exponent = pattern >> fractionBits & exponents - 1;
        int fraction = pattern & (1 << fractionBits) - 1;
        double magnitude;
        if (exponent == exponents - 1) {
            magnitude = fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
        } else if (exponent == 0) {
            magnitude = Math.scalb((double) fraction, 1 - bias - fractionBits);
        } else {
            magnitude = Math.scalb((double) (1 << fractionBits) + fraction, exponent - bias - fractionBits);
        }
        return pattern < 0x8000 ? magnitude : -magnitude;
    }

    private static int infinity(DataType type) {
        return type == DataType.FLOAT16 ? 0x7c00 : 0x7f80;
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void everyPatternMeansItsNumberAndComesBack(DataType type) {
        int nans = 0;
        for (int pattern = 0; pattern < 1 << 16; pattern++) {
            double value = get(type, pattern);
            if (Double.isNaN(meaning(type, pattern))) {
                nans++;
                assertTrue(Double.isNaN(value), hex(pattern));
                assertTrue(Double.isNaN(get(type, set(type, value))), hex(pattern) + ": NaN stays NaN");
                assertEquals(pattern & 0x8000, set(type, value) & 0x8000, hex(pattern) + ": the sign of NaN");
            } else {
                assertEquals(Double.doubleToRawLongBits(meaning(type, pattern)), Double.doubleToRawLongBits(value), hex(pattern));
                assertEquals(pattern, set(type, value), hex(pattern));
            }
        }
        assertEquals(2 * ((type == DataType.FLOAT16 ? 1 << 10 : 1 << 7) - 1), nans);
    }

    /**
     * For each pair of neighbours, with the number after the largest as infinity stands for it: they themselves, the middle,
     * the doubles next to it, those a float32 next to it would hide, and some between. What is nearer is told by comparing
     * with the middle, which is a double.
     */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void everyDoubleBecomesTheNearest(DataType type) {
        for (int lower = 0; lower < infinity(type); lower++) {
            double a = meaning(type, lower);
            double b = lower + 1 == infinity(type) ? 2 * meaning(type, lower) - meaning(type, lower - 1) : meaning(type, lower + 1);
            double middle = (a + b) / 2;
            assertTrue(a < middle && middle < b && b - middle == middle - a);
            double[] values = {a, b, middle, Math.nextUp(a), Math.nextDown(a), Math.nextUp(middle), Math.nextDown(middle), Math.nextDown(b),
                middle + (b - a) * 0x1p-20, middle - (b - a) * 0x1p-20, middle + (b - a) * 0x1p-40, middle - (b - a) * 0x1p-40, middle + (b - a) * 0.25,
                middle - (b - a) * 0.25, (float) middle, Math.nextUp((float) middle), Math.nextDown((float) middle)};
            for (double value : values) {
                if (value >= a) {
                    int expected = value < middle ? lower : value > middle ? lower + 1 : lower + (lower & 1);
                    assertRounds(type, value, expected);
                }
            }
        }
    }

    private void assertRounds(DataType type, double value, int expected) {
        if (set(type, value) != expected || set(type, -value) != (expected | 0x8000)) {
            fail(type + ": " + Double.toHexString(value) + " became " + hex(set(type, value)) + ", should be " + hex(expected));
        }
        assertEquals(Double.doubleToRawLongBits(meaning(type, expected)), Double.doubleToRawLongBits(Types.round(value, type)), "the tests' own rounding");
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void theEndsOfTheRange(DataType type) {
        int inf = infinity(type);
        for (double large : new double[] {Double.POSITIVE_INFINITY, Double.MAX_VALUE, 1e300, Float.MAX_VALUE, Math.nextUp((double) Float.MAX_VALUE), 0x1p128}) {
            assertRounds(type, large, inf);
        }
        for (double small : new double[] {0.0, Double.MIN_VALUE, 1e-300, Types.least(type) / 4, Math.nextDown(Types.least(type) / 2), Types.least(type) / 2}) {
            assertRounds(type, small, 0);
        }
        assertRounds(type, Math.nextUp(Types.least(type) / 2), 1);
        assertRounds(type, Types.least(type) * 1.5, 2);
        assertEquals(0x8000, set(type, -0.0));
        if (type == DataType.FLOAT16) {
            assertRounds(type, 65504, inf - 1);
            assertRounds(type, Math.nextDown(65520.0), inf - 1);
            assertRounds(type, 65520, inf);
        }
        for (long bits : new long[] {0x7ff8000000000000L, 0x7ff0000000000001L, 0x7fffffffffffffffL, 0xfff8000000000001L, 0x7ff0000020000000L}) {
            assertTrue(Double.isNaN(get(type, set(type, Double.longBitsToDouble(bits)))), Long.toHexString(bits));
        }
    }

    /** The conversion from float32 alone, which doesn't go by double: each float around each middle. */
    @Test
    void everyFloatBecomesTheNearestBfloat16() {
        for (int bits = 0; bits < 0x7f80_0000; bits += 0x4001 /* odd: meets every remainder */ ) {
            for (int near : new int[] {bits, bits & 0xffff_0000 | 0x8000, (bits & 0xffff_0000 | 0x8000) - 1, (bits & 0xffff_0000 | 0x8000) + 1}) {
                float value = Float.intBitsToFloat(near);
                int expected = set(DataType.BFLOAT16, value);
                assertEquals(expected, Short.toUnsignedInt(DataType.roundBfloat16(value)), Float.toHexString(value));
                assertEquals(expected | 0x8000, Short.toUnsignedInt(DataType.roundBfloat16(-value)), Float.toHexString(-value));
            }
        }
        for (int nan : new int[] {0x7f80_0001, 0x7f80_8000, 0x7fff_ffff, 0xff80_0001, 0xffff_ffff}) { // none may become an infinity
            assertTrue(Float.isNaN(DataType.widenBfloat16(DataType.roundBfloat16(Float.intBitsToFloat(nan)))), Integer.toHexString(nan));
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void theConstantsAreThoseOfTheFormat(DataType type) {
        assertEquals(type == DataType.FLOAT64 ? 8 : type == DataType.FLOAT32 ? 4 : 2, type.bytes());
        assertEquals(type == DataType.FLOAT64 ? DataType.FLOAT64 : DataType.FLOAT32, type.accumulation());
        double u = type.unitRoundoff();
        MemorySegment one = MemorySegment.ofArray(new byte[8]);
        for (double[] roundedAndTrue : new double[][] {{1, 1 + u}, {1 + 2 * u, 1 + 1.5 * u}, {1 + 2 * u, 1 + 2 * u}, {1 + 4 * u, 1 + 3 * u}}) {
            type.set(one, 0, roundedAndTrue[1]);
            assertEquals(roundedAndTrue[0], type.get(one, 0), type + ": 1 + 2u is the number after 1");
            if (type == DataType.FLOAT64) {
                break; // 1 + u is no double
            }
        }
        assertEquals(4, Arrays.stream(DataType.values()).count());
    }

    private static String hex(int pattern) {
        return "0x" + Integer.toHexString(pattern);
    }
}
