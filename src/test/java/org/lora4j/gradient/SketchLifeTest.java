package org.lora4j.gradient;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** What a sketch holds, and what it refuses. */
class SketchLifeTest extends SketchTest {
    /** (m+n)·l elements while streaming, nearly as many again within an update of many rows, a tenth more in the second pass; never m×n. */
    @Test
    void theMemoryIsThatOfTwoThinMatrices() {
        try (Device fresh = opener.get()) {
            stream(fresh, new Limits(fresh, Double.POSITIVE_INFINITY)); // the device's own workspace is there now
            stream(fresh, new Limits(fresh, 1));
        }
    }

    /** Of what is held beyond what is held now. */
    private record Limits(Device device, long before, double factor) {
        Limits(Device device, double factor) {
            this(device, device.counters().currentBytes(), factor);
        }

        void peak(double bytes) {
            assertTrue(device.counters().peakBytes() - before <= factor * bytes, device.counters()::toString);
        }

        void now(double bytes) {
            assertTrue(device.counters().currentBytes() - before <= factor * bytes, device.counters()::toString);
        }
    }

    private static void stream(Device fresh, Limits limits) {
        int m = 1500;
        int n = 1200;
        int l = 64;
        long data = 300L * (m + n) * 4;
        long thin = (m + n) * (long) l * 4;
        assertTrue(2.2 * thin < 4L * m * n, "a matrix of m×n would show");
        try (GradientSketch sketch = new GradientSketch(fresh, DataType.FLOAT32, m, n, l, 1); Matrix x = fresh.allocate(DataType.FLOAT32, 300, n);
                Matrix dy = fresh.allocate(DataType.FLOAT32, 300, m)) {
            fresh.fill(x, 1);
            fresh.fill(dy, 1);
            sketch.update(x, dy);
            limits.now(data + 1.01 * thin + 8.0 * 512 * l / 16);
            double most = data + 1.95 * thin + 8.0 * (800 * l + 8 * l * l);
            limits.peak(most);
            sketch.update(x, dy);
            limits.now(data + 1.01 * thin + 8.0 * 512 * l / 16);
            sketch.finish(8).close();
            limits.peak(most);
            try (GradientRefinement pass = sketch.refine()) {
                limits.now(data + 1.12 * thin);
                var before = fresh.counters();
                pass.update(x, dy);
                assertEquals(0, fresh.counters().since(before).allocations());
                assertEquals(4, fresh.counters().since(before).calls(Call.GEMM) / 2, "four thin products per panel of rows");
                pass.finish(8).close();
            }
            limits.peak(most);
            limits.now(data);
        }
    }

    /**
     * Of 4096² for a start of rank 16: (m+n)·l·4 bytes; while P and Q are replaced some matrices of l×l and two panels in float64; between two passes 1.65 times that and three
     * matrices of 2l×2l in float64, which is 8.5 MB where G has 67.
     */
    @Test
    void theMemoryOfALargeLayer() {
        int m = 4096;
        int n = 4096;
        int l = 8 * 16;
        long thin = (m + n) * (long) l * 4;
        try (Device fresh = opener.get(); Matrix x = fresh.allocate(DataType.FLOAT32, 32, n); Matrix dy = fresh.allocate(DataType.FLOAT32, 32, m)) {
            x.write(new java.util.Random(1).doubles(32 * n).toArray());
            dy.write(new java.util.Random(2).doubles(32 * m).toArray());
            Limits limits = new Limits(fresh, 1);
            GradientSketch sketch = new GradientSketch(fresh, DataType.FLOAT32, m, n, l, 1);
            assertEquals(thin + (512 * l / 16 + 64 * 64) * 4, fresh.counters().currentBytes() - limits.before, 4 * 64, "P, Q, probes; panel, block, identity");
            for (int i = 0; i < 5; i++) {
                sketch.update(x, dy);
            }
            limits.peak(thin + 8.0 * (30 * l * l + 1000 * l));
            sketch.finish(16).close();
            try (GradientRefinement pass = sketch.refine()) {
                limits.now(1.2 * thin);
                pass.update(x, dy);
                pass.finish(16).close();
            }
            limits.peak(1.65 * thin + 12.0 * 8 * l * l);
        }
    }

    @Test
    @SuppressWarnings("try") // what comes after close is tested
    void whatDoesNotFitIsRefusedAndNothingChanges() {
        DataType type = DataType.FLOAT32;
        try (Device other = opener.get(); GradientSketch sketch = new GradientSketch(device, type, M, N, L, 1); Matrix x = device.allocate(type, 3, N);
                Matrix dy = device.allocate(type, 3, M)) {
            device.fill(x, 1);
            device.fill(dy, 1);
            Matrix closed = device.allocate(type, 3, M);
            closed.close();
            GradientRefinement pass = of(Streams.random(M, N, type, 1, 5), type, 3).refine();
            for (Matrix[] bad : new Matrix[][] {{dy, x}, {x.rows(0, 2), dy}, {x.columns(0, N - 1), dy}, {device.allocate(DataType.FLOAT64, 3, N), dy},
                    {x, device.allocate(DataType.FLOAT64, 3, M)}, {other.allocate(type, 3, N), dy}, {x, other.allocate(type, 3, M)}}) {
                assertThrows(IllegalArgumentException.class, () -> sketch.update(bad[0], bad[1]));
                assertThrows(IllegalArgumentException.class, () -> pass.update(bad[0], bad[1]));
            }
            assertThrows(IllegalStateException.class, () -> sketch.update(x, closed));
            for (int[] c : new int[][] {{M, N, L, 2}, {M, N, L - 1, 1}, {M, N - 1, L, 1}, {M + 1, N, L, 1}}) {
                try (GradientSketch different = new GradientSketch(device, type, c[0], c[1], c[2], c[3])) {
                    assertThrows(IllegalArgumentException.class, () -> sketch.merge(different));
                }
            }
            assertThrows(IllegalArgumentException.class, () -> sketch.merge(sketch));
            assertThrows(IllegalArgumentException.class, () -> sketch.merge(new GradientSketch(other, type, M, N, L, 1)));
            assertThrows(IllegalArgumentException.class, () -> sketch.merge(new GradientSketch(device, DataType.FLOAT64, M, N, L, 1)));
            assertEquals(0, sketch.batches());
            for (Matrix state : sketch.state()) {
                assertEquals(0, device.largest(state));
            }
            assertThrows(IllegalArgumentException.class, () -> new GradientSketch(device, type, M, N, 7, 1));
            assertThrows(IllegalArgumentException.class, () -> new GradientSketch(device, type, M, N, M + 1, 1));
            assertThrows(IllegalArgumentException.class, () -> new GradientSketch(device, type, 0, N, 8, 1));
            assertThrows(IllegalArgumentException.class, () -> sketch.top(0, 0));
            assertTrue(assertThrows(IllegalArgumentException.class, () -> sketch.top(L, 0)).getMessage().contains("64"));
            sketch.top(30, 0).close();
            device.fill(x, Double.NaN);
            assertTrue(assertThrows(IllegalArgumentException.class, () -> sketch.update(x, dy)).getMessage().contains("x contains NaN"));
            device.fill(x, 1);
            device.fill(dy, Double.POSITIVE_INFINITY);
            assertTrue(assertThrows(IllegalArgumentException.class, () -> sketch.update(x, dy)).getMessage().contains("dy contains Infinity"));
            for (Matrix state : sketch.state()) {
                assertEquals(0, device.largest(state));
            }
            device.fill(x, 1e30);
            device.fill(dy, 1e30); // G is beyond float32
            sketch.update(x, dy);
            assertLeavesNothing("refusals", () -> {
                assertTrue(assertThrows(IllegalArgumentException.class, () -> sketch.top(4, 0)).getMessage().contains("Infinity"));
            });
            pass.close();
            pass.close();
            assertThrows(IllegalStateException.class, () -> pass.update(x, dy));
            assertThrows(IllegalStateException.class, pass::refine);
            sketch.close();
            sketch.close();
            assertThrows(IllegalStateException.class, () -> sketch.update(x, dy));
            assertThrows(IllegalStateException.class, sketch::refine);
        }
    }

    /** What can't be undone is not gone on with. */
    @ParameterizedTest
    @ValueSource(ints = {40, 80})
    void aSketchBeyondTheRangeIsClosed(int rows) {
        DataType type = DataType.FLOAT32;
        try (Matrix x = device.allocate(type, rows, N); Matrix dy = device.allocate(type, rows, M)) {
            device.fill(x, 3e38);
            device.fill(dy, 3e38);
            assertLeavesNothing("a sketch beyond the range", () -> {
                GradientSketch sketch = new GradientSketch(device, type, M, N, L, 1);
                assertTrue(assertThrows(IllegalArgumentException.class, () -> {
                    for (int i = 0; i < 4; i++) {
                        sketch.update(x, dy);
                    }
                }).getMessage().contains("out of range"));
                assertThrows(IllegalStateException.class, () -> sketch.update(x, dy));
            });
        }
    }

    /** Squares of these would be 0 or ∞, and a sketch of nothing would count as converged. */
    @ParameterizedTest
    @ValueSource(doubles = {1e-165, 1e155})
    void squaresBeyondTheRangeAreRefused(double value) {
        try (Matrix x = device.allocate(DataType.FLOAT64, 3, N); Matrix dy = device.allocate(DataType.FLOAT64, 3, M);
                GradientSketch sketch = new GradientSketch(device, DataType.FLOAT64, M, N, L, 1)) {
            device.fill(x, 1);
            device.fill(dy, value);
            String message = assertThrows(IllegalArgumentException.class, () -> sketch.update(x, dy)).getMessage();
            assertTrue(message.contains("dy is " + value + ", out of range"), message);
            device.fill(dy, 1);
            sketch.update(x, dy); // as it was
            assertEquals(1, sketch.batches());
        }
    }
}
