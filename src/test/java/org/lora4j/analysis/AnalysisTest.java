package org.lora4j.analysis;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.LoraConfig;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.init.Scale;

/** Alignment against plain loops; scale stability (oracle O3) against its closed form. */
class AnalysisTest extends DeviceTest {
    @ParameterizedTest
    @EnumSource(DataType.class)
    void cosineAndResidualAreThoseOfPlainLoops(DataType type) {
        Random random = new Random(1);
        Reference g = Reference.random(11, 17, type, random);
        Reference a = Reference.random(3, 17, type, random);
        Reference b = Reference.random(11, 3, type, random);
        Reference d = g.times(a.transpose()).times(a).plus(1, b.times(b.transpose()).times(g));
        double eta = 1.5;
        double zeta = 20;
        double residual = d.times(eta * eta).plus(-zeta, g).norm() / (zeta * g.norm());
        try (Matrix gd = g.on(device, type); Matrix ad = a.on(device, type); Matrix bd = b.on(device, type)) {
            FirstOrderAlignment alignment = FirstOrderAlignment.of(gd, ad, bd);
            double tolerance = 4 * 2 * type.accumulation().unitRoundoff() * Math.sqrt(17 + 11) * 4; // four products, each O5
            assertEquals(d.dot(g) / (d.norm() * g.norm()), alignment.cosine(), tolerance);
            assertEquals(residual, alignment.residual(eta, zeta), tolerance * residual);
            assertEquals(1, FirstOrderAlignment.cosine(gd, gd), tolerance);
            if (type == DataType.FLOAT16) {
                return; // has no numbers that small
            }
            double tiny = type == DataType.FLOAT64 ? 0x1p-250 : 0x1p-60; // the product of two squared norms underflows
            try (Matrix small = g.times(tiny).on(device, type)) {
                assertEquals(alignment.cosine(), FirstOrderAlignment.of(small, ad, bd).cosine(), tolerance);
            }
        }
    }

    /** Converting 16 bits to float32 loses nothing: the same numbers of any type measure the same, to the bit. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void factorsAndGradientMayDifferInType(DataType type) {
        Random random = new Random(2);
        Reference g = Reference.random(11, 17, type, random);
        Reference a = Reference.random(3, 17, type, random);
        Reference b = Reference.random(11, 3, type, random);
        double expected = FirstOrderAlignment.of(g.on(device, DataType.FLOAT32), a.on(device, DataType.FLOAT32), b.on(device, DataType.FLOAT32)).cosine();
        for (int i = 0; i < 7; i++) {
            Matrix[] on = {g.on(device, i % 2 == 0 ? type : DataType.FLOAT32), a.on(device, i / 2 % 2 == 0 ? type : DataType.FLOAT32),
                b.on(device, i / 4 == 0 ? type : DataType.FLOAT32)};
            assertEquals(expected, FirstOrderAlignment.of(on[0], on[1], on[2]).cosine(), on[0] + ", " + on[1] + ", " + on[2]);
            assertArrayEquals(g.data(), on[0].read(), "not modified");
            assertLeavesNothing("an alignment", () -> FirstOrderAlignment.of(on[0], on[1], on[2]));
        }
    }

    @Test
    void aStartOfZerosHasNoDirection() {
        try (Matrix g = Reference.random(5, 4, DataType.FLOAT64, new Random(1)).on(device, DataType.FLOAT64);
                Matrix a = device.allocate(DataType.FLOAT64, 2, 4); Matrix b = device.allocate(DataType.FLOAT64, 5, 2)) {
            assertEquals(0, FirstOrderAlignment.of(g, a, b).cosine());
            assertEquals(1, FirstOrderAlignment.of(g, a, b).residual(2, 3));
        }
    }

    @Test
    void theOptimumIsWhatEckartAndYoungLeave() {
        assertEquals(Math.sqrt((4.0 + 1) / (16 + 9 + 4 + 1)), FirstOrderAlignment.optimum(new double[] {4, 3, 2, 1}, 2), 1e-15);
        assertEquals(0, FirstOrderAlignment.optimum(new double[] {4, 3}, 2));
        assertEquals(1, FirstOrderAlignment.optimum(new double[] {4, 3}, 0));
        assertEquals(0, FirstOrderAlignment.optimum(new double[] {0, 0}, 1));
    }

    /** With the stable scale and η = α/√r the forward moment is α²/γ² for every shape and rank. */
    @Test
    void measuredMomentsAreThePredictedOnes() {
        int samples = 2048;
        for (int[] s : new int[][] {{24, 24, 1}, {24, 60, 4}, {60, 24, 12}, {96, 96, 16}}) {
            int r = s[2];
            LoraConfig config = new LoraConfig(r, 12, Scaling.RANK_STABILISED);
            ScaleStability stability = ScaleStability.measure(device, s[0], s[1], config, new Scale.Stable(8), samples, 42);
            assertEquals(12.0 * 12 / (8 * 8), stability.forwardPredicted(), 1e-5);
            // y = c²η·U·z with r independent normal z a sample: the mean of r·samples squares has relative deviation √(2/(r·samples)).
            double five = 5 * Math.sqrt(2.0 / (r * samples));
            assertEquals(1, stability.forward() / stability.forwardPredicted(), five);
            assertEquals(1, stability.backward() / stability.backwardPredicted(), five);
            assertEquals(stability.forwardPredicted() * s[0] / s[1], stability.backwardPredicted(), 1e-5 * stability.backwardPredicted());
        }
        assertLeavesNothing("a measurement", () -> ScaleStability.measure(device, 9, 7, new LoraConfig(2, 12, Scaling.STANDARD), new Scale.Stable(8), 16, 1));
    }

    @Test
    void theForwardAndBackwardRulesGiveTheMomentAskedFor() {
        for (Scaling scaling : Scaling.values()) {
            LoraConfig config = new LoraConfig(4, 3, scaling);
            ScaleStability forward = ScaleStability.measure(device, 20, 50, config, new Scale.Forward(0.7), 16, 1);
            assertEquals(0.7, forward.forwardPredicted(), 1e-6);
            ScaleStability backward = ScaleStability.measure(device, 20, 50, config, new Scale.Backward(0.7), 16, 1);
            assertEquals(0.7, backward.backwardPredicted(), 1e-6);
            assertTrue(backward.forwardPredicted() > forward.forwardPredicted());
        }
    }
}
