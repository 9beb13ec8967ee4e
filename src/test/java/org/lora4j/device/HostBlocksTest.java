package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

import org.junit.jupiter.api.Test;

/** Memory of the kernels: how much of it there is, and what is kept for the next. */
class HostBlocksTest extends KernelsTest {
    @Test
    void scratchMemoryGrowsIsCountedAndGivenBack() {
        HostKernels kernels = open("portable", 2);
        long before = device.counters().currentBytes();
        step(kernels, 40, 30, 5);
        long small = device.counters().currentBytes() - before;
        assertTrue(small > 0);
        step(kernels, 400, 300, 40);
        long large = device.counters().currentBytes() - before;
        assertTrue(large > small);
        step(kernels, 40, 30, 5);
        assertEquals(large, device.counters().currentBytes() - before);
        kernels.close();
        assertEquals(before, device.counters().currentBytes());
        kernels.close();
        assertEquals(before, device.counters().currentBytes());
    }

    /** Of less than a large page's worth: of similar size, and one. */
    @Test
    void aBlockOfAnyContentIsKeptForTheNext() {
        HostKernels kernels = open("portable", 1);
        long bytes = 1 << 20;
        long address;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = kernels.allocate(arena, bytes, false);
            block.fill((byte) 7);
            address = block.address();
            assertEquals(0, address % 64);
        }
        try (Arena arena = Arena.ofConfined()) {
            assertNotEquals(address, kernels.allocate(arena, bytes / 4, false).address(), "too little for so large a block");
            MemorySegment again = kernels.allocate(arena, bytes * 3 / 4, false);
            assertEquals(address, again.address());
            assertEquals(bytes * 3 / 4, again.byteSize());
            assertNotEquals(address, kernels.allocate(arena, bytes, false).address(), "it is in use");
            assertEquals(0, kernels.allocate(arena, 0, false).byteSize());
            for (byte value : kernels.allocate(arena, bytes, true).toArray(ValueLayout.JAVA_BYTE)) {
                assertEquals(0, value);
            }
        }
        kernels.close();
    }

    /** The last ones serve the next of about their sizes, as they were left, each one once. */
    @Test
    void severalBlocksAreKept() {
        HostKernels kernels = open("portable", 1);
        long third = HostBlocks.LEAST_LARGE / 3;
        long[] sizes = { third, third / 8, third + 64, third / 2 };
        byte[] left = new byte[32]; // free would write there
        Arrays.fill(left, (byte) 7);
        for (int round = 0; round < 2; round++) {
            try (Arena arena = Arena.ofConfined()) {
                for (long size : sizes) {
                    MemorySegment block = kernels.allocate(arena, size, false);
                    assertTrue(round == 0 || block.asSlice(0, 32).mismatch(MemorySegment.ofArray(left)) < 0, size + " bytes are kept");
                    block.fill((byte) (round == 0 ? 7 : 3)); // none is given twice
                }
            }
        }
    }

    /** Two sums of Zᵀ: little beside G, as an initialiser promises. */
    @Test
    void scratchMemoryIsSmall() {
        HostKernels kernels = open("avx2", 2);
        long before = device.counters().currentBytes();
        step(kernels, 2048, 2048, 32);
        long bytes = device.counters().currentBytes() - before;
        assertTrue(bytes <= 2 * 2048 * 32 * 4 + 2 * 16 * 1024, bytes + " bytes");
    }

    private void step(HostKernels kernels, int m, int n, int k) {
        Matrix[] a = {device.allocate(TYPE, m, n), device.allocate(TYPE, n, k), device.allocate(TYPE, m, k), device.allocate(TYPE, n, k)};
        kernels.powerStep(a[0], a[1], a[2], a[3]);
        for (Matrix x : a) {
            x.close();
        }
    }
}
