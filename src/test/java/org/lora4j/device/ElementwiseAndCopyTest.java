package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.SplittableRandom;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.Framed;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;

/** Element-wise passes, reductions and copies, between devices' matrices and every kind of host memory. */
class ElementwiseAndCopyTest extends DeviceTest {
    private static final int[][] SHAPES = {{1, 1}, {1, 17}, {17, 1}, {5, 3}, {13, 31}, {64, 129}, {0, 4}, {4, 0}, {0, 0}};

    final Random random = new Random(3);

    @ParameterizedTest
    @EnumSource(DataType.class)
    void fillAndScaleTouchTheMatrixAlone(DataType type) {
        for (int[] shape : SHAPES) {
            Reference a = Reference.random(shape[0], shape[1], type, random);
            Framed f = Framed.of(device, type, a);
            Matrix dense = a.on(device, type);
            for (Matrix m : new Matrix[] {f.inside(), dense}) {
                device.scale(-2, m);
                assertArrayEquals(a.times(-2).data(), m.read(), "the double is exact");
                device.scale(0.1, m);
                a.times(-0.2).assertClose("scale", Reference.of(m), type, 2, a.magnitudes().times(0.2));
                device.fill(m, 2.5);
                assertTrue(Arrays.stream(m.read()).allMatch(x -> x == 2.5));
            }
            f.assertFrameUnchanged("fill and scale");
        }
    }

    /** The JDK's SplittableRandom makes the same bits. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void uniformNumbersAreTheSeedsOnAnyDevice(DataType type) {
        for (long seed : new long[] {0, 1, -5, 1, 1}) { // a device may keep the last
            for (int[] shape : SHAPES) {
                SplittableRandom bits = new SplittableRandom(seed);
                Framed f = Framed.of(device, type, Reference.zeros(shape[0], shape[1]));
                Matrix dense = device.allocate(type, shape[0], shape[1]);
                double[] expected = new double[shape[0] * shape[1]];
                for (int i = 0; i < expected.length; i += 2) {
                    long two = bits.nextLong();
                    expected[i] = Types.round((int) two * 0x1p-31, type);
                    if (i + 1 < expected.length) {
                        expected[i + 1] = Types.round((int) (two >>> 32) * 0x1p-31, type);
                    }
                }
                for (Matrix m : new Matrix[] {f.inside(), dense}) {
                    device.uniform(seed, m);
                    assertArrayEquals(expected, m.read(), "seed " + seed);
                }
                f.assertFrameUnchanged("uniform");
            }
        }
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void uniformNumbersOf16BitsAreRefused(DataType type) {
        Matrix m = device.allocate(type, 2, 2);
        assertThrows(IllegalArgumentException.class, () -> device.uniform(0, m));
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void largestKeepsTheSignAndTheFirstOfEquals(DataType type) {
        assertEquals(-7, largest(type, 1, -7, 3, 6.5, 0, -6));
        assertEquals(7, largest(type, 1, -3, 7, -7, 7, 0));
        assertEquals(-7, largest(type, 1, -3, 0, -7, 7, 7));
        assertEquals(Double.NEGATIVE_INFINITY, largest(type, 1, 2, 3, Double.NEGATIVE_INFINITY, 5, 6));
        for (int i = 0; i < 6; i++) {
            double[] values = {1, 2, Double.POSITIVE_INFINITY, 4, 5, 6};
            values[i] = Double.NaN;
            assertTrue(Double.isNaN(largest(type, values)), "NaN at " + i);
        }
        assertTrue(largest(type, -0.0, 0, -0.0, 0, -0.0, 0) == 0);
        for (int[] shape : SHAPES) {
            if (shape[0] * shape[1] == 0) {
                assertEquals(0, device.largest(device.allocate(type, shape[0], shape[1])));
            }
        }
    }

    /** The largest of six values, as a 2×3 matrix with a frame of larger ones and without. */
    private double largest(DataType type, double... values) {
        Reference a = new Reference(2, 3, values);
        double framed = device.largest(Framed.of(device, type, a).inside());
        assertEquals(framed, device.largest(a.on(device, type)));
        return framed;
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void copyBetweenMatricesOfAnyLeadingDimension(DataType type) {
        for (int[] shape : SHAPES) {
            Reference a = Reference.random(shape[0], shape[1], type, random);
            Framed source = Framed.of(device, type, a);
            Framed target = Framed.nan(device, type, a.rows(), a.cols());
            Matrix dense = device.allocate(type, a.rows(), a.cols());
            device.copy(source.inside(), target.inside());
            device.copy(target.inside(), dense);
            assertArrayEquals(a.data(), dense.read());
            target.assertFrameUnchanged("copy");
            source.assertFrameUnchanged("copy");
        }
    }

    @Test
    void copyRefusesWhatDisagreesOrOverlaps() {
        Matrix a = device.allocate(DataType.FLOAT32, 4, 4);
        refuses(() -> device.copy(a, device.allocate(DataType.FLOAT64, 4, 4)));
        refuses(() -> device.copy(a, device.allocate(DataType.FLOAT32, 4, 5)));
        refuses(() -> device.copy(a, a));
        refuses(() -> device.copy(a.rows(0, 2), a.rows(1, 3)));
        device.copy(a.rows(0, 2), a.rows(2, 4));
        device.copy(a.columns(0, 2), a.columns(2, 4));
        try (Device other = opener.get()) {
            refuses(() -> device.copy(a, other.allocate(DataType.FLOAT32, 4, 4)));
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void copiesInAndOutOfHeapAndNativeMemoryAtAnyOffset(DataType type) {
        for (int[] shape : SHAPES) {
            for (long leadingDimension : new long[] {Math.max(1, shape[1]), shape[1] + 3}) {
                long bytes = (shape[0] * leadingDimension + 1) * type.bytes();
                try (Arena arena = Arena.ofConfined()) {
                    MemorySegment[] memories = {arena.allocate(bytes), arena.allocate(bytes + 1).asSlice(1), heap(type, (int) bytes / type.bytes()),
                        MemorySegment.ofArray(new byte[(int) bytes + 3]).asSlice(3)};
                    for (MemorySegment memory : memories) {
                        roundTrip(type, shape[0], shape[1], memory, leadingDimension);
                    }
                }
            }
        }
    }

    private static MemorySegment heap(DataType type, int elements) {
        return switch (type) {
            case FLOAT32 -> MemorySegment.ofArray(new float[elements]);
            case FLOAT64 -> MemorySegment.ofArray(new double[elements]);
            case BFLOAT16, FLOAT16 -> MemorySegment.ofArray(new short[elements]);
        };
    }

    private void roundTrip(DataType type, int rows, int cols, MemorySegment memory, long leadingDimension) {
        Reference a = Reference.random(rows, cols, type, random);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                Reference.put(memory, type, i * leadingDimension + j, a.at(i, j));
            }
        }
        Framed f = Framed.nan(device, type, rows, cols);
        device.copyIn(memory.asReadOnly(), leadingDimension, f.inside());
        assertArrayEquals(a.data(), f.inside().read());
        f.assertFrameUnchanged("copyIn");

        memory.fill((byte) 0x55);
        device.copyOut(f.inside(), memory, leadingDimension);
        MemorySegment expected = MemorySegment.ofArray(new byte[(int) memory.byteSize()]).fill((byte) 0x55);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                Reference.put(expected, type, i * leadingDimension + j, a.at(i, j));
            }
        }
        assertEquals(-1, expected.mismatch(memory), "copyOut writes the rows and nothing between them");
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void matricesOfAnyShapeAreWrittenAndRead(DataType type) {
        for (int[] shape : SHAPES) {
            Reference a = Reference.random(shape[0], shape[1], type, random);
            assertArrayEquals(a.data(), a.on(device, type).read(), shape[0] + "×" + shape[1]);
        }
        assertThrows(IllegalArgumentException.class, () -> device.allocate(type, 2, 2).write(1, 2, 3));
    }

    @Test
    void copiesRefuseMemoryThatIsTooShortOrMissing() {
        Matrix a = device.allocate(DataType.FLOAT32, 3, 4);
        MemorySegment exact = MemorySegment.ofArray(new byte[(2 * 6 + 4) * 4]); // no gap behind the last row
        device.copyIn(exact, 6, a);
        device.copyOut(a, exact, 6);
        MemorySegment small = exact.asSlice(1);
        for (MemorySegment bad : new MemorySegment[] {null, small, MemorySegment.NULL}) {
            refuses(() -> device.copyIn(bad, 6, a));
            refuses(() -> device.copyOut(a, bad, 6));
        }
        for (long leadingDimension : new long[] {3, 0, -6, Long.MIN_VALUE, Long.MAX_VALUE}) {
            refuses(() -> device.copyIn(exact, leadingDimension, a));
            refuses(() -> device.copyOut(a, exact, leadingDimension));
        }
        refuses(() -> device.copyOut(a, exact.asReadOnly(), 6));
    }

    @Test
    void copiesRefuseMemoryThatIsClosedOrAnotherThreads() throws InterruptedException {
        Matrix a = device.allocate(DataType.FLOAT32, 1, 1);
        Arena closed = Arena.ofConfined();
        MemorySegment gone = closed.allocate(4);
        closed.close();
        Counters before = device.counters();
        assertThrows(IllegalStateException.class, () -> device.copyIn(gone, 1, a));
        assertThrows(IllegalStateException.class, () -> device.copyOut(a, gone, 1));
        MemorySegment[] foreign = new MemorySegment[1];
        try (Arena keep = Arena.ofShared()) {
            Thread thread = new Thread(() -> foreign[0] = Arena.ofConfined().allocate(4));
            thread.start();
            thread.join();
            assertThrows(WrongThreadException.class, () -> device.copyIn(foreign[0], 1, a));
            assertThrows(WrongThreadException.class, () -> device.copyOut(a, foreign[0], 1));
            device.copyIn(keep.allocate(4), 1, a);
        }
        assertEquals(before.calls() + 1, device.counters().calls(), "a refused copy is not counted");
    }

    private void refuses(Runnable call) {
        Counters before = device.counters();
        assertThrows(IllegalArgumentException.class, call::run);
        assertEquals(before.calls(), device.counters().calls(), "a refused call is not counted");
    }
}
