package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.Framed;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;

/** Matrix products: C ← α·op(A)·op(B) + β·C against a float64 triple loop, and what is refused. */
class GemmTest extends DeviceTest {
    /** m, n, k: ones, primes, not multiples of a vector, no inner dimension, empty. */
    private static final int[][] SHAPES = {{1, 1, 1}, {1, 7, 5}, {7, 1, 5}, {1, 64, 33}, {64, 1, 33}, {5, 7, 1}, {2, 3, 0}, {1, 3, 0},
        {3, 1, 0}, {0, 3, 2}, {3, 0, 2}, {8, 16, 32}, {13, 17, 19}, {31, 2, 127}, {1, 300, 257}, {300, 1, 257}, {257, 129, 65}};
    private static final double[][] ALPHA_BETA = {{1, 0}, {1, 1}, {-0.5, 0}, {-0.5, 1}, {1.25, -0.5}, {0, 1}, {0, 0}, {0, -0.5}};

    final Random random = new Random(1);

    @ParameterizedTest
    @EnumSource(DataType.class)
    void agreesWithTripleLoop(DataType type) {
        for (int[] s : SHAPES) {
            for (Op opA : Op.values()) {
                for (Op opB : Op.values()) {
                    compare(type, s[0], s[1], s[2], opA, opB);
                }
            }
        }
    }

    /** With β = 0, C is full of NaN before; every matrix has a frame that must neither be read nor written. */
    private void compare(DataType type, int m, int n, int k, Op opA, Op opB) {
        Reference a = Reference.random(m, k, type, random);
        Reference b = Reference.random(k, n, type, random);
        Reference c = Reference.random(m, n, type, random);
        Reference product = a.times(b);
        Reference magnitude = a.magnitudes().times(b.magnitudes());
        Framed fa = Framed.of(device, type, opA == Op.NONE ? a : a.transpose());
        Framed fb = Framed.of(device, type, opB == Op.NONE ? b : b.transpose());
        Framed fc = Framed.nan(device, type, m, n);
        Matrix dense = device.allocate(type, m, n);
        for (double[] ab : ALPHA_BETA) {
            double alpha = ab[0];
            double beta = ab[1];
            String what = type + " m=" + m + " n=" + n + " k=" + k + " A " + opA + " B " + opB + " alpha=" + alpha + " beta=" + beta;
            Reference expected = product.times(alpha).plus(beta, c);
            Reference scale = magnitude.times(Math.abs(alpha)).plus(Math.abs(beta), c.magnitudes());
            for (Matrix result : new Matrix[] {fc.inside(), dense}) {
                if (beta == 0) {
                    device.fill(result, Double.NaN);
                } else {
                    result.write(c.data());
                }
                device.gemm(alpha, fa.inside(), opA, fb.inside(), opB, beta, result);
                expected.assertClose(what, Reference.of(result), type, k + 2, scale);
            }
            fc.assertFrameUnchanged(what);
            if (beta == 1) {
                fc.inside().write(c.data());
                try (Matrix d = device.addmm(fc.inside(), alpha, fa.inside(), opA, fb.inside(), opB)) {
                    expected.assertClose(what + ", addmm", Reference.of(d), type, k + 2, scale);
                    assertEquals(n, d.cols());
                    assertArrayEquals(c.data(), fc.inside().read(), "C is not modified");
                }
            }
        }
        assertArrayEquals(opA == Op.NONE ? a.data() : a.transpose().data(), fa.inside().read(), "A is not modified");
        assertArrayEquals(opB == Op.NONE ? b.data() : b.transpose().data(), fb.inside().read(), "B is not modified");
        fa.whole().close();
        fb.whole().close();
        fc.whole().close();
        dense.close();
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void leadingBlocksServeBatchesOfChangingSize(DataType type) {
        Reference a = Reference.random(9, 6, type, random);
        Reference b = Reference.random(5, 6, type, random);
        Matrix da = a.on(device, type);
        Matrix db = b.on(device, type);
        Matrix dc = device.allocate(type, 9, 7);
        device.gemm(9, 5, 6, 1, da, Op.NONE, db, Op.TRANSPOSE, 0, dc); // the device's own workspace is there now
        Counters before = device.counters();
        for (int m : new int[] {9, 1, 4, 0, 9, 2}) {
            int n = 3;
            int k = 4;
            device.fill(dc, 77);
            device.gemm(m, n, k, 2, da, Op.NONE, db, Op.TRANSPOSE, 0, dc);
            Reference x = a.rows(0, m).columns(0, k);
            Reference y = b.rows(0, n).columns(0, k).transpose();
            x.times(y).times(2).assertClose("m=" + m, Reference.of(dc.view(0, m, 0, n)), type, k + 2,
                    x.magnitudes().times(y.magnitudes()).times(2));
            double[] left = dc.read();
            for (int i = 0; i < 9; i++) {
                for (int j = 0; j < 7; j++) {
                    assertTrue(i < m && j < n || left[i * 7 + j] == 77, "m=" + m + ": (" + i + ", " + j + ") is outside of the block");
                }
            }
        }
        assertEquals(before.allocations(), device.counters().allocations());
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void leadingBlocksOfTransposedOperands(DataType type) {
        Reference a = Reference.random(6, 9, type, random);
        Reference b = Reference.random(6, 5, type, random);
        Matrix c = device.allocate(type, 4, 2);
        device.fill(c, Double.NaN);
        device.gemm(4, 2, 3, 1, a.on(device, type), Op.TRANSPOSE, b.on(device, type), Op.NONE, 0, c);
        Reference x = a.rows(0, 3).columns(0, 4).transpose();
        Reference y = b.rows(0, 3).columns(0, 2);
        x.times(y).assertClose("leading blocks", Reference.of(c), type, 3, x.magnitudes().times(y.magnitudes()));
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void disjointColumnsOfOneBufferMayBeOperandAndResult(DataType type) {
        Reference x = Reference.random(4, 5, type, random);
        Reference a = Reference.random(2, 5, type, random);
        Matrix bordered = device.allocate(type, 4, 7);
        bordered.columns(0, 5).write(x.data());
        device.gemm(1, bordered.columns(0, 5), Op.NONE, a.on(device, type), Op.TRANSPOSE, 0, bordered.columns(5, 7));
        x.times(a.transpose()).assertClose("beside", Reference.of(bordered.columns(5, 7)), type, 5,
                x.magnitudes().times(a.magnitudes().transpose()));
        assertArrayEquals(x.data(), bordered.columns(0, 5).read());
    }

    @Test
    void addmmFreesItsResultAndCountsItsWork() {
        DataType type = DataType.FLOAT32;
        Reference a = Reference.random(70, 3, type, random);
        Reference b = Reference.random(3, 90, type, random);
        Reference c = Reference.random(70, 90, type, random);
        Matrix da = a.on(device, type);
        Matrix db = b.on(device, type);
        Matrix dc = c.on(device, type);
        device.addmm(dc, 2, da, Op.NONE, db, Op.NONE).close(); // the device's own workspace is there now
        Counters before = device.counters();
        Matrix d = device.addmm(dc, 2, da, Op.NONE, db, Op.NONE);
        Counters cost = device.counters().since(before);
        assertEquals(1, cost.calls(Counters.Call.GEMM));
        assertEquals(1, cost.allocations());
        assertEquals(70 * 92 * 4, device.counters().currentBytes() - before.currentBytes());
        a.times(b).times(2).plus(1, c).assertClose("addmm", Reference.of(d), type, 5, a.magnitudes().times(b.magnitudes()).times(2).plus(1, c.magnitudes()));
        d.close();
        assertEquals(before.currentBytes(), device.counters().currentBytes());
        refuses(() -> device.addmm(dc, 1, db, Op.NONE, da, Op.NONE));
        assertEquals(before.currentBytes(), device.counters().currentBytes());
    }

    @Test
    void refusesAResultThatOverlapsAnOperand() {
        Matrix buffer = device.allocate(DataType.FLOAT32, 8, 8);
        Matrix other = device.allocate(DataType.FLOAT32, 4, 4);
        Matrix c = buffer.view(0, 4, 0, 4);
        Matrix corner = buffer.view(3, 7, 3, 7);
        refuses(() -> device.gemm(1, c, Op.NONE, other, Op.NONE, 0, c));
        refuses(() -> device.gemm(1, corner, Op.NONE, other, Op.NONE, 0, c));
        refuses(() -> device.gemm(1, other, Op.NONE, corner, Op.TRANSPOSE, 1, c));
        refuses(() -> device.gemm(4, 4, 4, 1, other, Op.NONE, buffer, Op.NONE, 0, c));
        device.gemm(1, buffer.view(4, 8, 4, 8), Op.NONE, buffer.view(4, 8, 0, 4), Op.NONE, 0, c);
        device.gemm(3, 3, 3, 1, other, Op.NONE, corner, Op.NONE, 0, c);
    }

    @Test
    void anEmptyOperandOverlapsNothing() {
        Matrix buffer = device.allocate(DataType.FLOAT32, 4, 4);
        device.fill(buffer, 2);
        device.gemm(1, buffer.columns(2, 2), Op.NONE, buffer.rows(2, 2), Op.NONE, 0.5, buffer);
        assertTrue(Arrays.stream(buffer.read()).allMatch(x -> x == 1), "C is scaled");
    }

    @Test
    void refusesShapesThatDisagree() {
        Matrix a = device.allocate(DataType.FLOAT32, 2, 3);
        Matrix b = device.allocate(DataType.FLOAT32, 3, 4);
        Matrix c = device.allocate(DataType.FLOAT32, 2, 4);
        String message = refuses(() -> device.gemm(1, a, Op.NONE, b, Op.TRANSPOSE, 0, c));
        assertTrue(message.contains("2×3") && message.contains("4×3") && message.contains("2×4"), message);
        refuses(() -> device.gemm(1, a, Op.TRANSPOSE, b, Op.NONE, 0, c));
        refuses(() -> device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c.columns(0, 3)));
        refuses(() -> device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c.rows(0, 1)));
    }

    @Test
    void refusesBlocksBeyondTheMatrices() {
        Matrix a = device.allocate(DataType.FLOAT32, 2, 3);
        Matrix b = device.allocate(DataType.FLOAT32, 3, 4);
        Matrix c = device.allocate(DataType.FLOAT32, 2, 4);
        long[][] bad = {{3, 4, 3}, {2, 5, 3}, {2, 4, 4}, {-1, 4, 3}, {2, -1, 3}, {2, 4, -1}, {Long.MAX_VALUE, 4, 3}, {2, 4, Long.MIN_VALUE}};
        for (long[] s : bad) {
            String message = refuses(() -> device.gemm(s[0], s[1], s[2], 1, a, Op.NONE, b, Op.NONE, 0, c));
            assertTrue(Arrays.stream(s).allMatch(size -> message.contains("=" + size)), message);
        }
        refuses(() -> device.gemm(3, 4, 2, 1, a, Op.TRANSPOSE, b, Op.NONE, 0, c));
    }

    @Test
    void refusesTypesThatDisagree() {
        Matrix single = device.allocate(DataType.FLOAT32, 2, 2);
        Matrix single2 = device.allocate(DataType.FLOAT32, 2, 2);
        Matrix twice = device.allocate(DataType.FLOAT64, 2, 2);
        refuses(() -> device.gemm(1, single, Op.NONE, single, Op.NONE, 0, twice));
        refuses(() -> device.gemm(1, twice, Op.NONE, single, Op.NONE, 0, single2));
        refuses(() -> device.gemm(1, single, Op.NONE, twice, Op.NONE, 0, single2));
    }

    @Test
    void refusesAnotherDevicesMatrix() {
        try (Device other = opener.get()) {
            Matrix mine = device.allocate(DataType.FLOAT32, 2, 2);
            Matrix mine2 = device.allocate(DataType.FLOAT32, 2, 2);
            Matrix foreign = other.allocate(DataType.FLOAT32, 2, 2);
            refuses(() -> device.gemm(1, foreign, Op.NONE, mine, Op.NONE, 0, mine2));
            refuses(() -> device.gemm(1, mine, Op.NONE, foreign, Op.NONE, 0, mine2));
            refuses(() -> device.gemm(1, mine, Op.NONE, mine, Op.NONE, 0, foreign));
        }
    }

    @Test
    void refusesClosedMatricesAndAClosedDevice() {
        Matrix a = device.allocate(DataType.FLOAT32, 2, 2);
        Matrix b = device.allocate(DataType.FLOAT32, 2, 2);
        Matrix gone = device.allocate(DataType.FLOAT32, 2, 2);
        Matrix view = gone.rows(0, 2);
        gone.close();
        for (Matrix bad : new Matrix[] {gone, view}) {
            assertThrows(IllegalStateException.class, () -> device.gemm(1, bad, Op.NONE, a, Op.NONE, 0, b));
            assertThrows(IllegalStateException.class, () -> device.gemm(1, a, Op.NONE, bad, Op.NONE, 0, b));
            assertThrows(IllegalStateException.class, () -> device.gemm(1, a, Op.NONE, a, Op.NONE, 0, bad));
        }
        device.close();
        assertThrows(IllegalStateException.class, () -> device.gemm(1, a, Op.NONE, a, Op.NONE, 0, b));
    }

    /** Asserts that {@code call} is refused and not counted; returns the message. */
    private String refuses(Runnable call) {
        Counters before = device.counters();
        String message = assertThrows(IllegalArgumentException.class, call::run).getMessage();
        assertEquals(before.calls(), device.counters().calls(), "a refused call is not counted");
        return message;
    }
}
