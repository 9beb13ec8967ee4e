package org.lora4j.gradient;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** The sum and the mean of micro-batches against plain loops, and what is refused. */
class GradientAccumulatorTest extends DeviceTest {
    @ParameterizedTest
    @EnumSource(DataType.class)
    void sumAndMeanAreThoseOfTheBatches(DataType type) {
        Streams s = Streams.random(13, 7, type, 1, 5, 0, 1, 31);
        Reference g = s.gradient();
        Reference scale = s.magnitudes().gradient();
        try (GradientAccumulator sum = new GradientAccumulator(device, type, 13, 7)) {
            s.feed(device, type, sum::add);
            assertEquals(4, sum.batches());
            Reference off = off(s, type);
            g.assertClose("sum", Reference.of(sum.sum()), type, 37, scale, off);
            Matrix mean = sum.mean();
            assertSame(mean, sum.mean(), "asking again doesn't divide again");
            Reference offSum = g.stored(type, 37, scale, off);
            g.times(0.25).assertClose("mean", Reference.of(mean), type, 38, scale, offSum.times(0.25));
            assertTrue(assertThrows(IllegalStateException.class, () -> s.feed(device, type, sum::add)).getMessage().contains("reset"));
            assertThrows(IllegalStateException.class, sum::sum);
            sum.reset();
            assertThrows(IllegalStateException.class, sum::mean);
            s.feed(device, type, sum::add);
            g.assertClose("after reset", Reference.of(sum.sum()), type, 37, scale, off);
        }
    }

    /** How far a sum of 16 bits may be off before its last batch is added: it is stored after each. */
    private static Reference off(Streams s, DataType type) {
        Reference off = Reference.zeros(s.dy().get(0).cols(), s.x().get(0).cols());
        for (int i = 1; i < s.x().size(); i++) {
            Streams part = s.part(0, i);
            off = part.gradient().stored(type, part.rows(), part.magnitudes().gradient(), off);
        }
        return off;
    }

    /** Micro-batches of 16 bits are summed in float32, and nothing is rounded to 16 bits: not even the 1000th is lost. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void batchesOf16BitsAddUpInFloat32(DataType type) {
        int times = 1000;
        Streams s = Streams.random(13, 7, type, 2, 5, 0, 1);
        try (GradientAccumulator sum = new GradientAccumulator(device, DataType.FLOAT32, 13, 7);
                Matrix x = s.x().get(0).on(device, type); Matrix dy = s.dy().get(0).on(device, type)) {
            s.feed(device, type, sum::add);
            s.gradient().assertClose("sum", Reference.of(sum.sum()), DataType.FLOAT32, s.rows(), s.magnitudes().gradient());
            sum.reset();
            for (int i = 0; i < times; i++) {
                sum.add(x, dy);
            }
            Streams one = s.part(0, 1);
            one.gradient().times(times).assertClose("of many", Reference.of(sum.sum()), DataType.FLOAT32, times * 5,
                    one.magnitudes().gradient().times(times));
            one.gradient().assertClose("mean", Reference.of(sum.mean()), DataType.FLOAT32, times * 5 + 1, one.magnitudes().gradient());
        }
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void typesThatDoNotAddUpAreRefusedByName(DataType type) {
        Matrix x = device.allocate(type, 3, 4);
        Matrix dy = device.allocate(type, 3, 9);
        Matrix other = device.allocate(Types.otherNarrow(type), 3, 9);
        Matrix dy32 = device.allocate(DataType.FLOAT32, 3, 9);
        for (DataType of : new DataType[] {DataType.FLOAT64, Types.otherNarrow(type)}) {
            try (GradientAccumulator sum = new GradientAccumulator(device, of, 9, 4)) {
                refuse(sum, x, dy, type, of);
            }
        }
        try (GradientAccumulator sum = new GradientAccumulator(device, DataType.FLOAT32, 9, 4)) {
            refuse(sum, x, other, type, Types.otherNarrow(type));
            refuse(sum, x, dy32, type, DataType.FLOAT32);
            refuse(sum, device.allocate(DataType.FLOAT32, 3, 4), dy, DataType.FLOAT32, type);
        }
    }

    private static void refuse(GradientAccumulator sum, Matrix x, Matrix dy, DataType... named) {
        String message = assertThrows(IllegalArgumentException.class, () -> sum.add(x, dy)).getMessage();
        for (DataType type : named) {
            assertTrue(message.contains(type.toString()), message);
        }
        assertEquals(0, sum.batches());
    }

    @Test
    void addIsOneProductAndAllocatesNothing() {
        try (GradientAccumulator sum = new GradientAccumulator(device, DataType.FLOAT32, 9, 4); Matrix x = device.allocate(DataType.FLOAT32, 3, 4);
                Matrix dy = device.allocate(DataType.FLOAT32, 3, 9)) {
            var before = device.counters();
            sum.add(x, dy);
            var done = device.counters().since(before);
            assertEquals(1, done.calls(Call.GEMM));
            assertEquals(1, done.calls());
            assertEquals(0, done.allocations());
        }
    }

    @Test
    @SuppressWarnings("try") // what comes after close is tested
    void whatDoesNotFitIsRefusedAndNothingChanges() {
        try (Device other = opener.get(); GradientAccumulator sum = new GradientAccumulator(device, DataType.FLOAT32, 9, 4)) {
            Matrix x = device.allocate(DataType.FLOAT32, 3, 4);
            Matrix dy = device.allocate(DataType.FLOAT32, 3, 9);
            device.fill(x, 1);
            device.fill(dy, 1);
            for (Matrix[] bad : new Matrix[][] {{dy, x}, {x.rows(0, 2), dy}, {x.columns(0, 3), dy}, {device.allocate(DataType.FLOAT64, 3, 4), dy},
                    {x, device.allocate(DataType.FLOAT64, 3, 9)}, {other.allocate(DataType.FLOAT32, 3, 4), dy}, {x, other.allocate(DataType.FLOAT32, 3, 9)}}) {
                assertThrows(IllegalArgumentException.class, () -> sum.add(bad[0], bad[1]));
            }
            assertEquals(0, sum.batches());
            assertEquals(0, device.largest(sum.sum()));
            sum.close();
            sum.close();
            assertThrows(IllegalStateException.class, () -> sum.add(x, dy));
            assertThrows(IllegalStateException.class, sum::mean);
            assertThrows(IllegalStateException.class, sum::reset);
            assertThrows(IllegalArgumentException.class, () -> new GradientAccumulator(device, DataType.FLOAT32, 0, 4));
        }
    }
}
