package org.lora4j.init;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

import org.lora4j.device.DataType;

/**
 * Reads the layers of a model one after the other on a thread of its own: the next one while the caller works on the last.
 * Two pieces of memory take turns, each as large as the largest of its layers so far, so that no more is held than the two
 * largest layers take.
 */
final class ReadAhead implements AutoCloseable {
    /** A layer that could not be read. */
    static final class ReadException extends Exception {
        private static final long serialVersionUID = 1L;

        final String step;
        final transient Exception reason;

        private ReadException(String step, Exception reason) {
            super(reason);
            this.step = step;
            this.reason = reason;
        }
    }

    private static final String WEIGHT = "reading the weight";

    private final ExecutorService thread = Executors.newSingleThreadExecutor(task -> Thread.ofPlatform().daemon().name("lora4j-reader").unstarted(task));
    private final Slot[] slots = {new Slot(), new Slot()};
    private final Iterator<ModelLayer> layers;
    private final DataType factorType;
    private int turn;
    private Future<LoadedLayer> ahead; // null at the end
    private volatile boolean stopped;
    private long held; // bytes; these two belong to the reading thread, and to the caller after close
    private long peak;

    /** @param factorType null for each layer's own */
    ReadAhead(List<ModelLayer> layers, DataType factorType) {
        this.layers = layers.iterator();
        this.factorType = factorType;
        ahead = begin();
    }

    private Future<LoadedLayer> begin() {
        if (!layers.hasNext()) {
            return null;
        }
        ModelLayer layer = layers.next();
        Slot slot = slots[turn];
        turn = 1 - turn;
        return thread.submit(() -> read(layer, slot));
    }

    /** Waits for the next layer and has the one after it read. The layer before must have been closed: its memory is read into. */
    LoadedLayer take() throws InterruptedException, ReadException {
        Future<LoadedLayer> current = ahead;
        ahead = begin();
        try {
            return current.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof ReadException unread) {
                throw unread;
            }
            if (e.getCause() instanceof Error error) {
                throw error;
            }
            throw new IllegalStateException(e.getCause());
        }
    }

    private LoadedLayer read(ModelLayer layer, Slot slot) throws ReadException {
        if (stopped) {
            throw new CancellationException();
        }
        MemorySegment memory = reserve(slot, LoadedLayer.bytes(layer, factorType));
        LoadedLayer loaded = new LoadedLayer(layer, factorType, memory);
        slot.layer = loaded;
        fill(WEIGHT, layer.weight(), loaded.weight);
        if (layer.gradient() != null) {
            fill("reading the gradient", layer.gradient(), loaded.gradient);
        }
        return loaded;
    }

    private static void fill(String step, TensorSource source, MemorySegment target) throws ReadException {
        target.fill((byte) -1); // a NaN of every type
        try {
            source.reader().read(target);
        } catch (Exception e) {
            throw new ReadException(step, e);
        }
    }

    private MemorySegment reserve(Slot slot, long bytes) throws ReadException {
        if (slot.layer != null) {
            slot.layer.close(); // one that could not be read: nobody has it
        }
        if (slot.memory.byteSize() < bytes) {
            free(slot);
            Arena larger = Arena.ofShared();
            try {
                slot.memory = larger.allocate(bytes, 64);
            } catch (OutOfMemoryError e) {
                larger.close();
                throw new ReadException(WEIGHT, new IllegalStateException("no host memory for " + bytes + " bytes beside " + held
                        + "; some JDKs limit it by -XX:MaxDirectMemorySize, which defaults to the largest heap size (-Xmx)", e));
            }
            slot.arena = larger;
            held += bytes;
            peak = Math.max(peak, held);
        }
        return slot.memory;
    }

    private void free(Slot slot) {
        if (slot.layer != null) {
            slot.layer.close();
        }
        if (slot.arena != null) {
            slot.arena.close();
            held -= slot.memory.byteSize();
            slot.arena = null;
            slot.memory = MemorySegment.NULL;
        }
    }

    /** The most bytes that were held at once; to be asked after close. */
    long peakBytes() {
        return peak;
    }

    /**
     * Ends reading and frees the memory. A reader at work is waited for, because it writes to that memory; where the calling
     * thread is interrupted, so is the reader. The interrupt stays set.
     */
    @Override
    public void close() {
        stopped = true;
        thread.shutdown();
        boolean interrupted = false;
        for (boolean ended = false; !ended;) {
            try {
                ended = thread.awaitTermination(Long.MAX_VALUE, TimeUnit.NANOSECONDS);
            } catch (InterruptedException e) {
                interrupted = true;
                thread.shutdownNow();
            }
        }
        for (Slot slot : slots) {
            free(slot);
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Memory that every other layer is read into. */
    private static final class Slot {
        private Arena arena;
        private MemorySegment memory = MemorySegment.NULL;
        private LoadedLayer layer; // what was last read into it
    }
}
