package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.LayerReference;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.gradient.FactoredGradient;
import org.lora4j.svd.ExactSvd;

/**
 * Starts of layers of 16 bits: A0 and B0 are those of a float32 layer with the same weight and gradient, to the bit, rounded
 * when they go in; the effective weight stays W0 to one rounding of the frozen weight (O1).
 */
class NarrowStartTest extends DeviceTest {
    private static final int[][] SHAPES = {{2, 2, 1}, {13, 9, 2}, {9, 31, 4}, {64, 48, 8}, {150, 140, 4}};

    /** Every initialiser, made for a gradient of the type given. */
    private static Map<String, Function<Matrix, Initializer>> initializers() {
        Map<String, Function<Matrix, Initializer>> all = new LinkedHashMap<>();
        all.put("lora-ga", LoraGa::of);
        all.put("lora-ga, exact", g -> LoraGa.of(g).withSvd(new ExactSvd()).withDirection(Direction.RANDOM).withScale(new Scale.GradientDescent()));
        all.put("lora-ga, weight-svd", g -> LoraGa.of(g).withScale(new Scale.WeightSvd()));
        all.put("peft-lora-ga", PeftLoraGa::of);
        all.put("pissa", g -> new Pissa());
        all.put("olora", g -> new Olora());
        all.put("kaiming", g -> PlainLora.kaimingUniform(5));
        all.put("gaussian", g -> PlainLora.gaussian(5));
        return all;
    }

    private LoraLinear layer(DataType type, Reference w, int r) {
        LoraLinear layer = new LoraLinear(device, new LoraConfig(r, 16, Scaling.RANK_STABILISED), type, w.rows(), w.cols(), false, 1);
        try (Matrix on = w.on(device, type)) {
            layer.load(on);
        }
        return layer;
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void startsAreTheRoundedOnesOfFloat32AndKeepTheWeight(DataType type) {
        for (int[] s : SHAPES) {
            Random random = new Random(3);
            Reference w = Reference.random(s[0], s[1], type, random);
            Reference g = Reference.random(s[0], s[1], type, random);
            initializers().forEach((name, initializer) -> {
                String what = name + " " + type + " " + s[0] + "×" + s[1] + " r " + s[2];
                try (Matrix narrow = g.on(device, type); Matrix wide = g.on(device, DataType.FLOAT32); LoraLinear model = layer(DataType.FLOAT32, w, s[2])) {
                    Initialization expected = initializer.apply(wide).initialize(model);
                    for (Matrix gradient : new Matrix[] {narrow, wide}) {
                        try (LoraLinear layer = layer(type, w, s[2])) {
                            Initialization start = initializer.apply(gradient).initialize(layer);
                            assertArrayEquals(Reference.of(model.loraA()).rounded(type).data(), layer.loraA().read(), what + ": A0");
                            assertArrayEquals(Reference.of(model.loraB()).rounded(type).data(), layer.loraB().read(), what + ": B0");
                            assertArrayEquals(expected.singularValues(), start.singularValues(), what);
                            assertEquals(expected.scale(), start.scale(), what);
                            assertEquals(expected.zeta(), start.zeta(), what);
                            assertEquals(expected.forwardMoment(), start.forwardMoment(), what);
                            assertKept(what, w, layer);
                        }
                    }
                    assertArrayEquals(g.data(), narrow.read(), what + ": the gradient is not modified");
                }
            });
        }
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void startsLeaveNothingBehind(DataType type) {
        Reference w = Reference.random(13, 9, type, new Random(3));
        try (Matrix g = w.times(2).on(device, type); LoraLinear layer = layer(type, w, 2)) {
            initializers().forEach((name, initializer) -> assertLeavesNothing(name, () -> initializer.apply(g).initialize(layer)));
        }
    }

    /** O1: W_fz is W0 − η·B0·A0 of what is stored, rounded once; in float32 the effective weight is off W0 by that rounding alone. */
    private void assertKept(String what, Reference w, LoraLinear layer) {
        DataType type = layer.type();
        LayerReference stored = new LayerReference(layer.config(), w, null, Reference.of(layer.loraA()), Reference.of(layer.loraB()));
        Reference frozen = w.plus(-layer.config().eta(), stored.b().times(stored.a()));
        Reference scale = stored.magnitudes().effectiveWeight();
        int k = layer.config().rank() + 1;
        frozen.assertClose(what + ": W_fz", Reference.of(layer.weight()), type, k, scale);
        Reference off = frozen.stored(type, k, scale, Reference.zeros(w.rows(), w.cols()));
        for (DataType out : new DataType[] {DataType.FLOAT32, type}) {
            try (Matrix effective = device.allocate(out, w.rows(), w.cols())) {
                layer.effectiveWeight(effective);
                w.assertClose(what + ": W' in " + out, Reference.of(effective), out, k, scale, off);
            }
        }
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void factorsOfEitherTypeArePrefilled(DataType type) {
        Random random = new Random(4);
        Reference w = Reference.random(13, 9, type, random);
        Reference a0 = Reference.random(2, 9, DataType.FLOAT32, random);
        Reference b0 = Reference.random(13, 2, type, random);
        try (LoraLinear layer = layer(type, w, 2); Matrix a = a0.on(device, DataType.FLOAT32); Matrix b = b0.on(device, type)) {
            new PreFilled(a, b).initialize(layer);
            assertArrayEquals(a0.rounded(type).data(), layer.loraA().read());
            assertArrayEquals(b0.data(), layer.loraB().read());
            assertKept("pre-filled", w, layer);
            new PreFilled(a0.on(device, type), b0.on(device, DataType.FLOAT32)).initialize(layer);
            assertArrayEquals(a0.rounded(type).data(), layer.loraA().read());
        }
    }

    /** A gradient that was never a matrix has no 16 bits, the layer may. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void aFactoredGradientStartsALayerOf16Bits(DataType type) {
        Random random = new Random(12);
        Reference w = Reference.random(30, 24, type, random);
        try (FactoredGradient factored = new FactoredGradient(device, DataType.FLOAT32, 30, 24, 9);
                Matrix x = Reference.random(9, 24, type, random).on(device, DataType.FLOAT32);
                Matrix dy = Reference.random(9, 30, type, random).on(device, DataType.FLOAT32); LoraLinear model = layer(DataType.FLOAT32, w, 3);
                LoraLinear layer = layer(type, w, 3)) {
            factored.add(x, dy);
            LoraGa.of(factored).initialize(model);
            LoraGa.of(factored).initialize(layer);
            assertArrayEquals(Reference.of(model.loraA()).rounded(type).data(), layer.loraA().read());
            assertArrayEquals(Reference.of(model.loraB()).rounded(type).data(), layer.loraB().read());
            assertKept("factored", w, layer);
        }
    }

    /** A second start takes the first one's adapter off W', which is rounded then: three roundings in all. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void aSecondStartKeepsTheWeightToo(DataType type) {
        Random random = new Random(5);
        Reference w = Reference.random(13, 9, type, random);
        try (LoraLinear layer = layer(type, w, 2); Matrix g = Reference.random(13, 9, type, random).on(device, type)) {
            Reference off = Reference.zeros(13, 9);
            LayerReference before = null;
            for (Initializer initializer : new Initializer[] {LoraGa.of(g), new Olora(), new Pissa()}) {
                Reference whole = before == null ? off : w.stored(type, 3, before.magnitudes().effectiveWeight(), off);
                initializer.initialize(layer);
                before = new LayerReference(layer.config(), w, null, Reference.of(layer.loraA()), Reference.of(layer.loraB()));
                Reference scale = before.magnitudes().effectiveWeight();
                off = w.plus(-layer.config().eta(), before.b().times(before.a())).stored(type, 3, scale, whole);
                try (Matrix effective = device.allocate(DataType.FLOAT32, 13, 9)) {
                    layer.effectiveWeight(effective);
                    w.assertClose(initializer.toString(), Reference.of(effective), DataType.FLOAT32, 3, scale, off);
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void gradientsAndFactorsOfAnotherTypeAreRefusedByName(DataType type) {
        Reference w = Reference.random(13, 9, type, new Random(6));
        try (LoraLinear layer = layer(type, w, 2)) {
            for (DataType wrong : new DataType[] {DataType.FLOAT64, Types.otherNarrow(type)}) {
                Matrix g = w.rounded(wrong).on(device, wrong);
                Matrix a = device.allocate(wrong, 2, 9);
                Matrix b = device.allocate(wrong, 13, 2);
                for (Initializer bad : new Initializer[] {LoraGa.of(g), PeftLoraGa.of(g), new PreFilled(a, device.allocate(type, 13, 2)),
                    new PreFilled(device.allocate(type, 2, 9), b)}) {
                    String message = assertThrows(IllegalArgumentException.class, () -> bad.initialize(layer)).getMessage();
                    assertTrue(message.contains(wrong.toString()) && message.contains(type.toString()), message);
                    assertArrayEquals(w.data(), layer.weight().read());
                }
            }
        }
    }
}
