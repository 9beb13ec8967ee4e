package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Bad input is refused with the value in the message, before any product or factorisation, and the layer stays as it was. */
class InitializerInputTest extends DeviceTest {
    private static final DataType TYPE = DataType.FLOAT32;

    private LoraLinear layer; // 6×10, rank 3
    private Matrix gradient;

    @BeforeEach
    void open() {
        layer = new LoraLinear(device, new LoraConfig(3, 16, Scaling.STANDARD), TYPE, 6, 10, false, 1);
        Random random = new Random(1);
        layer.load(Reference.random(6, 10, TYPE, random).on(device, TYPE));
        gradient = Reference.random(6, 10, TYPE, random).on(device, TYPE);
    }

    private void assertRefused(Initializer initializer, LoraLinear of, String... words) {
        double[] weight = of.weight().read();
        assertThrows(IllegalArgumentException.class, () -> initializer.initialize(of)); // the device's own workspace is there now
        var before = device.counters();
        String message = assertThrows(IllegalArgumentException.class, () -> initializer.initialize(of)).getMessage();
        var work = device.counters().since(before);
        for (String word : words) {
            assertTrue(message.contains(word), "\"" + message + "\" should contain \"" + word + "\"");
        }
        assertEquals(0, work.calls(Call.GEMM) + work.calls(Call.SVD) + work.calls(Call.QR) + work.calls(Call.COPY), "native work before the check");
        assertArrayEquals(weight, of.weight().read());
        assertEquals(before.currentBytes(), device.counters().currentBytes());
    }

    @Test
    void aGradientThatIsNotFiniteOrZeroIsRefused() {
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
            gradient.view(5, 6, 9, 10).write(bad);
            assertRefused(LoraGa.of(gradient), layer, "gradient", String.valueOf(bad));
            assertRefused(PeftLoraGa.of(gradient), layer, "gradient", String.valueOf(bad));
        }
        device.fill(gradient, 0);
        assertRefused(LoraGa.of(gradient), layer, "gradient", "zero");
        assertRefused(PeftLoraGa.of(gradient), layer, "gradient", "zero");
    }

    @Test
    void aWeightThatIsNotFiniteIsRefused() {
        layer.weight().view(2, 3, 4, 5).write(Double.NaN);
        Matrix a = device.allocate(TYPE, 3, 10);
        Matrix b = device.allocate(TYPE, 6, 3);
        for (Initializer i : List.of(LoraGa.of(gradient), PeftLoraGa.of(gradient), PlainLora.kaimingUniform(1), PlainLora.gaussian(1), new Pissa(),
                new Olora(), new PreFilled(a, b))) {
            assertRefused(i, layer, "weight", "NaN");
        }
    }

    @Test
    void aWeightOfZerosHasNoPrincipalPart() {
        device.fill(layer.weight(), 0);
        var zero = assertThrows(IllegalArgumentException.class, () -> new Pissa().initialize(layer));
        assertTrue(zero.getMessage().contains("zeros"));
        assertThrows(IllegalArgumentException.class, () -> LoraGa.of(gradient).withScale(new Scale.WeightSvd()).initialize(layer));
        assertThrows(NullPointerException.class, () -> new PreFilled(null, gradient));
    }

    @Test
    void shapesThatDisagreeAreBothNamed() {
        Matrix transposed = device.allocate(TYPE, 10, 6);
        device.fill(transposed, 1);
        assertRefused(LoraGa.of(transposed), layer, "10×6", "6×10");
        assertRefused(PeftLoraGa.of(transposed), layer, "10×6", "6×10");
        Matrix doubles = device.allocate(DataType.FLOAT64, 6, 10);
        assertRefused(LoraGa.of(doubles), layer, "FLOAT64", "FLOAT32");
        Matrix a = device.allocate(TYPE, 3, 10);
        Matrix b = device.allocate(TYPE, 6, 3);
        assertRefused(new PreFilled(b, b), layer, "a0", "6×3", "3×10");
        assertRefused(new PreFilled(a, a), layer, "b0", "3×10", "6×3");
        a.view(0, 1, 0, 1).write(Double.NaN);
        assertRefused(new PreFilled(a, b), layer, "a0", "NaN");
        try (Device other = opener.get(); Matrix foreign = other.allocate(TYPE, 6, 10)) {
            assertRefused(LoraGa.of(foreign), layer, "device");
        }
    }

    @Test
    void aRankOutOfRangeIsRefused() {
        assertTrue(assertThrows(IllegalArgumentException.class, () -> new LoraConfig(0, 1, Scaling.STANDARD)).getMessage().contains("rank 0"));
        LoraLinear four = new LoraLinear(device, new LoraConfig(4, 16, Scaling.STANDARD), TYPE, 6, 10, false, 1);
        assertRefused(LoraGa.of(gradient), four, "rank 4", "6×10", "at most 3");
        assertRefused(PeftLoraGa.of(gradient), four, "rank 4", "6×10", "at most 3");
        LoraLinear seven = new LoraLinear(device, new LoraConfig(7, 16, Scaling.STANDARD), TYPE, 6, 10, false, 1);
        assertRefused(new Pissa(), seven, "rank 7", "at most 6");
        assertRefused(new Olora(), seven, "rank 7", "at most 6");
    }

    @Test
    void alphaGammaAndMomentsMustBePositive() {
        for (double bad : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            String value = String.valueOf(bad);
            for (org.junit.jupiter.api.function.Executable make : List.<org.junit.jupiter.api.function.Executable>of(
                    () -> new LoraConfig(1, bad, Scaling.STANDARD), () -> new Scale.Stable(bad), () -> new Scale.Forward(bad),
                    () -> new Scale.Backward(bad),
                    () -> new PeftLoraGa(gradient, Direction.AR_B2R, PeftLoraGa.PeftScale.STABLE, bad, 0, new org.lora4j.svd.ExactSvd()))) {
                assertTrue(assertThrows(IllegalArgumentException.class, make).getMessage().contains(value));
            }
        }
    }

    @Test
    void aMergedLayerIsRefused() {
        layer.merge();
        for (Initializer i : List.of(LoraGa.of(gradient), PeftLoraGa.of(gradient), PlainLora.kaimingUniform(1), new Pissa(), new Olora())) {
            assertTrue(assertThrows(IllegalStateException.class, () -> i.initialize(layer)).getMessage().contains("merged"));
        }
    }

    @Test
    void anInitialisationLeavesNoMemoryBehind() {
        for (Initializer i : List.of(LoraGa.of(gradient), LoraGa.of(gradient).withScale(new Scale.WeightSvd()), PeftLoraGa.of(gradient),
                PlainLora.kaimingUniform(1), new Pissa(), new Olora())) {
            assertLeavesNothing(i.toString(), () -> i.initialize(layer));
        }
    }

    @Test
    void theFirstStartOfAFreshLayerIsOneProductBesideTheSvdsOwn() {
        var start = device.counters();
        new org.lora4j.svd.ExactSvd().top(gradient, 6, 0).close();
        var own = device.counters().since(start);
        var before = device.counters();
        LoraGa.of(gradient).withSvd(new org.lora4j.svd.ExactSvd()).initialize(layer);
        var work = device.counters().since(before);
        assertEquals(own.calls(Call.GEMM) + 1, work.calls(Call.GEMM), "W_fz");
        assertEquals(1, work.calls(Call.SVD));
        assertEquals(6 * 6 * 4, work.bytesIn(), "the singular values, for the residuals");
        assertEquals(6 * 4, work.bytesOut(), "the singular values alone go to the host");
    }
}
