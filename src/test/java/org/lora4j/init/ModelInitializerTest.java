package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.junit.jupiter.api.Test;
import org.lora4j.LoraConfig;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.analysis.FirstOrderAlignment;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.svd.BlockKrylovSvd;

/** Whole models: each layer as it is alone, within the memory of two layers, the next one read meanwhile. */
class ModelInitializerTest extends ModelTest {
    private static final DataType[][] TYPES = { // of the weight, the gradient and the factors
        {DataType.FLOAT32, DataType.FLOAT32, null}, {DataType.FLOAT32, DataType.BFLOAT16, DataType.BFLOAT16}, {DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT16},
        {DataType.FLOAT32, DataType.FLOAT32, DataType.FLOAT64}, {DataType.BFLOAT16, DataType.BFLOAT16, null}, {DataType.BFLOAT16, DataType.FLOAT32, DataType.BFLOAT16},
        {DataType.BFLOAT16, DataType.FLOAT16, DataType.FLOAT16}, {DataType.FLOAT16, DataType.BFLOAT16, null}, {DataType.FLOAT16, DataType.FLOAT16, DataType.FLOAT16},
        {DataType.FLOAT64, DataType.FLOAT32, null}, {DataType.FLOAT64, DataType.FLOAT64, DataType.FLOAT32}, {DataType.FLOAT64, DataType.BFLOAT16, DataType.BFLOAT16}};

    @Test
    void everyLayerIsToTheBitWhatItIsAlone() throws Exception {
        Map<String, LayerMethod> methods = Map.of("lora-ga", LORA_GA, "pissa", (layer, gradient, seed) -> new Pissa(seed, new BlockKrylovSvd()),
                "olora", (layer, gradient, seed) -> new Olora(), "lora", (layer, gradient, seed) -> PlainLora.kaimingUniform(seed),
                "peft-lora-ga", (layer, gradient, seed) -> PeftLoraGa.of(gradient));
        for (Map.Entry<String, LayerMethod> method : methods.entrySet()) {
            List<ModelLayer> layers = model();
            Map<String, Kept> kept = start(method.getValue(), layers);
            assertEquals(layers.size(), kept.size());
            for (ModelLayer layer : layers) {
                Kept one = kept.get(layer.name());
                assertEquals(method.getKey(), one.start().initialization().method());
                one.assertSame(alone(layer, method.getValue()));
            }
        }
    }

    /** O1 with the A0 and B0 that are handed over: W_fz is W0 − η·B0·A0 in what is computed in, rounded once to W0's type. */
    @Test
    void theEffectiveWeightOfWhatIsHandedOverIsW0() {
        for (DataType[] types : TYPES) {
            List<ModelLayer> layers = new ArrayList<>();
            List<Reference> weights = new ArrayList<>();
            for (int i = 0; i < SHAPES.length; i++) {
                int[] s = SHAPES[i];
                MemorySegment w = random(s[0], s[1], types[0], i);
                weights.add(reference(w, types[0], s[0], s[1]));
                layers.add(new ModelLayer(name(i), s[0], s[1], new LoraConfig(s[2], 16, Scaling.STANDARD), TensorSource.of(w, types[0]),
                        TensorSource.of(random(s[0], s[1], types[1], i + 100), types[1])));
            }
            Map<String, Kept> kept = start(LayerMethod.loraGa(Scale.stable()), layers, types[2]);
            for (int i = 0; i < SHAPES.length; i++) {
                int[] s = SHAPES[i];
                Kept one = kept.get(name(i));
                DataType factors = types[2] == null ? types[0].accumulation() : types[2];
                assertEquals(factors, one.start().factorType());
                Reference a = reference(one.a(), factors, s[2], s[1]);
                Reference b = reference(one.b(), factors, s[0], s[2]);
                Reference frozen = reference(one.weight(), types[0], s[0], s[1]);
                assertKeepsWeight(Arrays.toString(types) + " " + name(i), weights.get(i), types[0], frozen, layers.get(i).config().eta(), b, a);
                assertTrue(one.start().initialization().shift() > 0.01, "there is a shift to be made up for");
            }
        }
    }

    private Map<String, Kept> start(LayerMethod method, List<ModelLayer> layers, DataType factorType) {
        Map<String, Kept> kept = new ConcurrentHashMap<>();
        ModelInitializer.of(device, method).withFactorType(factorType).initialize(layers, start -> kept.put(start.name(), Kept.of(start)));
        return kept;
    }

    /** A matrix that is converted in several panels, the last one shorter. */
    @Test
    void aLargeMatrixOf16BitsIsConvertedInPanels() {
        int m = 2100;
        int n = 1024;
        MemorySegment w = random(m, n, DataType.BFLOAT16, 1);
        ModelLayer layer = new ModelLayer("large", m, n, new LoraConfig(1, 1, Scaling.STANDARD), TensorSource.of(w, DataType.BFLOAT16), null);
        Map<String, Kept> kept = start((l, g, seed) -> PlainLora.kaimingUniform(seed), List.of(layer), null);
        assertEquals(-1, MemorySegment.ofArray(kept.get("large").weight()).mismatch(w), "B0 = 0: W_fz is W0");
    }

    @Test
    void theDeviceHoldsOneLayerAndTheHostTwo() {
        long largest = 0;
        for (ModelLayer layer : model()) {
            try (Device fresh = opener.get()) {
                ModelInitializer.of(fresh, LORA_GA).initialize(List.of(layer), start -> {});
                largest = Math.max(largest, fresh.counters().peakBytes());
            }
        }
        try (Device fresh = opener.get()) {
            List<Long> bytes = new ArrayList<>();
            for (int[] s : SHAPES) {
                bytes.add(aligned(s[0] * s[1]) * 2 + aligned(s[2] * s[1]) + aligned(s[0] * s[2]));
            }
            bytes.sort(Collections.reverseOrder());
            Set<MemorySegment> targets = Collections.newSetFromMap(new ConcurrentHashMap<>());
            List<Long> alive = Collections.synchronizedList(new ArrayList<>());
            List<ModelLayer> observed = model().stream().map(layer -> observed(layer, which -> target -> {
                targets.add(target);
                alive.add(targets.stream().filter(t -> t.scope().isAlive()).mapToLong(MemorySegment::byteSize).sum());
            })).toList();
            ModelReport report = ModelInitializer.of(fresh, LORA_GA).initialize(observed, start -> {});
            assertTrue(fresh.counters().peakBytes() <= 2 * largest, fresh.counters().peakBytes() + " for a largest layer of " + largest);
            assertTrue(report.peakHostBytes() <= bytes.get(0) + bytes.get(1), report.peakHostBytes() + " of " + bytes);
            assertTrue(report.peakHostBytes() >= bytes.get(0), report.peakHostBytes() + " of " + bytes);
            assertTrue(alive.stream().allMatch(b -> b <= bytes.get(0) + bytes.get(1)), alive + " of " + bytes);
            assertEquals(2 * SHAPES.length, alive.size());
        }
        assertHoldsTheSame(device, "a model", () -> ModelInitializer.of(device, LORA_GA).initialize(model(), start -> {}));
    }

    private static long aligned(int floats) {
        return Math.ceilDiv(4L * floats, 64L) * 64;
    }

    /** While a layer is computed, the next one's reader is at work; the one after that waits until this one was handed over. */
    @Test
    void theNextLayerIsReadWhileThisOneComputes() {
        int count = SHAPES.length;
        Thread caller = Thread.currentThread();
        List<CountDownLatch> reading = new ArrayList<>();
        List<ModelLayer> layers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            CountDownLatch begun = new CountDownLatch(1);
            reading.add(begun);
            layers.add(observed(layer(i), which -> target -> {
                assertNotEquals(Thread.currentThread(), caller);
                begun.countDown();
            }));
        }
        List<Integer> delivered = new ArrayList<>();
        LayerMethod waiting = (layer, gradient, seed) -> {
            int i = layers.indexOf(layer);
            assertEquals(i, delivered.size(), "not handed over yet");
            if (i + 1 < count) {
                assertTrue(awaits(reading.get(i + 1)), "the next is read while this one computes");
            }
            assertTrue(i + 2 >= count || reading.get(i + 2).getCount() == 1, "but not the one after it");
            return LORA_GA.of(layer, gradient, seed);
        };
        ModelInitializer.of(device, waiting).initialize(layers, start -> {
            int i = start.index();
            assertTrue(i + 2 >= count || reading.get(i + 2).getCount() == 1, "its memory would be this one's");
            delivered.add(i);
        });
        assertEquals(List.of(0, 1, 2, 3, 4), delivered, "in order");
    }

    private static boolean awaits(CountDownLatch latch) {
        try {
            return latch.await(1, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void whatIsHandedOverEndsWithTheCallback() {
        List<LayerStart> kept = new ArrayList<>();
        ModelInitializer.of(device, LORA_GA).initialize(model(), start -> {
            for (LayerStart old : kept) {
                assertThrows(IllegalStateException.class, () -> old.weight().get(ValueLayout.JAVA_BYTE, 0));
                assertThrows(IllegalStateException.class, () -> old.a().get(ValueLayout.JAVA_BYTE, 0));
                assertThrows(IllegalStateException.class, () -> old.b().get(ValueLayout.JAVA_BYTE, 0));
            }
            kept.add(start);
        });
        assertEquals(SHAPES.length, kept.size());
        assertFalse(kept.getLast().weight().scope().isAlive());
    }

    @Test
    void progressCountsWorkAndEndsAtZero() {
        List<ModelProgress> told = new ArrayList<>();
        List<String> events = new ArrayList<>();
        ModelReport report = ModelInitializer.of(device, LORA_GA).withProgress(p -> {
            told.add(p);
            events.add("told " + p.name());
        }).initialize(model(), start -> events.add("given " + start.name()));
        double all = 0;
        for (int[] s : SHAPES) {
            all += s[0] * s[1] * s[2];
        }
        double done = 0;
        for (int i = 0; i < SHAPES.length; i++) {
            ModelProgress p = told.get(i);
            int[] s = SHAPES[i];
            done += s[0] * s[1] * s[2];
            assertEquals(List.of("given " + name(i), "told " + name(i)), events.subList(2 * i, 2 * i + 2));
            assertEquals(name(i), p.name());
            assertEquals(i, p.index());
            assertEquals(SHAPES.length, p.count());
            assertTrue(p.started());
            assertTrue(p.seconds() > (i == 0 ? 0 : told.get(i - 1).seconds()));
            assertEquals(p.seconds() * (all - done) / done, p.secondsLeft(), 1e-12 * p.seconds());
        }
        assertEquals(0, told.getLast().secondsLeft());
        assertEquals(SHAPES.length, told.size());
        assertTrue(report.isComplete());
        assertEquals(model().stream().map(ModelLayer::name).toList(), report.started());
        assertEquals(List.of(), report.failures());
        assertEquals(List.of(), report.notReached());
    }

    @Test
    void aSeedIsOfTheModelsSeedAndTheName() {
        Set<Long> seeds = new HashSet<>();
        for (int i = 0; i < 100; i++) {
            seeds.add(ModelInitializer.seedOf(0, name(i)));
            seeds.add(ModelInitializer.seedOf(1, name(i)));
        }
        assertEquals(200, seeds.size());
        assertNotEquals(ModelInitializer.seedOf(0, "ab"), ModelInitializer.seedOf(0, "ba"));
        assertEquals(0xe220a8397b1dcdafL, ModelInitializer.seedOf(0, ""), "SplitMix64's first number of seed 0");
    }

    @Test
    void theAlignmentIsMeasuredWhereItIsAskedFor() {
        ModelLayer layer = layer(1);
        int[] s = SHAPES[1];
        ModelInitializer.of(device, LORA_GA).initialize(List.of(layer), start -> assertTrue(Double.isNaN(start.alignment())));
        ModelInitializer.of(device, LORA_GA).withAlignment().initialize(List.of(layer), start -> {
            try (Matrix g = reference(random(s[0], s[1], TYPE, 3), TYPE, s[0], s[1]).on(device, TYPE);
                    Matrix a = reference(start.a(), TYPE, s[2], s[1]).on(device, TYPE); Matrix b = reference(start.b(), TYPE, s[0], s[2]).on(device, TYPE)) {
                assertEquals(FirstOrderAlignment.of(g, a, b).cosine(), start.alignment());
                assertTrue(start.alignment() > 0.5);
            }
        });
    }

    /** A trainer's gradient that was never read: looked up by the layer's name. And a layer without a gradient for a start that takes none. */
    @Test
    void aGradientNeedNotBeRead() {
        int[] s = SHAPES[0];
        ModelLayer bare = new ModelLayer(name(0), s[0], s[1], layer(0).config(), layer(0).weight(), null);
        try (Matrix g = reference(random(s[0], s[1], TYPE, 1), TYPE, s[0], s[1]).on(device, TYPE)) {
            Map<String, Matrix> gradients = Map.of(name(0), g);
            Map<String, Kept> looked = start((layer, none, seed) -> LORA_GA.of(layer, gradients.get(layer.name()), seed), List.of(bare));
            looked.get(name(0)).assertSame(start(LORA_GA, List.of(layer(0))).get(name(0)));
        }
        assertEquals("olora", start((layer, none, seed) -> new Olora(), List.of(bare)).get(name(0)).start().initialization().method());
        IncompleteModelException e = assertThrows(IncompleteModelException.class, () -> start(LORA_GA, List.of(bare)));
        assertTrue(e.getMessage().contains("no gradient"), e.getMessage());
    }

    @Test
    void noLayersAreNoWork() {
        var before = device.counters();
        ModelReport report = ModelInitializer.of(device, LORA_GA).withProgress(p -> {
            throw new AssertionError(p);
        }).initialize(List.of(), start -> {
            throw new AssertionError(start);
        });
        assertTrue(report.isComplete());
        assertEquals(0, report.peakHostBytes());
        assertEquals(before.calls(), device.counters().calls());
        assertEquals(before.allocations(), device.counters().allocations());
    }

    @Test
    void aLayerOfBadSizesIsRefusedWhereItIsMade() {
        TensorSource none = TensorSource.of(MemorySegment.NULL, TYPE);
        LoraConfig config = new LoraConfig(2, 1, Scaling.STANDARD);
        for (long[] s : new long[][] {{0, 4}, {4, -1}, {1L << 40, 1L << 40}}) {
            String message = assertThrows(IllegalArgumentException.class, () -> new ModelLayer("q", s[0], s[1], config, none, null)).getMessage();
            assertTrue(message.contains("q of " + s[0] + "×" + s[1]), message);
        }
    }
}
