package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.lora4j.LoraConfig;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;

/** A bad layer is named and the others are what they would be; interrupts, consumers that throw and lost devices end the work cleanly. */
class ModelFailureTest extends ModelTest {
    @AfterEach
    void noInterruptIsLeft() {
        assertFalse(Thread.interrupted(), "the test left its thread interrupted");
    }

    private static ModelLayer with(ModelLayer layer, String name, TensorSource weight, TensorSource gradient) {
        return new ModelLayer(name, layer.outFeatures(), layer.inFeatures(), layer.config(), weight, gradient);
    }

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
        long before = device.counters().currentBytes();
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
        assertEquals(before, device.counters().currentBytes(), "nothing is left on the device");
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
            assertNamed(modelWith(place, with(layer, layer.name(), broken, layer.gradient())), List.of(place), "reading the weight", "disk on fire");
            assertNamed(modelWith(place, with(layer, layer.name(), layer.weight(), broken)), List.of(place), "reading the gradient", "disk on fire");
        }
    }

    @Test
    void aGradientOrWeightThatIsNoGoodIsNamed() {
        ModelLayer layer = layer(2);
        TensorSource nan = changed(layer.gradient(), target -> target.setAtIndex(ValueLayout.JAVA_FLOAT, 17, Float.NaN));
        assertNamed(modelWith(2, with(layer, layer.name(), layer.weight(), nan)), List.of(2), "starting", "gradient contains NaN");
        TensorSource infinite = changed(layer.weight(), target -> target.setAtIndex(ValueLayout.JAVA_FLOAT, 17, Float.NEGATIVE_INFINITY));
        assertNamed(modelWith(2, with(layer, layer.name(), infinite, layer.gradient())), List.of(2), "starting", "weight contains -Infinity");
        TensorSource zero = changed(layer.gradient(), target -> target.fill((byte) 0));
        assertNamed(modelWith(2, with(layer, layer.name(), layer.weight(), zero)), List.of(2), "starting", "gradient is all zeros");
        TensorSource none = changed(layer.weight(), target -> target.fill((byte) 0));
        assertNamed(modelWith(2, with(layer, layer.name(), none, layer.gradient())), List.of(2), "starting", "weight is all zeros");
    }

    /** What a reader leaves unfilled is neither zero nor the layer before. */
    @Test
    void aReaderThatStopsShortIsFoundOut() {
        for (DataType type : DataType.values()) {
            ModelLayer layer = layer(4);
            MemorySegment whole = random(64, 64, type, 9);
            TensorSource shorter = new TensorSource(type, target -> MemorySegment.copy(whole, 0, target, 0, target.byteSize() - type.bytes()));
            assertNamed(modelWith(4, with(layer, layer.name(), layer.weight(), shorter)), List.of(4), "starting", "gradient contains NaN");
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
        assertNamed(modelWith(3, with(layer, layer.name(), TensorSource.of(random(12, 32, TYPE, 1), TYPE), layer.gradient())), List.of(3),
                "reading the weight", "1536 bytes", "1584");
        assertNamed(modelWith(3, with(layer, layer.name(), layer.weight(), TensorSource.of(random(33, 12, DataType.FLOAT64, 1), TYPE))), List.of(3),
                "reading the gradient", "3168 bytes", "1584");
    }

    @Test
    void layersThatShareANameAreNamedAndNotRead() {
        ModelLayer layer = layer(1);
        TensorSource unread = new TensorSource(TYPE, target -> {
            throw new AssertionError("read");
        });
        List<ModelLayer> layers = model();
        layers.set(1, with(layer, "twice", unread, unread));
        layers.set(2, with(layer, "twice", unread, unread));
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
        List<ModelLayer> layers = model().stream().map(layer -> with(layer, layer.name(), broken, broken)).toList();
        IncompleteModelException e = assertThrows(IncompleteModelException.class, () -> ModelInitializer.of(device, LORA_GA)
                .withProgress(p -> left.add(p.secondsLeft())).initialize(layers, start -> {
                    throw new AssertionError(start);
                }));
        assertEquals(SHAPES.length, e.report().failures().size());
        assertEquals(List.of(Double.NaN, Double.NaN, Double.NaN, Double.NaN, 0.0), left);
    }

    // ---- what ends the work

    private IncompleteModelException assertStopped(LayerMethod method, List<ModelLayer> layers, List<String> given, Runnable inConsumer) {
        return assertThrows(IncompleteModelException.class, () -> ModelInitializer.of(device, method).initialize(layers, start -> {
            assertFalse(Thread.currentThread().isInterrupted(), "a channel that the consumer writes to would be closed");
            given.add(start.name());
            inConsumer.run();
        }));
    }

    private static void assertReport(ModelReport report, int started) {
        List<String> names = Stream.of(0, 1, 2, 3, 4).map(ModelTest::name).toList();
        assertEquals(names.subList(0, started), report.started());
        assertEquals(names.subList(started, 5), report.notReached());
        assertEquals(List.of(), report.failures());
        assertFalse(report.isComplete());
    }

    @Test
    void anInterruptStopsBetweenLayersAndStaysSet() {
        List<String> given = new ArrayList<>();
        IncompleteModelException e = assertStopped(LORA_GA, model(), given, () -> {
            if (given.size() == 2) {
                Thread.currentThread().interrupt();
            }
        });
        assertTrue(Thread.interrupted(), "the interrupt stays set");
        assertReport(e.report(), 2);
        assertEquals(2, given.size());
        assertTrue(e.report().interrupted());
        assertTrue(e.getMessage().contains("2 of 5") && e.getMessage().contains("interrupted"), e.getMessage());
    }

    @Test
    void anInterruptWhileALayerComputesLetsItBeHandedOver() {
        List<String> given = new ArrayList<>();
        LayerMethod interrupting = (layer, gradient, seed) -> {
            if (layer.name().equals(name(3))) {
                Thread.currentThread().interrupt();
            }
            return LORA_GA.of(layer, gradient, seed);
        };
        IncompleteModelException e = assertStopped(interrupting, model(), given, () -> {});
        assertTrue(Thread.interrupted(), "the interrupt stays set");
        assertReport(e.report(), 4);
        assertEquals(4, given.size());
    }

    /** The caller waits for a reader that would never return: both are interrupted. */
    @Test
    void anInterruptIsPassedOnToAReaderAtWork() throws Exception {
        Thread caller = Thread.currentThread();
        CountDownLatch passedOn = new CountDownLatch(1);
        List<ModelLayer> layers = new ArrayList<>();
        for (int i = 0; i < SHAPES.length; i++) {
            layers.add(i != 2 ? layer(i) : observed(layer(2), which -> target -> {
                caller.interrupt();
                try {
                    new CountDownLatch(1).await(); // for ever
                } finally {
                    passedOn.countDown();
                }
            }));
        }
        List<String> given = new ArrayList<>();
        IncompleteModelException e = assertThrows(IncompleteModelException.class,
                () -> ModelInitializer.of(device, LORA_GA).initialize(layers, start -> given.add(start.name())));
        assertTrue(Thread.interrupted(), "the interrupt stays set");
        assertTrue(given.size() <= 2 && e.report().started().equals(given), given.toString());
        assertReport(e.report(), given.size());
        assertTrue(passedOn.await(0, TimeUnit.SECONDS), "the reader had ended before the call did");
    }

    @Test
    void anInterruptBeforehandReadsNothingAndOneAfterTheLastLayerIsNone() {
        List<ModelLayer> unread = model().stream().map(layer -> observed(layer, which -> target -> {
            throw new AssertionError("read");
        })).toList();
        Thread.currentThread().interrupt();
        IncompleteModelException e = assertStopped(LORA_GA, unread, new ArrayList<>(), () -> {});
        assertTrue(Thread.interrupted());
        assertReport(e.report(), 0);

        ModelReport report = ModelInitializer.of(device, LORA_GA).initialize(model(), start -> {
            if (start.index() == SHAPES.length - 1) {
                Thread.currentThread().interrupt();
            }
        });
        assertTrue(Thread.interrupted(), "the interrupt stays set");
        assertTrue(report.isComplete());
        assertFalse(report.interrupted());
    }

    @Test
    void whatAConsumerOrTheProgressThrowsEndsTheWork() throws Exception {
        List<Thread> readers = Collections.synchronizedList(new ArrayList<>());
        List<ModelLayer> layers = new ArrayList<>();
        for (int i = 0; i < SHAPES.length; i++) {
            layers.add(observed(i == 0 ? with(layer(0), name(0), TensorSource.of(MemorySegment.NULL, TYPE), layer(0).gradient()) : layer(i),
                    which -> target -> readers.add(Thread.currentThread())));
        }
        long before = device.counters().currentBytes();
        RuntimeException full = new RuntimeException("disk full");
        List<String> given = new ArrayList<>();
        assertSame(full, assertThrows(RuntimeException.class, () -> ModelInitializer.of(device, LORA_GA).initialize(layers, start -> {
            given.add(start.name());
            throw full;
        })));
        assertEquals(List.of(name(1)), given);
        IncompleteModelException soFar = (IncompleteModelException) full.getSuppressed()[0];
        assertEquals(List.of(0), soFar.report().failures().stream().map(ModelReport.Failure::index).toList(), "the bad layer is not forgotten");
        assertEquals(before, device.counters().currentBytes());
        for (Thread reader : readers) {
            reader.join();
        }
        IllegalArgumentException tired = new IllegalArgumentException("tired");
        assertSame(tired, assertThrows(RuntimeException.class, () -> ModelInitializer.of(device, LORA_GA).withProgress(p -> {
            throw tired;
        }).initialize(model(), start -> {})));
        start(LORA_GA, model()); // all is well afterwards
    }

    @Test
    void anErrorOfAReaderIsThrownOn() {
        Error error = new StackOverflowError("in a reader");
        List<ModelLayer> layers = modelWith(1, observed(layer(1), which -> target -> {
            throw error;
        }));
        assertSame(error, assertThrows(StackOverflowError.class, () -> start(LORA_GA, layers)));
    }

    /** A failure of one layer goes on to the next; one after which the device can't be used doesn't. */
    @Test
    void aLostDeviceEndsTheWork() {
        try (Device lost = opener.get()) {
            LayerMethod closing = (layer, gradient, seed) -> {
                if (layer.name().equals(name(1))) {
                    throw new IllegalStateException("this layer alone");
                }
                if (layer.name().equals(name(3))) {
                    lost.close();
                }
                return LORA_GA.of(layer, gradient, seed);
            };
            List<String> given = new ArrayList<>();
            IncompleteModelException e = assertThrows(IncompleteModelException.class,
                    () -> ModelInitializer.of(lost, closing).initialize(model(), start -> given.add(start.name())));
            assertEquals(List.of(name(0), name(2)), given);
            assertEquals(given, e.report().started());
            assertEquals(List.of(1, 3), e.report().failures().stream().map(ModelReport.Failure::index).toList());
            assertEquals(List.of(name(4)), e.report().notReached());
            assertFalse(e.report().interrupted());
            assertTrue(e.getMessage().contains("device can't be used") && e.getMessage().contains("the device is closed"), e.getMessage());
            assertThrows(IllegalStateException.class, () -> ModelInitializer.of(lost, closing).initialize(model(), start -> {}));
        }
    }
}
