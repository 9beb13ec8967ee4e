package org.lora4j.gradient;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/** The singular triplets of two thin factors against the exact SVD of the gradient they make. */
class FactoredGradientTest extends DeviceTest {
    private FactoredGradient of(Streams s, DataType type, int capacity) {
        FactoredGradient f = new FactoredGradient(device, type, s.dy().get(0).cols(), s.x().get(0).cols(), capacity);
        s.feed(device, type, f::add);
        return f;
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theTripletsAreThoseOfTheGradient(DataType type) {
        // more rows at once than are transposed at once, b = 0 and 1, b = min(m, n), k beyond b
        for (int[][] c : new int[][][] {{{23, 41}, {5, 0, 1, 3}, {4}}, {{41, 23}, {23}, {23}}, {{150, 160}, {130}, {8}}, {{31, 37}, {2, 1}, {8}}, {{1, 9}, {1}, {1}}}) {
            Streams s = Streams.random(c[0][0], c[0][1], type, 3, c[1]);
            int k = c[2][0];
            int rank = Math.min(k, Arrays.stream(c[1]).sum());
            Reference g = s.gradient();
            double tolerance = 40 * (Math.max(c[0][0], c[0][1]) + 10) * type.unitRoundoff();
            try (Matrix on = g.on(device, type); SingularTriplets exact = new ExactSvd().top(on, k, 0);
                    FactoredGradient f = of(s, type, Math.min(c[0][0], c[0][1])); SingularTriplets t = f.top(k, 5); SingularTriplets again = f.top(k, 5)) {
                for (int i = 0; i < k; i++) {
                    assertEquals(exact.values()[i], t.values()[i], tolerance * exact.values()[0]);
                }
                Reference u = Reference.of(t.u());
                Reference vt = Reference.of(t.vt());
                Reference.identity(k).assertNear("UᵀU", u.transpose().times(u), tolerance);
                Reference.identity(k).assertNear("VᵀV", vt.times(vt.transpose()), tolerance);
                Reference us = Reference.of(t.u());
                for (int i = 0; i < us.data().length; i++) {
                    us.data()[i] *= t.values()[i % k];
                }
                assertEquals(0, g.times(vt.transpose()).plus(-1, us).norm(), tolerance * g.norm(), "G·V = U·S");
                for (int i = 0; i < rank; i++) {
                    double sign = 0;
                    for (double x : vt.rows(i, i + 1).data()) {
                        sign = Math.abs(x) > Math.abs(sign) ? x : sign;
                    }
                    assertTrue(sign > 0, "sign of pair " + i);
                }
                assertEquals(exact.numericalRank(), t.numericalRank());
                assertEquals(exact.certificate().capturedEnergy(), t.certificate().capturedEnergy(), tolerance);
                assertTrue(t.certificate().largestResidual() <= tolerance, () -> t.certificate().toString());
                assertTrue(t.certificate().converged());
                assertArrayEquals(t.u().read(), again.u().read());
                assertEquals(k > rank, t.completed());
            }
        }
    }

    @Test
    void scaleDoesNotMatter() {
        Streams s = Streams.random(30, 20, DataType.FLOAT32, 4, 7);
        try (FactoredGradient one = of(s, DataType.FLOAT32, 10); SingularTriplets t = one.top(4, 0)) {
            for (double[] scale : new double[][] {{0x1p-50, 0x1p-50}, {0x1p50, 0x1p50}, {0x1p-120, 0x1p100}}) {
                try (FactoredGradient f = of(s.times(scale[0], scale[1]), DataType.FLOAT32, 10); SingularTriplets other = f.top(4, 0)) {
                    assertArrayEquals(t.u().read(), other.u().read());
                    assertEquals(t.values()[3] * scale[0] * scale[1], other.values()[3]);
                    assertEquals(t.certificate().largestResidual(), other.certificate().largestResidual(), 1e-6);
                }
            }
        }
    }

    @Test
    void anEmptyOneIsZeroAndCompleted() {
        try (FactoredGradient f = new FactoredGradient(device, DataType.FLOAT32, 9, 6, 3); SingularTriplets t = f.top(2, 1); SingularTriplets other = f.top(2, 2)) {
            assertEquals(0, t.numericalRank());
            assertArrayEquals(new double[2], t.values());
            Reference u = Reference.of(t.u());
            Reference.identity(2).assertNear("UᵀU", u.transpose().times(u), 1e-6);
            assertFalse(Arrays.equals(t.u().read(), other.u().read()), "another seed");
        }
    }

    @Test
    void noMatrixOfTheGradientsShapeIsMadeAndNothingIsLeft() {
        int m = 900;
        int n = 700;
        Streams s = Streams.random(m, n, DataType.FLOAT32, 5, 8, 8);
        try (Device fresh = opener.get()) {
            assertLeavesNothing(fresh, "a factored gradient", () -> {
                try (FactoredGradient f = new FactoredGradient(fresh, DataType.FLOAT32, m, n, 16)) {
                    s.feed(fresh, DataType.FLOAT32, f::add);
                    f.finish(4).close();
                }
            });
            long peak = fresh.counters().peakBytes() - fresh.counters().currentBytes(); // without a workspace that is kept
            assertTrue(peak < 4L * (m + n) * 16 * 4 && peak < 4L * m * n / 4, "peak " + peak);
        }
    }

    @Test
    void whatDoesNotFitIsRefused() {
        Matrix x = device.allocate(DataType.FLOAT32, 3, 6);
        Matrix dy = device.allocate(DataType.FLOAT32, 3, 9);
        FactoredGradient f = new FactoredGradient(device, DataType.FLOAT32, 9, 6, 5);
        f.add(x, dy);
        assertTrue(assertThrows(IllegalArgumentException.class, () -> f.add(x, dy)).getMessage().contains("room for 2"));
        assertThrows(IllegalArgumentException.class, () -> f.add(dy, x));
        assertThrows(IllegalArgumentException.class, () -> f.add(x.rows(0, 1), device.allocate(DataType.FLOAT64, 1, 9)));
        assertEquals(3, f.batchRows());
        assertThrows(IllegalArgumentException.class, () -> f.top(7, 0));
        assertThrows(IllegalArgumentException.class, () -> f.top(0, 0));
        x.rows(0, 1).columns(2, 3).write(Double.NaN);
        f.reset();
        f.add(x, dy);
        assertLeavesNothing("a refusal", () -> assertTrue(assertThrows(IllegalArgumentException.class, () -> f.top(2, 0)).getMessage().contains("NaN")));
        assertThrows(IllegalArgumentException.class, () -> new FactoredGradient(device, DataType.FLOAT32, 9, 6, 7));
        f.close();
        f.close();
        assertThrows(IllegalStateException.class, () -> f.add(x, dy));
        assertThrows(IllegalStateException.class, () -> f.top(1, 0));
    }
}
