package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The memory of a host device's matrices. Of those that were of any content at first it keeps the last one of less than {@link #LEAST_LARGE}
 * bytes and the last one of more for the next ones: counted while they are in use; on Linux the larger one's pages are the system's if it
 * needs them.
 */
final class HostBlocks {
    /** Below this many bytes a matrix has ordinary pages: the processor knows the addresses of as many, and malloc reuses them without asking the system. */
    static final long LEAST_LARGE = 8 << 20;

    private final KernelLibrary library; // null: no kernels, and ordinary memory
    private MemorySegment spare = MemorySegment.NULL; // less than LEAST_LARGE
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
        MemorySegment block = spare;
        if (block.byteSize() >= bytes && block.byteSize() <= 2 * bytes) {
            spare = MemorySegment.NULL;
        } else {
            block = granted(library.allocate(bytes), bytes);
        }
        MemorySegment taken = block;
        return taken.reinterpret(bytes, arena, used -> keep(taken));
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

    /** Keeps the last block for the next one: malloc may give its pages back, and asks for each of them again. */
    private void keep(MemorySegment block) {
        if (!spare.equals(MemorySegment.NULL)) {
            library.free(spare);
        }
        spare = block;
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

    /** Gives back what is kept, after the last matrix. */
    void close() {
        if (!spare.equals(MemorySegment.NULL)) {
            library.free(spare);
            spare = MemorySegment.NULL;
        }
        keepIdle(MemorySegment.NULL);
    }
}
