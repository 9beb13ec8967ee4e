package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The memory of a host device's matrices. Of those that were of any content at first it keeps for the next ones the last that together have
 * at most {@link #LEAST_LARGE} bytes, and the last one of so many or more: counted while they are in use; on Linux the large one's pages are
 * the system's if it needs them.
 */
final class HostBlocks {
    /** Below this many bytes a matrix has ordinary pages: the processor knows the addresses of as many, and malloc reuses them without asking the system. */
    static final long LEAST_LARGE = 8 << 20;
    /** Malloc keeps what is smaller for itself. */
    static final long LEAST_KEPT = 1 << 16;

    private final KernelLibrary library; // null: no kernels, and ordinary memory
    private final Deque<MemorySegment> spares = new ArrayDeque<>(); // small ones, the last first
    private long spareBytes; // of all spares
    private MemorySegment idle = MemorySegment.NULL; // LEAST_LARGE or more

    HostBlocks(KernelLibrary library) {
        this.library = library;
    }

    /**
     * Memory that lives as long as the arena, in large pages where it is large and there are such.
     *
     * @param zeroed whether it must be zero; otherwise it is of any content
     */
    MemorySegment allocate(Arena arena, long bytes, boolean zeroed) {
        boolean large = bytes >= LEAST_LARGE;
        if (library == null || bytes == 0 || zeroed && !large) {
            return arena.allocate(bytes, 64);
        }
        if (large) {
            boolean again = !zeroed && idle.byteSize() == bytes;
            MemorySegment mapped = again ? idle : map(bytes);
            if (again) {
                idle = MemorySegment.NULL;
            }
            return mapped.reinterpret(bytes, arena, used -> {
                if (zeroed) {
                    library.unmap(mapped);
                } else {
                    keepIdle(mapped);
                }
            });
        }
        MemorySegment block = small(bytes);
        return block.reinterpret(bytes, arena, used -> keep(block));
    }

    /** The smallest of the spares that are large enough and at most twice as large, or a new one. */
    private MemorySegment small(long bytes) {
        MemorySegment best = MemorySegment.NULL;
        for (MemorySegment spare : spares) {
            long size = spare.byteSize();
            if (size >= bytes && size <= 2 * bytes && (best.byteSize() == 0 || size < best.byteSize())) {
                best = spare;
            }
        }
        if (best.byteSize() == 0) {
            MemorySegment memory = library.allocate(bytes);
            if (memory.equals(MemorySegment.NULL)) { // the spares may be in the way
                freeAll();
                memory = library.allocate(bytes);
            }
            return granted(memory, bytes);
        }
        spares.remove(best);
        spareBytes -= best.byteSize();
        return best;
    }

    private MemorySegment map(long bytes) {
        MemorySegment memory = library.map(bytes);
        if (memory.equals(MemorySegment.NULL)) { // the idle one may be in the way
            keepIdle(MemorySegment.NULL);
            memory = library.map(bytes);
        }
        return granted(memory, bytes);
    }

    private static MemorySegment granted(MemorySegment memory, long bytes) {
        if (memory.equals(MemorySegment.NULL)) {
            throw new OutOfMemoryError("the system refuses " + bytes + " bytes");
        }
        return memory;
    }

    /** Keeps the last blocks for the next ones: malloc may give their pages back, and asks for each of them again. */
    private void keep(MemorySegment block) {
        if (block.byteSize() < LEAST_KEPT) {
            library.free(block);
            return;
        }
        spares.addFirst(block);
        spareBytes += block.byteSize();
        while (spareBytes > LEAST_LARGE) {
            freeLast();
        }
    }

    private void freeLast() {
        MemorySegment last = spares.removeLast();
        spareBytes -= last.byteSize();
        library.free(last);
    }

    /** The same for a large one: the system clears each page that it gives, and may have to look for large ones. */
    private void keepIdle(MemorySegment block) {
        if (!idle.equals(MemorySegment.NULL)) {
            library.unmap(idle);
        }
        idle = block;
        if (!block.equals(MemorySegment.NULL)) {
            library.idle(block);
        }
    }

    private void freeAll() {
        while (!spares.isEmpty()) {
            freeLast();
        }
    }

    /** Gives back what is kept, after the last matrix. */
    void close() {
        freeAll();
        keepIdle(MemorySegment.NULL);
    }
}
