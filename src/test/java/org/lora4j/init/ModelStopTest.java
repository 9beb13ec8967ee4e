package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.lora4j.device.Device;

/** Interrupts, consumers that throw and lost devices end the work on a model cleanly, and what was done is reported. */
class ModelStopTest extends ModelTest {
    @AfterEach
    void noInterruptIsLeft() {
        assertFalse(Thread.interrupted(), "the test left its thread interrupted");
    }

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
        CountDownLatch ended = new CountDownLatch(1);
        AtomicBoolean wasInterrupted = new AtomicBoolean();
        List<ModelLayer> layers = new ArrayList<>();
        for (int i = 0; i < SHAPES.length; i++) {
            layers.add(i != 2 ? layer(i) : observed(layer(2), which -> target -> {
                caller.interrupt();
                try {
                    new CountDownLatch(1).await(1, TimeUnit.MINUTES);
                } catch (InterruptedException e) {
                    wasInterrupted.set(true);
                } finally {
                    ended.countDown();
                }
            }));
        }
        List<String> given = new ArrayList<>();
        IncompleteModelException e = assertThrows(IncompleteModelException.class,
                () -> ModelInitializer.of(device, LORA_GA).initialize(layers, start -> given.add(start.name())));
        assertTrue(Thread.interrupted(), "the interrupt stays set");
        assertTrue(given.size() <= 2 && e.report().started().equals(given), given.toString());
        assertReport(e.report(), given.size());
        assertTrue(wasInterrupted.get());
        assertEquals(0, ended.getCount(), "the reader had ended before the call did");
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
            layers.add(observed(i == 0 ? with(layer(0), TensorSource.of(MemorySegment.NULL, TYPE), layer(0).gradient()) : layer(i),
                    which -> target -> readers.add(Thread.currentThread())));
        }
        RuntimeException full = new RuntimeException("disk full");
        List<String> given = new ArrayList<>();
        assertSame(full, assertThrows(RuntimeException.class, () -> ModelInitializer.of(device, LORA_GA).initialize(layers, start -> {
            given.add(start.name());
            throw full;
        })));
        assertEquals(List.of(name(1)), given);
        IncompleteModelException soFar = (IncompleteModelException) full.getSuppressed()[0];
        assertEquals(List.of(0), soFar.report().failures().stream().map(ModelReport.Failure::index).toList(), "the bad layer is not forgotten");
        assertHoldsTheSame(device, "a model that ended early", () -> assertThrows(RuntimeException.class, () -> ModelInitializer.of(device, LORA_GA)
                .initialize(model(), start -> {
                    throw new RuntimeException("disk full");
                })));
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
        List<ModelLayer> layers = model();
        layers.set(1, observed(layer(1), which -> target -> {
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
