package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Framed;
import org.lora4j.Reference;
import org.lora4j.Types;

/** Conversion between all pairs of types: each element rounded once, nothing else touched; copies of another type. */
class ConvertTest extends DeviceTest {
    private static final int[][] SHAPES = {{1, 1}, {1, 17}, {17, 1}, {13, 31}, {64, 129}, {0, 4}, {4, 0}, {0, 0}};

    final Random random = new Random(13);

    static Stream<Arguments> pairs() {
        return Arrays.stream(DataType.values()).flatMap(from -> Arrays.stream(DataType.values()).map(to -> Arguments.of(from, to)));
    }

    @ParameterizedTest
    @MethodSource("pairs")
    void everyElementIsRoundedToTheTargetsTypeAndNothingElseIsTouched(DataType from, DataType to) {
        for (int[] shape : SHAPES) {
            compare(Reference.random(shape[0], shape[1], from, random), from, to);
        }
    }

    private void compare(Reference a, DataType from, DataType to) {
        Framed source = Framed.of(device, from, a);
        Framed target = Framed.nan(device, to, a.rows(), a.cols());
        Matrix dense = device.allocate(to, a.rows(), a.cols());
        device.convert(source.inside(), target.inside());
        device.convert(source.inside(), dense);
        double[] expected = withoutSignOfZero(a.rounded(to).data());
        assertArrayEquals(expected, withoutSignOfZero(target.inside().read()), from + " to " + to);
        assertArrayEquals(expected, withoutSignOfZero(dense.read()), from + " to " + to);
        assertArrayEquals(a.data(), source.inside().read(), "the source is not modified");
        target.assertFrameUnchanged("convert");
        source.assertFrameUnchanged("convert");
    }

    /** A product with 1, by which a GPU converts, may lose the sign of a zero. */
    private static double[] withoutSignOfZero(double[] values) {
        return Arrays.stream(values).map(x -> x + 0.0).toArray();
    }

    /** NaN, infinities, zeros of either sign, the ends of each type's range, and middles that rounding twice would miss. */
    @ParameterizedTest
    @MethodSource("pairs")
    void whatIsHardToRound(DataType from, DataType to) {
        double[] hard = Arrays.stream(DataType.values()).flatMapToDouble(type -> {
            double u = type.unitRoundoff();
            double middle = 1 + u;
            double least = Types.least(type);
            double large = Types.largest(type);
            return Arrays.stream(new double[] {middle, 1 + 3 * u, middle + 0x1p-30, middle - 0x1p-30, middle + 0x1p-50, middle - 0x1p-50, least, least / 2,
                least * 1.5, least * 2.5, Math.nextUp(least / 2), Types.leastNormal(type), Types.leastNormal(type) - least, large, large * (1 + u / 2),
                large * (1 + u / 4), large * 0.5});
        }).toArray();
        double[] all = new double[2 * hard.length + 5];
        for (int i = 0; i < hard.length; i++) {
            all[2 * i] = Types.round(hard[i], from);
            all[2 * i + 1] = -all[2 * i];
        }
        double[] special = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, 0.0, -0.0};
        System.arraycopy(special, 0, all, 2 * hard.length, 5);
        compare(new Reference(1, all.length, all), from, to);
        compare(new Reference(all.length, 1, all), from, to);
    }

    // ---- refusals

    @Test
    void whatDisagreesOrOverlapsIsRefusedByName() {
        Matrix a = device.allocate(DataType.FLOAT32, 4, 4);
        device.fill(a, 3);
        refuses(() -> device.convert(a, device.allocate(DataType.BFLOAT16, 4, 5)), "4×4", "4×5");
        refuses(() -> device.convert(a, device.allocate(DataType.FLOAT16, 3, 4)), "4×4", "3×4");
        refuses(() -> device.convert(a, a), "overlaps");
        refuses(() -> device.convert(a.rows(0, 2), a.rows(1, 3)), "overlaps");
        refuses(() -> device.copy(a, device.allocate(DataType.BFLOAT16, 4, 4)), "FLOAT32", "BFLOAT16");
        try (Device other = opener.get()) {
            refuses(() -> device.convert(a, other.allocate(DataType.BFLOAT16, 4, 4)), "another device");
            refuses(() -> device.convert(other.allocate(DataType.BFLOAT16, 4, 4), a), "another device");
        }
        assertTrue(Arrays.stream(a.read()).allMatch(x -> x == 3));
        device.convert(a.columns(0, 2), a.columns(2, 4));
    }

    private void refuses(Runnable call, String... named) {
        Counters before = device.counters();
        String message = assertThrows(IllegalArgumentException.class, call::run).getMessage();
        for (String word : named) {
            assertTrue(message.contains(word), message);
        }
        assertEquals(before.calls(), device.counters().calls(), "a refused call is not counted");
    }

    @Test
    void whatIsClosedIsRefused() {
        Matrix a = device.allocate(DataType.FLOAT32, 2, 2);
        Matrix gone = device.allocate(DataType.FLOAT16, 2, 2);
        gone.close();
        Counters before = device.counters();
        for (Runnable call : new Runnable[] {() -> device.convert(a, gone), () -> device.convert(gone, a), () -> gone.temporaryCopy(DataType.FLOAT32)}) {
            assertTrue(assertThrows(IllegalStateException.class, call::run).getMessage().contains("closed"));
        }
        assertEquals(before.calls(), device.counters().calls());
    }

    // ---- copies of another type

    @ParameterizedTest
    @EnumSource(DataType.class)
    void aTemporaryCopyHasItsOwnMemoryAndMustBeClosedBeforeHandOver(DataType type) {
        Reference a = Reference.random(5, 7, DataType.FLOAT64, random);
        for (DataType from : DataType.values()) {
            Matrix source = Framed.of(device, from, a.rounded(from)).inside();
            try (Matrix copy = source.temporaryCopy(type)) {
                assertEquals(type, copy.type());
                assertEquals(7, copy.leadingDimension());
                assertArrayEquals(a.rounded(from).rounded(type).data(), copy.read());
                device.fill(copy, 1);
                assertArrayEquals(a.rounded(from).data(), source.read());
                assertThrows(IllegalStateException.class, () -> device.handOver(new Thread()));
            }
            assertLeavesNothing("a temporary copy", () -> source.temporaryCopy(type).close());
            device.handOver(Thread.currentThread());
        }
    }

    /** Where the copy fails, what was allocated for it is given back. */
    @Test
    void aTemporaryCopyThatFailsLeavesNothing() {
        Matrix gone = device.allocate(DataType.FLOAT32, 20, 30);
        gone.close();
        assertLeavesNothing("a copy of a closed matrix",
                () -> assertThrows(IllegalStateException.class, () -> gone.temporaryCopy(DataType.BFLOAT16)));
        device.handOver(Thread.currentThread());
    }
}
