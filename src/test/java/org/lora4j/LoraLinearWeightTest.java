package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;

/** A layer's weight: loading, pre-filling the adapter (O1), merging and unmerging. */
class LoraLinearWeightTest extends DeviceTest {
    /** m, n, r. */
    private static final int[][] SHAPES = {{1, 1, 1}, {7, 11, 2}, {13, 4, 1}, {16, 16, 8}, {5, 3, 4}, {127, 65, 13}};

    final Random random = new Random(5);

    private LayerReference random(int[] shape, Scaling scaling, DataType type) {
        return LayerReference.random(new LoraConfig(shape[2], 8, scaling), shape[0], shape[1], true, type, random);
    }

    private Matrix effectiveWeight(LoraLinear layer) {
        Framed out = Framed.nan(device, layer.type(), layer.outFeatures(), layer.inFeatures());
        layer.effectiveWeight(out.inside());
        out.assertFrameUnchanged("effectiveWeight");
        return out.inside();
    }

    /** W_fz = W − ηBA and W_fz + ηBA are each rounded: r + 1 terms twice. */
    private static Reference scale(Reference w0, LayerReference... adapters) {
        Reference sum = w0.magnitudes();
        for (LayerReference l : adapters) {
            sum = sum.plus(l.config().eta(), l.magnitudes().b().times(l.magnitudes().a()));
        }
        return sum;
    }

    // ---- load

    @ParameterizedTest
    @EnumSource(DataType.class)
    void aNewLayerIsZero(DataType type) {
        LoraLinear layer = new LoraLinear(device, new LoraConfig(2, 4, Scaling.STANDARD), type, 3, 5, true, 4);
        for (Matrix m : new Matrix[] {layer.weight(), layer.bias(), layer.loraA(), layer.loraB(), layer.gradA(), layer.gradB()}) {
            assertTrue(Arrays.stream(m.read()).allMatch(x -> x == 0));
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void loadTakesAMatrixOrPitchedHostMemoryAndResetsTheAdapter(DataType type) {
        for (boolean fromMatrix : new boolean[] {true, false}) {
            LayerReference reference = random(new int[] {3, 5, 2}, Scaling.STANDARD, type);
            LoraLinear layer = reference.on(device, type, 4);
            Reference w0 = Reference.random(3, 5, type, random);
            if (fromMatrix) {
                layer.load(Framed.of(device, type, w0).inside());
            } else {
                MemorySegment host = MemorySegment.ofArray(new double[3 * 7]);
                for (int i = 0; i < 15; i++) {
                    int index = i / 5 * 7 + i % 5;
                    if (type == DataType.FLOAT32) {
                        host.set(ValueLayout.JAVA_FLOAT_UNALIGNED, index * 4L, (float) w0.data()[i]);
                    } else {
                        host.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, index * 8L, w0.data()[i]);
                    }
                }
                layer.load(host, 7);
            }
            assertArrayEquals(w0.data(), layer.weight().read());
            assertArrayEquals(w0.data(), effectiveWeight(layer).read());
            assertArrayEquals(new double[10], layer.loraA().read());
            assertArrayEquals(new double[6], layer.loraB().read());
            assertArrayEquals(reference.bias().data(), layer.bias().read(), "the bias stays");
        }
    }

    @Test
    void loadResetsWhatWasWrittenThroughEarlierViewsOfAAndB() {
        LoraLinear layer = random(new int[] {3, 5, 2}, Scaling.STANDARD, DataType.FLOAT64).on(device, DataType.FLOAT64, 4);
        Matrix a = layer.loraA();
        Matrix b = layer.loraB();
        Matrix w0 = Reference.random(3, 5, DataType.FLOAT64, random).on(device, DataType.FLOAT64);
        layer.load(w0);
        device.fill(a, 1);
        device.fill(b, 1);
        layer.load(w0);
        assertArrayEquals(w0.read(), effectiveWeight(layer).read());
        device.fill(a, 1);
        device.fill(b, 1);
        Reference before = Reference.of(effectiveWeight(layer));
        layer.prefill(device.allocate(DataType.FLOAT64, 2, 5), device.allocate(DataType.FLOAT64, 3, 2));
        before.assertClose("prefill after writes through earlier views", Reference.of(effectiveWeight(layer)), DataType.FLOAT64, 6,
                before.magnitudes().plus(1, Reference.of(w0).magnitudes()));
    }

    // ---- effective weight and prefill

    @ParameterizedTest
    @EnumSource(DataType.class)
    void effectiveWeightIsTheFrozenPlusTheAdapters(DataType type) {
        for (int[] shape : SHAPES) {
            for (Scaling scaling : Scaling.values()) {
                LayerReference reference = random(shape, scaling, type);
                try (LoraLinear layer = reference.on(device, type, 1)) {
                    reference.effectiveWeight().assertClose("W'", Reference.of(effectiveWeight(layer)), type, shape[2] + 2,
                            scale(reference.weight(), reference));
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void prefillKeepsTheEffectiveWeightHoweverOften(DataType type) {
        for (int[] shape : SHAPES) {
            for (Scaling scaling : Scaling.values()) {
                LayerReference first = random(shape, scaling, type);
                LayerReference second = random(shape, scaling, type);
                Reference w0 = first.weight();
                try (LoraLinear layer = first.on(device, type, 1)) {
                    layer.load(w0.on(device, type));
                    prefill(layer, first);
                    first.weight().assertClose("once", Reference.of(effectiveWeight(layer)), type, 2 * (shape[2] + 1), scale(w0, first));
                    first.weight().plus(-first.config().eta(), first.b().times(first.a())).assertClose("W_fz", Reference.of(layer.weight()), type,
                            shape[2] + 1, scale(w0, first));
                    prefill(layer, second);
                    first.weight().assertClose("twice", Reference.of(effectiveWeight(layer)), type, 4 * (shape[2] + 1),
                            scale(w0, first, first, second));
                    prefill(layer, second);
                    first.weight().assertClose("thrice", Reference.of(effectiveWeight(layer)), type, 6 * (shape[2] + 1),
                            scale(w0, first, first, second, second, second));
                }
            }
        }
    }

    private void prefill(LoraLinear layer, LayerReference start) {
        Matrix a0 = Framed.of(device, layer.type(), start.a()).inside();
        Matrix b0 = Framed.of(device, layer.type(), start.b()).inside();
        layer.prefill(a0, b0);
        assertArrayEquals(start.a().data(), layer.loraA().read());
        assertArrayEquals(start.b().data(), layer.loraB().read());
        assertArrayEquals(start.a().data(), a0.read(), "a0 is not modified");
        assertArrayEquals(start.b().data(), b0.read(), "b0 is not modified");
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void prefillKeepsTheEffectiveWeightOfATrainedLayer(DataType type) {
        int[] shape = {7, 11, 2};
        LayerReference trained = random(shape, Scaling.STANDARD, type);
        LayerReference start = random(shape, Scaling.STANDARD, type);
        LoraLinear layer = trained.on(device, type, 3);
        prefill(layer, start);
        trained.effectiveWeight().assertClose("W'", Reference.of(effectiveWeight(layer)), type, 3 * (shape[2] + 1),
                scale(trained.weight(), trained, start, start));
    }

    @Test
    void prefillWithTheLayersOwnFactorsKeepsTheEffectiveWeight() {
        DataType type = DataType.FLOAT64;
        LayerReference reference = random(new int[] {7, 11, 2}, Scaling.STANDARD, type);
        LayerReference other = random(new int[] {7, 11, 2}, Scaling.STANDARD, type);
        LoraLinear layer = reference.on(device, type, 3);
        Runnable[] calls = {() -> layer.prefill(layer.loraA(), layer.loraB()),
            () -> layer.prefill(other.a().on(device, type), layer.loraB()), () -> layer.prefill(layer.loraA(), other.b().on(device, type))};
        for (Runnable call : calls) {
            try {
                call.run();
            } catch (IllegalArgumentException refused) {
                // So may it be, as long as nothing has changed.
            }
            reference.effectiveWeight().assertClose("W'", Reference.of(effectiveWeight(layer)), type, 18,
                    scale(reference.weight(), reference, reference, other, other));
        }
    }

    // ---- merge

    @ParameterizedTest
    @EnumSource(DataType.class)
    void mergedForwardIsTheUnmergedOne(DataType type) {
        for (int[] shape : SHAPES) {
            for (boolean bias : new boolean[] {true, false}) {
                LayerReference reference = LayerReference.random(new LoraConfig(shape[2], 8, Scaling.STANDARD), shape[0], shape[1], bias, type, random);
                Reference x = Reference.random(9, shape[1], type, random);
                try (LoraLinear layer = reference.on(device, type, 9)) {
                    layer.forward(x.on(device, type), device.allocate(type, 9, shape[0])); // leaves T in the spare columns
                    layer.merge();
                    assertTrue(layer.isMerged());
                    reference.effectiveWeight().assertClose("W'", Reference.of(layer.weight()), type, shape[2] + 2,
                            scale(reference.weight(), reference));
                    assertArrayEquals(layer.weight().read(), effectiveWeight(layer).read());
                    layer.input(9).write(x.data());
                    for (Matrix place : new Matrix[] {layer.input(9), Framed.of(device, type, x).inside()}) {
                        Framed y = Framed.nan(device, type, 9, shape[0]);
                        layer.forward(place, y.inside());
                        reference.assertY("merged", y.inside(), type, x);
                        y.assertFrameUnchanged("merged");
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void unmergeRestoresTheWeightBitForBit(DataType type) {
        for (int[] shape : SHAPES) {
            LayerReference reference = random(shape, Scaling.RANK_STABILISED, type);
            try (LoraLinear layer = reference.on(device, type, 1)) {
                double[] frozen = layer.weight().read();
                long held = device.counters().currentBytes();
                for (int round = 0; round < 3; round++) {
                    layer.merge();
                    layer.unmerge();
                    assertFalse(layer.isMerged());
                    assertArrayEquals(frozen, layer.weight().read());
                    assertEquals(held, device.counters().currentBytes(), "the copy of the weight is freed");
                }
            }
        }
    }

    @Test
    void factorsWrittenWhileMergedCountAfterUnmerge() {
        DataType type = DataType.FLOAT64;
        LayerReference old = random(new int[] {7, 11, 2}, Scaling.STANDARD, type);
        LayerReference fresh = new LayerReference(old.config(), old.weight(), old.bias(), old.a().times(3), old.b().times(-2));
        LoraLinear layer = old.on(device, type, 4);
        Reference x = Reference.random(4, 11, type, random);
        Matrix dX = x.on(device, type);
        Matrix y = device.allocate(type, 4, 7);
        layer.merge();
        layer.loraA().write(fresh.a().data());
        layer.loraB().write(fresh.b().data());
        layer.forward(dX, y);
        old.assertY("merged", y, type, x);
        layer.unmerge();
        layer.forward(dX, y);
        fresh.assertY("unmerged", y, type, x);
    }

    @Test
    void whileMergedTheWeightIsNotTouched() {
        LoraLinear layer = random(new int[] {3, 5, 2}, Scaling.STANDARD, DataType.FLOAT32).on(device, DataType.FLOAT32, 4);
        Matrix x = layer.input(2);
        Matrix y = device.allocate(DataType.FLOAT32, 2, 3);
        Matrix w0 = device.allocate(DataType.FLOAT32, 3, 5);
        assertThrows(IllegalStateException.class, layer::unmerge);
        layer.forward(x, y);
        layer.merge();
        double[] merged = layer.weight().read();
        assertThrows(IllegalStateException.class, layer::merge);
        assertThrows(IllegalStateException.class, () -> layer.backward(x, y, null));
        assertThrows(IllegalStateException.class, () -> layer.load(w0));
        assertThrows(IllegalStateException.class, () -> layer.load(MemorySegment.ofArray(new float[15]), 5));
        assertThrows(IllegalStateException.class, () -> layer.prefill(device.allocate(DataType.FLOAT32, 2, 5), device.allocate(DataType.FLOAT32, 3, 2)));
        assertArrayEquals(merged, layer.weight().read());
        layer.unmerge();
        assertThrows(IllegalStateException.class, layer::unmerge);
    }
}
