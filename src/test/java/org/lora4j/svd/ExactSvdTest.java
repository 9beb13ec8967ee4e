package org.lora4j.svd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** The leading triplets against matrices whose singular values are known, in sign, rank and scale. */
class ExactSvdTest extends DeviceTest {
    private static final int[][] SHAPES = {{1, 1, 1}, {1, 7, 1}, {7, 1, 1}, {13, 9, 4}, {9, 13, 9}, {40, 40, 8}, {97, 31, 31}};

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theLeadingTripletsAreSingularValuesAndVectors(DataType type) {
        for (int[] shape : SHAPES) {
            int k = shape[2];
            Reference g = Reference.random(shape[0], shape[1], type, new Random(1));
            try (Matrix on = g.on(device, type); SingularTriplets t = new ExactSvd().top(on, k, 0)) {
                double tolerance = 10 * (Math.max(shape[0], shape[1]) + 10) * type.unitRoundoff(); // what Device.svd admits, with room for σ₁/‖G‖
                Reference u = Reference.of(t.u());
                Reference v = Reference.of(t.vt()).transpose();
                Reference.identity(k).assertNear("UᵀU", u.transpose().times(u), tolerance);
                Reference.identity(k).assertNear("VᵀV", v.transpose().times(v), tolerance);
                Reference sigma = Reference.zeros(k, k);
                for (int i = 0; i < k; i++) {
                    sigma.data()[i * k + i] = t.values()[i];
                    assertTrue(i == 0 || t.values()[i] <= t.values()[i - 1], "descending");
                    assertTrue(largest(v.columns(i, i + 1)) > 0, "sign of pair " + i);
                }
                u.times(sigma).assertNear("G·V = U·S", g.times(v), tolerance);
                v.times(sigma).assertNear("Gᵀ·U = V·S", g.transpose().times(u), tolerance);
                double all = 0; // the leading ones are the largest: what is left is ‖G‖² minus theirs
                for (double s : t.values()) {
                    all += s * s;
                }
                double left = g.plus(-1, u.times(sigma).times(v.transpose())).norm();
                assertEquals(Math.sqrt(Math.max(0, g.dot(g) - all)), left, Math.sqrt(tolerance) * g.norm());
                assertEquals(Math.min(shape[0], shape[1]), t.numericalRank());
                assertFalse(t.completed());
            }
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void aMatrixOfLowRankIsCompletedOrthonormallyAndSaysSo(DataType type) {
        for (int[] shape : new int[][] {{20, 30, 0}, {30, 20, 1}, {64, 64, 5}}) {
            int rank = shape[2];
            Random random = new Random(2);
            Reference g = Reference.random(shape[0], rank, type, random).times(Reference.random(rank, shape[1], type, random));
            try (Matrix on = g.on(device, type); SingularTriplets t = new ExactSvd().top(on, 8, 3);
                    SingularTriplets again = new ExactSvd().top(on, 8, 3); SingularTriplets other = new ExactSvd().top(on, 8, 4)) {
                assertEquals(rank, t.numericalRank());
                assertTrue(t.completed());
                double tolerance = 10 * (Math.max(shape[0], shape[1]) + 10) * type.unitRoundoff();
                Reference u = Reference.of(t.u());
                Reference vt = Reference.of(t.vt());
                Reference.identity(8).assertNear("UᵀU", u.transpose().times(u), tolerance);
                Reference.identity(8).assertNear("VᵀV", vt.times(vt.transpose()), tolerance);
                Reference lead = g.times(vt.rows(0, rank).transpose());
                assertEquals(g.norm(), lead.norm(), tolerance * g.norm(), "the determined vectors capture all of G");
                assertArrayEquals(t.vt().read(), again.vt().read(), "the same seed");
                assertArrayEquals(t.u().read(), again.u().read(), "the same seed");
                assertFalse(java.util.Arrays.equals(t.vt().read(), other.vt().read()), "another seed");
            }
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theScaleOfTheMatrixDoesNotMatter(DataType type) {
        Reference g = Reference.random(24, 17, type, new Random(5));
        for (double scale : new double[] {0x1p-100, 0x1p100}) { // powers of two scale float32 numbers exactly
            try (Matrix one = g.on(device, type); Matrix scaled = g.times(scale).on(device, type);
                    SingularTriplets t = new ExactSvd().top(one, 5, 0); SingularTriplets s = new ExactSvd().top(scaled, 5, 0)) {
                assertArrayEquals(t.u().read(), s.u().read());
                assertArrayEquals(t.vt().read(), s.vt().read());
                for (int i = 0; i < 5; i++) {
                    assertEquals(t.values()[i] * scale, s.values()[i]);
                }
            }
        }
    }

    @Test
    void theMatrixIsNotModifiedAndNothingIsLeftBehind() {
        Reference g = Reference.random(12, 20, DataType.FLOAT32, new Random(7));
        try (Matrix on = g.on(device, DataType.FLOAT32)) {
            assertLeavesNothing("an exact SVD", () -> new ExactSvd().top(on, 3, 0).close());
            long before = device.counters().currentBytes();
            assertArrayEquals(g.data(), on.read());
            assertThrows(IllegalArgumentException.class, () -> new ExactSvd().top(on, 0, 0));
            assertTrue(assertThrows(IllegalArgumentException.class, () -> new ExactSvd().top(on, 13, 0)).getMessage().contains("13"));
            on.view(4, 5, 6, 7).write(Double.NaN);
            assertTrue(assertThrows(IllegalArgumentException.class, () -> new ExactSvd().top(on, 3, 0)).getMessage().contains("NaN"));
            assertEquals(before, device.counters().currentBytes());
        }
    }

    private static double largest(Reference v) {
        double largest = 0;
        for (double x : v.data()) {
            largest = Math.abs(x) > Math.abs(largest) ? x : largest;
        }
        return largest;
    }
}
