package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.DeviceTest;
import org.lora4j.Framed;
import org.lora4j.Reference;
import org.lora4j.Types;

/** Inner products against exact decimal sums, also where squares leave the range of the type that is summed in. */
class DotTest extends DeviceTest {
    private static final int[][] SHAPES = {{1, 1}, {1, 17}, {17, 1}, {5, 3}, {13, 31}, {64, 129}, {3, 2000}, {2000, 3}, {0, 4}, {4, 0}, {0, 0}};

    final Random random = new Random(3);

    @ParameterizedTest
    @EnumSource(DataType.class)
    void agreesWithTheExactSum(DataType type) {
        for (int[] shape : SHAPES) {
            Reference a = Reference.random(shape[0], shape[1], type, random);
            Reference b = Reference.random(shape[0], shape[1], type, random);
            Matrix fa = Framed.of(device, type, a).inside();
            Matrix db = b.on(device, type);
            assertEquals(exact(a, b), device.dot(fa, db), allowed(type, a, b));
            assertEquals(exact(a, a), device.dot(fa, fa), allowed(type, a, a));
        }
    }

    /** 4·ε·√cols of each row's magnitudes in the type that rows are summed in, and 4·ε·√rows in float64 for their sum. */
    private static double allowed(DataType type, Reference a, Reference b) {
        double inRows = 4 * 2 * type.accumulation().unitRoundoff() * Math.sqrt(a.cols());
        return (inRows + 4 * 0x1p-52 * Math.sqrt(a.rows())) * a.magnitudes().dot(b.magnitudes());
    }

    static double exact(Reference a, Reference b) {
        BigDecimal sum = BigDecimal.ZERO;
        for (int i = 0; i < a.data().length; i++) {
            sum = sum.add(new BigDecimal(a.data()[i]).multiply(new BigDecimal(b.data()[i])));
        }
        return sum.doubleValue();
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, mode = EnumSource.Mode.EXCLUDE, names = "FLOAT16")
    void squaresMayLeaveTheRangeOfFloat32(DataType type) {
        for (double size : new double[] {1e30, 1e-30}) {
            assertDot(type, new Reference(2, 2, new double[] {size, size, size, size}));
            assertDot(type, new Reference(2, 3, new double[] {1, size, 1, -size, 1, 2 * size}));
            Reference down = new Reference(2, 2, new double[] {size, 1, 1, size}).rounded(type);
            Reference up = new Reference(2, 2, new double[] {1 / size, 1, -1, 2 / size}).rounded(type);
            assertEquals(exact(down, up), device.dot(down.on(device, type), up.on(device, type)), allowed(type, down, up), "near 3");
        }
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, mode = EnumSource.Mode.EXCLUDE, names = "FLOAT64") // where they are beyond the result
    void theEndsOfTheTypesRange(DataType type) {
        double large = Types.largest(type);
        double normal = Types.leastNormal(type);
        assertDot(type, new Reference(2, 2, new double[] {large, -large, large, large}));
        assertDot(type, new Reference(2, 2, new double[] {normal, normal, -normal, normal}));
    }

    private void assertDot(DataType type, Reference values) {
        Reference a = values.rounded(type);
        Matrix on = a.on(device, type);
        double dot = device.dot(on, on);
        assertTrue(dot > 0);
        assertEquals(exact(a, a), dot, allowed(type, a, a));
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void nanAndInfinityShow(DataType type) {
        Reference a = Reference.random(5, 7, type, random).magnitudes();
        for (int at : new int[] {0, 17, 34}) {
            double was = a.data()[at];
            a.data()[at] = Double.NaN;
            Matrix bad = a.on(device, type);
            assertTrue(Double.isNaN(device.dot(bad, bad)));
            a.data()[at] = Double.NEGATIVE_INFINITY;
            bad.write(a.data());
            assertEquals(Double.POSITIVE_INFINITY, device.dot(bad, bad));
            a.data()[at] = was;
        }
    }

    @Test
    void dotRefusesMatricesThatDisagree() {
        Matrix a = device.allocate(DataType.FLOAT32, 2, 3);
        Matrix transposed = device.allocate(DataType.FLOAT32, 3, 2);
        Matrix twice = device.allocate(DataType.FLOAT64, 2, 3);
        Matrix half = device.allocate(DataType.BFLOAT16, 2, 3);
        Matrix otherHalf = device.allocate(DataType.FLOAT16, 2, 3);
        Counters before = device.counters();
        assertThrows(IllegalArgumentException.class, () -> device.dot(a, transposed));
        assertThrows(IllegalArgumentException.class, () -> device.dot(a, twice));
        String message = assertThrows(IllegalArgumentException.class, () -> device.dot(a, half)).getMessage();
        assertTrue(message.contains("FLOAT32") && message.contains("BFLOAT16"), message);
        assertThrows(IllegalArgumentException.class, () -> device.dot(half, otherHalf));
        assertEquals(before.calls(), device.counters().calls(), "a refused call is not counted");
    }
}
