package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.DeviceTest;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.svd.BlockKrylovSvd;
import org.lora4j.svd.SingularTriplets;

/** The scale that limits the shift, and the figures of every start against their closed forms and their definitions. */
class MaxShiftTest extends DeviceTest {
    private static final int[][] SHAPES = {{2, 2, 1}, {13, 9, 2}, {9, 31, 4}, {33, 33, 16}, {64, 48, 8}};

    private LoraLinear layer(DataType type, int[] s, Scaling scaling, Reference w) {
        LoraLinear layer = new LoraLinear(device, new LoraConfig(s[2], 16, scaling), type, s[0], s[1], false, 1);
        layer.weight().write(w.data());
        return layer;
    }

    /** η·B0·A0 of what the layer holds. */
    private static Reference moved(LoraLinear layer) {
        return Reference.of(layer.loraB()).times(Reference.of(layer.loraA())).times(layer.config().eta());
    }

    /** How far ‖η·B0·A0‖ of stored factors is from that of exact ones: their vectors' errors and roundings. */
    private static double tolerance(DataType type) {
        return 64 * type.unitRoundoff();
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void theShiftIsTheFractionWhereItBindsAndTheStableOneElsewhere(DataType type) {
        int bound = 0;
        for (int[] s : SHAPES) {
            for (Scaling scaling : Scaling.values()) {
                Random random = new Random(1);
                Reference data = Reference.random(s[0], s[1], type, random);
                try (Matrix g = Reference.random(s[0], s[1], type, random).on(device, type)) {
                    for (double fraction : new double[] {1e-3, 0.02, 0.5, 1e3}) {
                        try (LoraLinear layer = layer(type, s, scaling, data); LoraLinear stable = layer(type, s, scaling, data)) {
                            Reference w = Reference.of(layer.weight());
                            Initialization start = LoraGa.of(g).withScale(new Scale.MaxShift(fraction)).initialize(layer);
                            Initialization free = LoraGa.of(g).initialize(stable);
                            String what = s[0] + "×" + s[1] + " " + scaling + " fraction " + fraction;
                            double shift = moved(layer).norm() / w.norm();
                            assertEquals(shift, start.shift(), tolerance(type) * shift, what);
                            assertTrue(start.shift() <= fraction * (1 + 1e-12), what);
                            assertTrue(start.scale() <= free.scale(), what);
                            if (free.shift() > fraction) {
                                assertEquals(fraction, start.shift(), 1e-12 * fraction, what);
                                bound++;
                            } else {
                                assertEquals(free.scale(), start.scale(), what);
                                assertArrayEquals(stable.loraA().read(), layer.loraA().read(), what);
                                assertArrayEquals(stable.loraB().read(), layer.loraB().read(), what);
                                assertArrayEquals(stable.weight().read(), layer.weight().read(), what);
                            }
                            ModelTest.assertKeepsWeight(what, w, type, Reference.of(layer.weight()), layer.config().eta(),
                                    Reference.of(layer.loraB()), Reference.of(layer.loraA()));
                        }
                    }
                }
            }
        }
        assertTrue(bound > 10 && bound < SHAPES.length * 8 - 10, "both branches: " + bound);
    }

    /** c, γ, ζ and the moments belong together for every scale, and are what A0 and B0 have. */
    @ParameterizedTest
    @EnumSource(Scaling.class)
    void theFiguresOfLoraGaAreTheirClosedForms(Scaling scaling) {
        DataType type = DataType.FLOAT64;
        List<Scale> scales = List.of(Scale.stable(), new Scale.Stable(3), new Scale.Forward(2), new Scale.Backward(2), new Scale.GradientDescent(),
                new Scale.Unit(), new Scale.WeightSvd(), new Scale.MaxShift(0.01), new Scale.MaxShift(1e6));
        for (int[] s : SHAPES) {
            Random random = new Random(2);
            Reference w = Reference.random(s[0], s[1], type, random);
            try (Matrix g = Reference.random(s[0], s[1], type, random).on(device, type)) {
                for (Scale scale : scales) {
                    try (LoraLinear layer = layer(type, s, scaling, w)) {
                        Initialization start = LoraGa.of(g).withScale(scale).initialize(layer);
                        double eta = layer.config().eta();
                        double c = Reference.of(layer.loraA()).rows(0, 1).norm();
                        near(c, start.scale());
                        near(Math.sqrt(s[0]) / (c * c), start.gamma());
                        near(eta * eta * c * c, start.zeta());
                        near(eta * eta * Math.pow(c, 4) * s[2] / s[0], start.forwardMoment());
                        near(eta * eta * Math.pow(c, 4) * s[2] / s[1], start.backwardMoment());
                        near(moved(layer).dot(moved(layer)) / s[0], start.forwardMoment());
                        near(eta * c * c * Math.sqrt(s[2]) / w.norm(), start.shift());
                        near(moved(layer).norm() / w.norm(), start.shift());
                        if (scale instanceof Scale.Stable stable) {
                            near(stable.gamma(), start.gamma());
                            near(eta * eta * Math.sqrt(s[0]) / stable.gamma(), start.zeta());
                        }
                    }
                }
            }
        }
    }

    private static void near(double expected, double actual) {
        assertEquals(expected, actual, 1e-9 * Math.abs(expected));
    }

    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT32", "FLOAT64"})
    void theOtherStartsGiveTheirShiftAndNoGamma(DataType type) {
        int[] s = {24, 17, 3};
        Random random = new Random(3);
        Reference w = Reference.random(s[0], s[1], type, random);
        Matrix g = Reference.random(s[0], s[1], type, random).on(device, type);
        List<Initializer> all = List.of(PlainLora.kaimingUniform(1), new Pissa(), new Olora(), PeftLoraGa.of(g),
                new PreFilled(Reference.random(3, 17, type, random).on(device, type), Reference.random(24, 3, type, random).on(device, type)));
        for (Initializer initializer : all) {
            try (LoraLinear layer = layer(type, s, Scaling.STANDARD, w)) {
                Initialization start = initializer.initialize(layer);
                double shift = moved(layer).norm() / w.norm();
                assertEquals(shift, start.shift(), tolerance(type) * shift, start.method());
                assertEquals(initializer instanceof PlainLora, start.shift() == 0, start.method());
                assertTrue(Double.isNaN(start.scale()) && Double.isNaN(start.gamma()) && Double.isNaN(start.zeta()), start.method());
                boolean decomposed = initializer instanceof Pissa || initializer instanceof PeftLoraGa;
                assertEquals(decomposed, start.certificate() != null, start.method());
                assertEquals(decomposed, start.svdSeconds() > 0, start.method());
                assertEquals(decomposed ? start.certificate().residuals().length : 0, start.singularValues().length, start.method());
            }
        }
        try (LoraLinear zeros = layer(type, s, Scaling.STANDARD, Reference.zeros(24, 17))) {
            assertEquals(0, PlainLora.kaimingUniform(1).initialize(zeros).shift());
            assertEquals(Double.POSITIVE_INFINITY, LoraGa.of(g).initialize(zeros).shift());
        }
    }

    /** A second start is measured by the effective weight, which the first has left as it was, and not by the frozen one. */
    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT32", "FLOAT64"})
    void theShiftOfASecondStartIsOfTheEffectiveWeight(DataType type) {
        int[] s = {40, 30, 4};
        Random random = new Random(4);
        Reference w = Reference.random(s[0], s[1], type, random);
        try (Matrix g = Reference.random(s[0], s[1], type, random).on(device, type); LoraLinear layer = layer(type, s, Scaling.STANDARD, w)) {
            LoraGa.of(g).withScale(new Scale.GradientDescent()).initialize(layer);
            new PreFilled(Reference.random(4, 30, type, random).on(device, type), Reference.random(40, 4, type, random).on(device, type)).initialize(layer);
            assertTrue(Reference.of(layer.weight()).norm() > 2 * w.norm(), "the frozen weight is another one");
            Initialization start = LoraGa.of(g).withScale(new Scale.MaxShift(0.01)).initialize(layer);
            assertEquals(0.01, start.shift(), 1e-15);
            assertEquals(0.01, moved(layer).norm() / w.norm(), 1e4 * type.unitRoundoff() * 0.01);
        }
    }

    @Test
    void aWeightOfZerosAndABadFractionAreRefused() {
        int[] s = {6, 10, 3};
        Matrix g = Reference.random(6, 10, DataType.FLOAT32, new Random(5)).on(device, DataType.FLOAT32);
        try (LoraLinear layer = layer(DataType.FLOAT32, s, Scaling.STANDARD, Reference.zeros(6, 10))) {
            var before = device.counters();
            Runnable refused = () -> assertThrows(IllegalArgumentException.class, () -> LoraGa.of(g).withScale(new Scale.MaxShift(0.1)).initialize(layer));
            ModelTest.assertHoldsTheSame(device, "a refusal", refused);
            String message = assertThrows(IllegalArgumentException.class,
                    () -> LoraGa.of(g).withScale(new Scale.MaxShift(0.1)).initialize(layer)).getMessage();
            assertTrue(message.contains("zeros") && message.contains("max-shift"), message);
            assertEquals(0, device.counters().since(before).calls(Call.GEMM) + device.counters().since(before).calls(Call.SVD), "before any work");
        }
        for (double bad : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            String message = assertThrows(IllegalArgumentException.class, () -> new Scale.MaxShift(bad)).getMessage();
            assertTrue(message.contains("fraction " + bad), message);
        }
    }

    /** The certificate is the SVD's own, and ‖W'‖ comes from the pass that looks for a NaN. */
    @Test
    void theCertificateIsTheSvdsAndTheNormCostsNoPass() {
        DataType type = DataType.FLOAT32;
        int[] s = {200, 150, 2};
        Random random = new Random(6);
        Reference w = Reference.random(s[0], s[1], type, random);
        try (Matrix g = Reference.random(s[0], s[1], type, random).on(device, type); LoraLinear layer = layer(type, s, Scaling.STANDARD, w)) {
            var before = device.counters();
            long begun = System.nanoTime();
            SingularTriplets own = new BlockKrylovSvd().top(g, 4, 0);
            long passes = device.counters().since(before).calls(Call.ELEMENTWISE);
            var atStart = device.counters();
            Initialization start = LoraGa.of(g).initialize(layer);
            double most = (System.nanoTime() - begun) * 1e-9;
            assertArrayEquals(own.certificate().residuals(), start.certificate().residuals());
            assertEquals(own.certificate().steps(), start.certificate().steps());
            assertEquals(own.certificate().products(), start.certificate().products());
            assertEquals(own.certificate().capturedEnergy(), start.certificate().capturedEnergy());
            assertTrue(start.certificate().steps() > 0 && start.svdSeconds() > 0 && start.svdSeconds() < most);
            assertEquals(passes + 4, device.counters().since(atStart).calls(Call.ELEMENTWISE), "G and W once each, A0 and B0 scaled");
            own.close();
        }
    }
}
