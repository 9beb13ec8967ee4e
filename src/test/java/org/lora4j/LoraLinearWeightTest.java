package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;

/** A layer's weight: loading it, pre-filling the adapter (O1). */
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

    /** The sum of the magnitudes in W ± ηBA ± …. */
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
                layer.load(w0.inHostMemory(type, 7), 7);
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
                    Reference kept = w0.plus(-first.config().eta(), first.b().times(first.a()));
                    kept.assertClose("W_fz", Reference.of(layer.weight()), type, shape[2] + 1, scale(w0, first));
                    Reference off = prefilled(type, w0, null, first, none(w0));
                    w0.assertClose("once", Reference.of(effectiveWeight(layer)), type, 2 * (shape[2] + 1), scale(w0, first), off);
                    prefill(layer, second);
                    off = prefilled(type, w0, first, second, off);
                    w0.assertClose("twice", Reference.of(effectiveWeight(layer)), type, 4 * (shape[2] + 1), scale(w0, first, first, second), off);
                    prefill(layer, second);
                    off = prefilled(type, w0, second, second, off);
                    w0.assertClose("thrice", Reference.of(effectiveWeight(layer)), type, 6 * (shape[2] + 1),
                            scale(w0, first, first, second, second, second), off);
                }
            }
        }
    }

    /**
     * How far W_fz may be from W0 − η·B0·A0 after a prefill: it was stored once with the adapter that was there ({@code null}
     * for none), by then {@code off} from W0, and once without the new one.
     */
    private static Reference prefilled(DataType type, Reference w0, LayerReference old, LayerReference start, Reference off) {
        Reference whole = old == null ? off : w0.stored(type, start.a().rows() + 1, scale(w0, old), off);
        return w0.plus(-start.config().eta(), start.b().times(start.a())).stored(type, start.a().rows() + 1, scale(w0, start), whole);
    }

    private static Reference none(Reference w) {
        return Reference.zeros(w.rows(), w.cols());
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
        Reference whole = trained.effectiveWeight();
        Reference off = whole.stored(type, shape[2] + 1, scale(trained.weight(), trained), none(whole));
        off = prefilled(type, whole, null, start, off);
        whole.assertClose("W'", Reference.of(effectiveWeight(layer)), type, 3 * (shape[2] + 1), scale(trained.weight(), trained, start, start), off);
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
}
