package org.lora4j.svd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.Random;
import java.util.function.IntToDoubleFunction;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;

/** Block Krylov triplets against known singular values and vectors; the certificate against plain loops. */
class BlockKrylovSvdTest extends DeviceTest {
    /** Spectra by name: σᵢ for i from 0. */
    private static final Map<String, IntToDoubleFunction> SPECTRA = Map.of("1/i", i -> 1.0 / (i + 1), "0.9^i", i -> Math.pow(0.9, i),
            "4^-i", i -> Math.pow(0.25, i), "pairs", i -> 1.0 / (1 + i / 2), "a cluster", i -> i < 12 ? 1 : 0.01 / (i - 10),
            "a cliff", i -> i < 4 ? 1 : 1e-5);

    /** U·diag(σ)·Vᵀ with random orthonormal U, V. */
    private Reference matrix(int m, int n, DataType type, IntToDoubleFunction sigma) {
        int k = Math.min(m, n);
        Random random = new Random(m * 31 + n);
        try (Matrix u = Reference.random(m, k, type, random).on(device, type); Matrix v = Reference.random(n, k, type, random).on(device, type);
                Matrix r = device.allocate(type, k, k)) {
            device.qr(u, r);
            device.qr(v, r);
            Reference us = Reference.of(u);
            for (int i = 0; i < m * k; i++) {
                us.data()[i] *= sigma.applyAsDouble(i % k);
            }
            return us.times(Reference.of(v).transpose());
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theCertificateIsTrueAndTheToleranceMet(DataType type) {
        double tolerance = 1e-3;
        for (int[] shape : new int[][] {{120, 120, 8}, {200, 90, 5}, {90, 200, 6}, {150, 140, 1}, {160, 160, 2}}) {
            SPECTRA.forEach((name, sigma) -> {
                String what = name + " " + shape[0] + "×" + shape[1];
                Reference g = matrix(shape[0], shape[1], type, sigma);
                int k = shape[2];
                try (Matrix on = g.on(device, type); SingularTriplets t = new BlockKrylovSvd(tolerance, 20).top(on, k, 7)) {
                    assertTrue(t.certificate().steps() > 0, what + ": not the exact method");
                    assertTrue(t.certificate().converged(), what + " " + java.util.Arrays.toString(t.certificate().residuals()) + java.util.Arrays.toString(t.values()));
                    Reference u = Reference.of(t.u());
                    Reference v = Reference.of(t.vt()).transpose();
                    double orthonormal = 4 * Math.sqrt(shape[0] + shape[1]) * type.unitRoundoff();
                    Reference.identity(k).assertNear(what + ": UᵀU", u.transpose().times(u), orthonormal);
                    Reference.identity(k).assertNear(what + ": VᵀV", v.transpose().times(v), orthonormal);
                    double rounding = 40 * Math.sqrt(shape[0] + shape[1]) * type.unitRoundoff();
                    double energy = 0;
                    for (int i = 0; i < t.numericalRank() && i < k; i++) {
                        double s = t.values()[i];
                        Reference right = g.times(v.columns(i, i + 1)).plus(-s, u.columns(i, i + 1));
                        Reference left = g.transpose().times(u.columns(i, i + 1)).plus(-s, v.columns(i, i + 1));
                        double residual = Math.max(right.norm(), left.norm()) / t.values()[0];
                        // GᵀG·V is as exact as ε·σ₁² and gives Gᵀ·uᵢ after division by σᵢ; from a tenth of the tolerance on it is measured
                        double squares = Math.min(tolerance / 10, 4 * type.unitRoundoff() * t.values()[0] / s);
                        assertEquals(residual, t.certificate().residuals()[i], rounding + squares, what + ": residual " + i);
                        assertTrue(residual <= tolerance + rounding + squares, what);
                        assertEquals(sigma.applyAsDouble(i), s, tolerance * sigma.applyAsDouble(0), what + ": σ " + i); // Weyl
                        assertTrue(i == 0 || s <= t.values()[i - 1], what + ": descending");
                    }
                    for (double s : t.values()) {
                        energy += s * s;
                    }
                    assertEquals(energy / g.dot(g), t.certificate().capturedEnergy(), 1e-4, what);
                }
            });
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void tightTolerancesReachTheExactVectors(DataType type) {
        Reference g = matrix(150, 130, type, i -> Math.pow(0.8, i));
        double tolerance = 100 * type.unitRoundoff();
        try (Matrix on = g.on(device, type); SingularTriplets t = new BlockKrylovSvd(tolerance, 30).top(on, 6, 1);
                SingularTriplets exact = new ExactSvd().top(on, 6, 1)) {
            assertTrue(t.certificate().converged());
            // vectors turn by residual·σ₁ over the gap, which is at least 0.2·σ₆
            double turn = 4 * tolerance / (0.2 * Math.pow(0.8, 6));
            Reference.of(exact.vt()).assertNear("V", Reference.of(t.vt()), turn);
            Reference.of(exact.u()).assertNear("U", Reference.of(t.u()), turn);
        }
    }

    /** GᵀG·Ω has columns as good as dependent then, of which one pass by Cholesky leaves vectors that are not orthogonal. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void vectorsAreOrthonormalAtAnyScale(DataType type) {
        int m = 300;
        int n = 400;
        double rounding = 4 * Math.sqrt(m + n) * type.unitRoundoff(); // of products that are summed over rows or columns
        for (double scale : new double[] {1e-3, 1, 1e3}) {
            Reference g = matrix(m, n, type, i -> 20 * Math.pow(0.8, i)).times(scale);
            for (int k : new int[] {8, 16}) {
                try (Matrix on = g.on(device, type); SingularTriplets t = new BlockKrylovSvd().top(on, k, 0)) {
                    assertTrue(t.certificate().steps() > 0, "not the exact method");
                    Reference u = Reference.of(t.u());
                    Reference vt = Reference.of(t.vt());
                    Reference.identity(k).assertNear("UᵀU, scale " + scale, u.transpose().times(u), rounding);
                    Reference.identity(k).assertNear("VᵀV, scale " + scale, vt.times(vt.transpose()), rounding);
                }
            }
        }
    }

    /** A block of 16 columns meets no more than 16 vectors of one singular value. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void valuesRepeatedMoreOftenThanABlockHasColumnsAreAllFound(DataType type) {
        int k = 34;
        for (int times : new int[] {17, 24, 33}) {
            for (double spread : new double[] {0, 1e-6}) {
                IntToDoubleFunction sigma = i -> i < times ? 1 - spread * i : 0.5 / (i - times + 1);
                try (Matrix g = matrix(260, 300, type, sigma).on(device, type); SingularTriplets t = new BlockKrylovSvd().top(g, k, 5)) {
                    assertTrue(t.certificate().steps() > 0, "not the exact method");
                    for (int i = 0; i < k; i++) {
                        assertEquals(sigma.applyAsDouble(i), t.values()[i], BlockKrylovSvd.DEFAULT_TOLERANCE, times + " times, value " + i);
                    }
                }
            }
        }
    }

    /** Random signs would cancel in each of (e_a − e_b)/√2 with probability 2⁻⁸ for a block of 8. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void sparseVectorsAreNotMissed(DataType type) {
        Reference g = Reference.zeros(100, 200);
        for (int i = 0; i < 100; i++) {
            g.data()[i * 200 + 2 * i] = 1.0 / (1 + i);
            g.data()[i * 200 + 2 * i + 1] = -1.0 / (1 + i);
        }
        try (Matrix on = g.on(device, type)) {
            for (int seed = 0; seed < 300; seed++) {
                try (SingularTriplets t = new BlockKrylovSvd().top(on, 2, seed)) {
                    assertEquals(Math.sqrt(2), t.values()[0], 1e-3, "seed " + seed);
                    assertEquals(Math.sqrt(2) / 2, t.values()[1], 3e-3, "seed " + seed);
                }
            }
        }
    }

    /** Of a matrix large enough for a look a step sooner than 4 and 6; ‖VᵀV*‖²/k is what a mean squared cosine is of. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void whatIsFoundSoonIsStillTheLeadingSpace(DataType type) {
        try (Matrix g = matrix(700, 650, type, i -> 1.0 / (i + 1)).on(device, type)) {
            for (int k : new int[] {8, 16}) {
                int soon = 0;
                try (SingularTriplets exact = new ExactSvd().top(g, k, 0)) {
                    Reference v = Reference.of(exact.vt()).transpose();
                    for (int seed = 0; seed < 12; seed++) {
                        try (SingularTriplets t = new BlockKrylovSvd().top(g, k, seed)) {
                            soon += t.certificate().steps() < 2 * (k / 8) + 2 ? 1 : 0;
                            double overlap = Math.pow(Reference.of(t.vt()).times(v).norm(), 2) / k;
                            assertEquals(1, overlap, 5e-5, k + " triplets, seed " + seed + ", " + t.certificate().steps() + " steps");
                        }
                    }
                }
                assertTrue(soon > 0 && soon < 12, soon + " of 12 a step sooner");
            }
        }
    }

    /**
     * Each row has one element, and the few rows of a sample are seldom those of the leading ones, which then are in the random numbers alone. A
     * vector that is missed takes 1/k from ‖VᵀV*‖²/k; what residuals of this size allow is far less (Wedin 1972: sin Θ ≤ ‖R‖/gap).
     */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void whatTheSampledRowsHaveNothingOfIsFoundToo(DataType type) {
        int n = 700;
        int k = 16;
        double gap = 1.0 / k - 1.0 / (k + 1);
        int[] places = new Random(3).ints(0, n).distinct().limit(n).toArray();
        Reference diagonal = Reference.zeros(n, n);
        for (int i = 0; i < n; i++) {
            diagonal.data()[places[i] * n + i] = 1.0 / (i + 1);
        }
        try (Matrix g = diagonal.on(device, type)) {
            for (int seed = 0; seed < 40; seed++) {
                try (SingularTriplets t = new BlockKrylovSvd().top(g, k, seed)) {
                    assertTrue(t.certificate().steps() > 0 && t.certificate().converged(), "seed " + seed);
                    double residuals2 = 0;
                    for (double residual : t.certificate().residuals()) {
                        residuals2 += residual * residual;
                    }
                    double overlap = Math.pow(Reference.of(t.vt()).columns(0, k).norm(), 2) / k; // vᵢ = eᵢ
                    assertEquals(1, overlap, residuals2 / (gap * gap) / k + 8 * Math.sqrt(n) * type.unitRoundoff(), "seed " + seed);
                }
            }
        }
    }

    /** As many as a LoRA-GA start of rank 64 asks for, and a spectrum that falls slowly. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void manyTripletsConvergeToo(DataType type) {
        try (Matrix g = matrix(1000, 1100, type, i -> 1 / Math.sqrt(i + 1)).on(device, type); SingularTriplets t = new BlockKrylovSvd().top(g, 128, 1)) {
            assertTrue(t.certificate().steps() > 0, "not the exact method");
            assertTrue(t.certificate().converged(), java.util.Arrays.toString(t.certificate().residuals()));
        }
    }

    /** A residual relative to σ₁ says nothing of the vectors of a far smaller σ: squares alone would lose them in float32. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void vectorsOfSmallSingularValuesAreNotLost(DataType type) {
        Reference g = matrix(150, 150, type, i -> Math.pow(0.25, i));
        try (Matrix on = g.on(device, type); SingularTriplets t = new BlockKrylovSvd().top(on, 8, 1); SingularTriplets exact = new ExactSvd().top(on, 8, 1)) {
            assertTrue(t.certificate().steps() > 0);
            // Each turns by a few ε·σ₁ over its gap of 3/4·σᵢ; σ₈ = 4⁻⁷·σ₁, and a turn within its plane is a change of norm √2·turn.
            double turn = 16 * 2 * type.unitRoundoff() / (0.75 * Math.pow(0.25, 7)) + 1e-6;
            Reference.of(exact.vt()).rows(7, 8).assertNear("v₈", Reference.of(t.vt()).rows(7, 8), turn);
            Reference.of(exact.u()).columns(7, 8).assertNear("u₈", Reference.of(t.u()).columns(7, 8), turn);
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void aMatrixOfLowRankIsCompletedAndSaysSo(DataType type) {
        for (int rank : new int[] {1, 3, 7}) {
            Reference g = matrix(120, 100, type, i -> i < rank ? 1.0 / (i + 1) : 0);
            try (Matrix on = g.on(device, type); SingularTriplets t = new BlockKrylovSvd().top(on, 8, 2)) {
                assertEquals(rank, t.numericalRank());
                assertTrue(t.completed() && t.certificate().converged());
                Reference vt = Reference.of(t.vt());
                Reference u = Reference.of(t.u());
                Reference.identity(8).assertNear("VᵀV", vt.times(vt.transpose()), 1000 * type.unitRoundoff());
                Reference.identity(8).assertNear("UᵀU", u.transpose().times(u), 1000 * type.unitRoundoff());
                assertEquals(g.norm(), g.times(vt.rows(0, rank).transpose()).norm(), 1e-3 * g.norm());
            }
        }
        try (Matrix zero = device.allocate(type, 120, 100); SingularTriplets t = new BlockKrylovSvd().top(zero, 4, 2)) {
            assertEquals(0, t.numericalRank());
            assertArrayEquals(new double[4], t.values());
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theScaleOfTheMatrixDoesNotMatter(DataType type) {
        Reference g = matrix(110, 130, type, i -> 1.0 / (i + 1));
        try (Matrix one = g.on(device, type); SingularTriplets t = new BlockKrylovSvd().top(one, 6, 3)) {
            for (double scale : type == DataType.FLOAT32 ? new double[] {1e-39, 1e-30, 1e-6, 1e6, 1e30, 1e37} : new double[] {1e-200, 1e-30, 1e-6, 1e6, 1e30, 1e200}) {
                try (Matrix on = g.times(scale).on(device, type); SingularTriplets s = new BlockKrylovSvd().top(on, 6, 3)) {
                    assertTrue(s.certificate().converged(), "scale " + scale);
                    for (int i = 0; i < 6; i++) {
                        assertEquals(t.values()[i], s.values()[i] / scale, 1e-4 * t.values()[0]);
                    }
                    Reference.of(t.vt()).assertNear("V at scale " + scale, Reference.of(s.vt()), 0.02);
                }
            }
        }
    }

    @Test
    void theSameSeedGivesTheSameBitsAndAnotherOtherOnes() {
        DataType type = DataType.FLOAT32;
        try (Matrix g = matrix(140, 120, type, i -> 1 / Math.sqrt(i + 1)).on(device, type); SingularTriplets a = new BlockKrylovSvd().top(g, 6, 5);
                SingularTriplets b = new BlockKrylovSvd().top(g, 6, 5); SingularTriplets c = new BlockKrylovSvd().top(g, 6, 6)) {
            assertArrayEquals(a.u().read(), b.u().read());
            assertArrayEquals(a.vt().read(), b.vt().read());
            assertArrayEquals(a.values(), b.values());
            assertFalse(java.util.Arrays.equals(a.vt().read(), c.vt().read()));
        }
    }

    @Test
    void missingTheToleranceIsReported() {
        DataType type = DataType.FLOAT64;
        try (Matrix g = matrix(200, 200, type, i -> 1 - i * 1e-3).on(device, type); SingularTriplets t = new BlockKrylovSvd(1e-12, 1).top(g, 4, 0)) {
            assertFalse(t.certificate().converged());
            assertTrue(t.certificate().largestResidual() > 1e-12);
        }
    }

    @Test
    void readsTheMatrixOnceAStepAndLeavesNothingBehind() {
        DataType type = DataType.FLOAT32;
        Reference g = matrix(120, 160, type, i -> Math.pow(0.5, i));
        try (Matrix on = g.on(device, type)) {
            new BlockKrylovSvd().top(on, 3, 0).close(); // the device's own workspace is there now
            var before = device.counters();
            try (SingularTriplets t = new BlockKrylovSvd().top(on, 3, 0)) {
                var work = device.counters().since(before);
                assertEquals(t.certificate().steps() + 1, work.calls(Call.POWER_STEP), "one more for U and the residuals");
                assertEquals(2 * work.calls(Call.POWER_STEP), t.certificate().products());
                assertEquals(0, work.calls(Call.SVD));
            }
            assertEquals(before.currentBytes(), device.counters().currentBytes());
            assertArrayEquals(g.on(device, type).read(), on.read(), "not modified");
        }
    }

    @Test
    void badInputIsRefusedAndNothingIsLeftBehind() {
        DataType type = DataType.FLOAT32;
        try (Matrix g = matrix(100, 100, type, i -> 1.0 / (i + 1)).on(device, type)) {
            new BlockKrylovSvd().top(g, 4, 0).close(); // the device's own workspace is there now
            long held = device.counters().currentBytes();
            for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
                g.view(7, 8, 9, 10).write(bad);
                String message = assertThrows(IllegalArgumentException.class, () -> new BlockKrylovSvd().top(g, 4, 0)).getMessage();
                assertTrue(message.contains(String.valueOf(bad)), message);
            }
            assertThrows(IllegalArgumentException.class, () -> new BlockKrylovSvd().top(g, 0, 0));
            assertThrows(IllegalArgumentException.class, () -> new BlockKrylovSvd().top(g, 101, 0));
            assertEquals(held, device.counters().currentBytes());
        }
        assertThrows(IllegalArgumentException.class, () -> new BlockKrylovSvd(0, 1));
        assertThrows(IllegalArgumentException.class, () -> new BlockKrylovSvd(Double.NaN, 1));
        assertThrows(IllegalArgumentException.class, () -> new BlockKrylovSvd(1e-3, 0));
    }
}
