package org.lora4j.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

import org.lora4j.bindings.cuda.cuda_h;

/**
 * Copies between the caller's memory and the device by way of pinned memory, from which the GPU itself copies while the
 * host goes on. Two halves take turns: one is filled while the other is on its way. A matrix of up to {@link #LARGEST}
 * bytes is one copy.
 */
final class CudaStaging {
    /** The most bytes of a half, unless one row is longer. */
    static final long LARGEST = 64L << 20;
    private static final long SMALLEST = 64L << 10;

    /** Fills rows {@code from} to {@code to} into memory without gaps, or takes them from there. */
    interface Rows {
        void move(MemorySegment pinned, long from, long to);
    }

    private final CudaStream stream;
    private final DeviceMemory device;
    private final Half[] halves = {new Half(), new Half()};
    private int next;
    private long queued; // copies so far
    private long done; // of which the host has waited for this one, and so for all before

    CudaStaging(CudaStream stream, DeviceMemory device) {
        this.stream = stream;
        this.device = device;
    }

    /** Copies rows to the device. Returns when they have been taken from the caller; the copy is queued. */
    void in(DataType type, long rows, long cols, Rows source, MemorySegment target, long targetLd) {
        long width = cols * type.bytes();
        long most = Math.max(1, LARGEST / width);
        for (long from = 0; from < rows; from += most) {
            long to = Math.min(rows, from + most);
            Half half = turn();
            half.await(); // the copy that still reads it
            half.reserve((to - from) * width);
            source.move(half.memory, from, to);
            stream.cudart.copy(at(target, from * targetLd * type.bytes()), targetLd * type.bytes(), half.memory, width, width, to - from,
                    cuda_h.cudaMemcpyHostToDevice(), stream.stream, stream.inFlight);
            half.queued();
        }
    }

    /** Copies rows from the device. Returns when the caller has them. */
    void out(DataType type, long rows, long cols, MemorySegment source, long sourceLd, Rows target) {
        long width = cols * type.bytes();
        long most = Math.max(1, LARGEST / width);
        Half before = null;
        for (long from = 0; from < rows; from += most) {
            long to = Math.min(rows, from + most);
            Half half = turn();
            half.reserve((to - from) * width); // what still reads it comes before in the stream
            stream.cudart.copy(half.memory, width, at(source, from * sourceLd * type.bytes()), sourceLd * type.bytes(), width, to - from,
                    cuda_h.cudaMemcpyDeviceToHost(), stream.stream, stream.inFlight);
            half.queued();
            if (before != null) {
                before.await();
                target.move(before.memory, from - most, from);
            }
            before = half;
        }
        if (before != null) {
            before.await();
            stream.inFlight.clear();
            target.move(before.memory, (rows - 1) / most * most, rows);
        }
    }

    /** {@code count} elements that are {@code step} apart on the device. The host waits. */
    double[] read(DataType type, MemorySegment source, long step, long count) {
        double[] values = new double[(int) count];
        out(type, count, 1, source, step, (pinned, from, to) -> {
            for (long i = from; i < to; i++) {
                values[(int) i] = type.get(pinned, i - from);
            }
        });
        return values;
    }

    /** The host has waited for the whole stream. */
    void synchronised() {
        done = queued;
    }

    /** The int at {@code source} on the device. The host waits. */
    int readInt(MemorySegment source) {
        int[] value = new int[1];
        out(DataType.FLOAT32, 1, 1, source, 1, (pinned, from, to) -> value[0] = pinned.get(ValueLayout.JAVA_INT, 0));
        return value[0];
    }

    private static MemorySegment at(MemorySegment memory, long offset) {
        return MemorySegment.ofAddress(memory.address() + offset);
    }

    /** The half whose turn it is. */
    private Half turn() {
        Half half = halves[next];
        next = 1 - next;
        return half;
    }

    /** Frees the pinned memory. */
    void close() {
        Failures.runAll(List.of(halves[0]::free, halves[1]::free));
    }

    /** Pinned memory and the event behind the last copy from or to it. */
    private final class Half {
        private MemorySegment memory = MemorySegment.NULL;
        private MemorySegment event;
        private long copy; // the last one from or to here
        private boolean recorded; // whether the event is behind it

        void reserve(long bytes) {
            if (event == null) {
                event = stream.cudart.createEvent(stream.inFlight);
            }
            if (memory.byteSize() < bytes) {
                await();
                freeMemory();
                long size = Math.max(SMALLEST, bytes);
                MemorySegment pinned = stream.cudart.hostAlloc(size, stream.inFlight);
                if (pinned.equals(MemorySegment.NULL)) {
                    throw OutOfDeviceMemoryException.ofGpu("pinned host memory", size, device.heldBytes(), stream.cudart.memory());
                }
                memory = pinned.reinterpret(size);
            }
        }

        void queued() {
            copy = ++queued;
            recorded = false; // if that fails, the copy is on its way all the same
            stream.cudart.record(event, stream.stream, stream.inFlight);
            recorded = true;
        }

        void await() {
            if (copy > done) {
                if (recorded) {
                    stream.cudart.synchronizeEvent(event, stream.inFlight);
                } else {
                    stream.synchronize();
                }
                done = copy;
            }
        }

        private void freeMemory() {
            if (memory.byteSize() > 0) {
                MemorySegment old = memory;
                memory = MemorySegment.NULL;
                stream.cudart.freeHost(old, stream.inFlight);
            }
        }

        void free() {
            try {
                freeMemory();
            } finally {
                if (event != null) {
                    MemorySegment old = event;
                    event = null;
                    stream.cudart.destroyEvent(old, stream.inFlight);
                }
            }
        }
    }
}
