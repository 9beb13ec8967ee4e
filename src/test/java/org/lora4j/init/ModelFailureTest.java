package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.junit.jupiter.api.Test;
import org.lora4j.LoraConfig;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;

/** A bad layer is named and the others are what they would be. */
class ModelFailureTest extends ModelTest {
    private static TensorSource changed(TensorSource source, TensorSource.Reader after) {
        return new TensorSource(source.type(), target -> {
            source.reader().read(target);
            after.read(target);
        });
    }

    /** Starts a model whose layers at {@code places} are bad; the others must be to the bit what they are without them. */
    private void assertNamed(List<ModelLayer> layers, List<Integer> places, String step, String... words) {
        Map<String, Kept> whole = start(LORA_GA, model());
        Map<String, Kept> kept = new HashMap<>();
        List<Boolean> told = new ArrayList<>();
        assertHoldsTheSame(device, "a model with bad layers", () -> assertThrows(IncompleteModelException.class, () -> start(LORA_GA, layers)));
        IncompleteModelException e = assertThrows(IncompleteModelException.class, () -> ModelInitializer.of(device, LORA_GA).withSeed(5)
                .withProgress(p -> told.add(p.started())).initialize(layers, start -> kept.put(start.name(), Kept.of(start))));
        ModelReport report = e.report();
        assertEquals(places, report.failures().stream().map(ModelReport.Failure::index).toList());
        assertEquals(List.of(), report.notReached());
        assertEquals(layers.size() - places.size(), kept.size());
        assertEquals(layers.size(), told.size());
        for (int i = 0; i < layers.size(); i++) {
            ModelLayer layer = layers.get(i);
            assertEquals(!places.contains(i), told.get(i));
            assertEquals(!places.contains(i), report.started().contains(layer.name()));
            if (!places.contains(i)) {
                kept.get(layer.name()).assertSame(whole.get(layer.name()));
            }
        }
        for (ModelReport.Failure failure : report.failures()) {
            assertEquals(layers.get(failure.index()).name(), failure.name());
            assertEquals(step, failure.step());
            assertTrue(e.getMessage().contains(failure.name()), e.getMessage());
            assertTrue(failure.cause() == e.getCause() || Arrays.asList(e.getSuppressed()).contains(failure.cause()));
        }
        for (String word : words) {
            assertTrue(e.getMessage().contains(word), "\"" + e.getMessage() + "\" should contain \"" + word + "\"");
        }
    }

    private List<ModelLayer> modelWith(int place, ModelLayer bad) {
        List<ModelLayer> layers = model();
        layers.set(place, bad);
        return layers;
    }

    @Test
    void aReaderThatThrowsIsNamed() {
        TensorSource broken = new TensorSource(TYPE, target -> {
            throw new IOException("disk on fire");
        });
        for (int place = 0; place < SHAPES.length; place++) {
            ModelLayer layer = layer(place);
            assertNamed(modelWith(place, with(layer, broken, layer.gradient())), List.of(place), "reading the weight", "disk on fire");
            assertNamed(modelWith(place, with(layer, layer.weight(), broken)), List.of(place), "reading the gradient", "disk on fire");
        }
    }

    @Test
    void aGradientOrWeightThatIsNoGoodIsNamed() {
        ModelLayer layer = layer(2);
        TensorSource nan = changed(layer.gradient(), target -> target.setAtIndex(ValueLayout.JAVA_FLOAT, 17, Float.NaN));
        assertNamed(modelWith(2, with(layer, layer.weight(), nan)), List.of(2), "starting", "gradient contains NaN");
        TensorSource infinite = changed(layer.weight(), target -> target.setAtIndex(ValueLayout.JAVA_FLOAT, 17, Float.NEGATIVE_INFINITY));
        assertNamed(modelWith(2, with(layer, infinite, layer.gradient())), List.of(2), "starting", "weight contains -Infinity");
        TensorSource zero = changed(layer.gradient(), target -> target.fill((byte) 0));
        assertNamed(modelWith(2, with(layer, layer.weight(), zero)), List.of(2), "starting", "gradient is all zeros");
        TensorSource none = changed(layer.weight(), target -> target.fill((byte) 0));
        assertNamed(modelWith(2, with(layer, none, layer.gradient())), List.of(2), "starting", "weight is all zeros");
    }

    /** What a reader leaves unfilled is neither zero nor the layer before. */
    @Test
    void aReaderThatStopsShortIsFoundOut() {
        for (DataType type : DataType.values()) {
            ModelLayer layer = layer(4);
            MemorySegment whole = random(64, 64, type, 9);
            TensorSource shorter = new TensorSource(type, target -> MemorySegment.copy(whole, 0, target, 0, target.byteSize() - type.bytes()));
            assertNamed(modelWith(4, with(layer, layer.weight(), shorter)), List.of(4), "starting", "gradient contains NaN");
        }
    }

    @Test
    void aRankThatIsTooLargeIsNamed() {
        ModelLayer layer = layer(1);
        ModelLayer wide = new ModelLayer(layer.name(), 40, 56, new LoraConfig(21, 16, Scaling.STANDARD), layer.weight(), layer.gradient());
        assertNamed(modelWith(1, wide), List.of(1), "starting", "rank 21", "at most 20");
    }

    @Test
    void aMatrixOfAnotherSizeIsNamed() {
        ModelLayer layer = layer(3); // 33×12
        assertNamed(modelWith(3, with(layer, TensorSource.of(random(12, 32, TYPE, 1), TYPE), layer.gradient())), List.of(3),
                "reading the weight", "1536 bytes", "1584");
        assertNamed(modelWith(3, with(layer, layer.weight(), TensorSource.of(random(33, 12, DataType.FLOAT64, 1), TYPE))), List.of(3),
                "reading the gradient", "3168 bytes", "1584");
    }

    @Test
    void layersThatShareANameAreNamedAndNotRead() {
        ModelLayer layer = layer(1);
        TensorSource unread = new TensorSource(TYPE, target -> {
            throw new AssertionError("read");
        });
        List<ModelLayer> layers = model();
        for (int place : new int[] {1, 2}) {
            layers.set(place, new ModelLayer("twice", layer.outFeatures(), layer.inFeatures(), layer.config(), unread, unread));
        }
        assertNamed(layers, List.of(1, 2), "starting", "twice", "2 layers");
    }

    @Test
    void numbersBeyondFloat16AreNamed() {
        ModelLayer layer = new ModelLayer("big", 8, 8, new LoraConfig(1, 1, Scaling.STANDARD), TensorSource.of(random(8, 8, DataType.FLOAT16, 1), DataType.FLOAT16), null);
        LayerMethod huge = (l, g, seed) -> target -> {
            target.weight().view(0, 1, 0, 1).write(1e6);
            return PlainLora.kaimingUniform(seed).initialize(target);
        };
        IncompleteModelException e = assertThrows(IncompleteModelException.class, () -> start(huge, List.of(layer)));
        assertTrue(e.getMessage().contains("W_fz contains 1000000.0") && e.getMessage().contains("65504"), e.getMessage());
    }

    @Test
    void allLayersMayFail() {
        TensorSource broken = new TensorSource(TYPE, target -> {
            throw new IOException("disk on fire");
        });
        List<Double> left = new ArrayList<>();
        List<ModelLayer> layers = model().stream().map(layer -> with(layer, broken, broken)).toList();
        IncompleteModelException e = assertThrows(IncompleteModelException.class, () -> ModelInitializer.of(device, LORA_GA)
                .withProgress(p -> left.add(p.secondsLeft())).initialize(layers, start -> {
                    throw new AssertionError(start);
                }));
        assertEquals(SHAPES.length, e.report().failures().size());
        assertEquals(List.of(Double.NaN, Double.NaN, Double.NaN, Double.NaN, 0.0), left);
    }
}
