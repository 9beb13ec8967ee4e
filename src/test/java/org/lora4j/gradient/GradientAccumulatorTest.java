package org.lora4j.gradient;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
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
        Reference scale = new Streams(s.x().stream().map(Reference::magnitudes).toList(), s.dy().stream().map(Reference::magnitudes).toList()).gradient();
        try (GradientAccumulator sum = new GradientAccumulator(device, type, 13, 7)) {
            s.feed(device, type, sum::add);
            assertEquals(4, sum.batches());
            g.assertClose("sum", Reference.of(sum.sum()), type, 37, scale);
            Matrix mean = sum.mean();
            assertSame(mean, sum.mean(), "asking again doesn't divide again");
            g.times(0.25).assertClose("mean", Reference.of(mean), type, 38, scale);
            assertTrue(assertThrows(IllegalStateException.class, () -> s.feed(device, type, sum::add)).getMessage().contains("reset"));
            assertThrows(IllegalStateException.class, sum::sum);
            sum.reset();
            assertThrows(IllegalStateException.class, sum::mean);
            s.feed(device, type, sum::add);
            g.assertClose("after reset", Reference.of(sum.sum()), type, 37, scale);
        }
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
