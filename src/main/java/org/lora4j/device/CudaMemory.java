package org.lora4j.device;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Device memory that is used for a while and then again by the next: {@code cudaMalloc} and {@code cudaFree} wait for the
 * whole device, so blocks are kept by size. All work is in one stream, which makes a block free for the next use as soon as
 * the last one is queued. Blocks are given back when memory runs out and at the end. One of them may be kept for its contents.
 */
final class CudaMemory {
    private static final long SMALLEST = 512;

    private final CudaStream stream;
    private final DeviceMemory device;
    private final Map<Long, Deque<MemorySegment>> kept = new HashMap<>(); // by size
    private MemorySegment remembered; // for its contents; null if none is
    private long rememberedBytes;
    private Object contents; // what they are

    CudaMemory(CudaStream stream, DeviceMemory device) {
        this.stream = stream;
        this.device = device;
    }

    /** Memory of exactly this size, not kept afterwards. */
    MemorySegment allocate(long bytes) {
        MemorySegment memory = malloc(bytes);
        device.countAllocated(bytes);
        return memory;
    }

    private MemorySegment malloc(long bytes) {
        try {
            return stream.malloc("device memory", bytes, device.heldBytes());
        } catch (OutOfDeviceMemoryException e) {
            if (kept.isEmpty() && remembered == null) {
                throw e;
            }
            trim();
            return stream.malloc("device memory", bytes, device.heldBytes());
        }
    }

    void free(MemorySegment memory, long bytes) {
        device.countFreed(bytes);
        stream.cudart.free(memory, stream.inFlight);
    }

    /** Memory of at least this size, to be given to {@link #release}. Its contents are what the last use left. */
    MemorySegment acquire(long bytes) {
        long size = sizeClass(bytes);
        Deque<MemorySegment> blocks = kept.get(size);
        MemorySegment memory = blocks == null || blocks.isEmpty() ? malloc(size) : blocks.pop();
        device.countAllocated(bytes);
        return memory;
    }

    void release(MemorySegment memory, long bytes) {
        device.countFreed(bytes);
        kept.computeIfAbsent(sizeClass(bytes), size -> new ArrayDeque<>()).push(memory);
    }

    /** Like {@link #release}, but {@link #remembered} finds it as long as memory does not run out and no other takes its place. */
    void remember(Object what, MemorySegment memory, long bytes) {
        forget();
        device.countFreed(bytes);
        remembered = memory;
        rememberedBytes = bytes;
        contents = what;
    }

    /** The block of at least {@code bytes} with such contents; null where there is none any more. */
    MemorySegment remembered(Object what, long bytes) {
        return remembered != null && what.equals(contents) && bytes <= rememberedBytes ? remembered : null;
    }

    private void forget() {
        if (remembered != null) {
            kept.computeIfAbsent(sizeClass(rememberedBytes), size -> new ArrayDeque<>()).push(remembered);
            remembered = null;
        }
    }

    /** The next power of two, or a quarter, half or three quarters of the way to it: at most a fifth is wasted. */
    private static long sizeClass(long bytes) {
        if (bytes <= SMALLEST) {
            return SMALLEST;
        }
        long step = Long.highestOneBit(bytes - 1) / 4;
        return Math.ceilDiv(bytes, step) * step;
    }

    /** Frees what is kept and not in use. */
    void trim() {
        forget();
        List<Runnable> steps = new ArrayList<>();
        kept.values().forEach(blocks -> blocks.forEach(memory -> steps.add(() -> stream.cudart.free(memory, stream.inFlight))));
        kept.clear();
        Failures.runAll(steps);
    }
}
