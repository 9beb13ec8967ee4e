package org.lora4j.device;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Device memory for the length of one computation, from the device's {@link CudaMemory} and back to it. */
final class CudaScratch implements AutoCloseable {
    private record Block(MemorySegment memory, long bytes) {}

    private final CudaMemory memory;
    private final DataType type;
    private final List<Block> blocks = new ArrayList<>();

    CudaScratch(CudaMemory memory, DataType type) {
        this.memory = memory;
        this.type = type;
    }

    MemorySegment elements(long count) {
        return bytes(Math.multiplyExact(Math.max(1, count), (long) type.bytes()));
    }

    MemorySegment bytes(long bytes) {
        MemorySegment block = memory.acquire(bytes);
        blocks.add(new Block(block, bytes));
        return block;
    }

    @Override
    public void close() {
        blocks.forEach(block -> memory.release(block.memory, block.bytes));
    }
}
