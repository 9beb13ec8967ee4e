package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;

import org.junit.jupiter.api.Test;

/** Large matrices are where the system may give them large pages; {@code -Dlora4j.requireLargePages=true} makes their absence a failure. */
class LargePagesTest extends KernelsTest {
    private static final String NONE = "this system has no transparent huge pages";

    private static void needsLargePages() {
        boolean some = Files.exists(Path.of("/sys/kernel/mm/transparent_hugepage"));
        assertTrue(some || !Boolean.getBoolean("lora4j.requireLargePages"), NONE);
        assumeTrue(some, NONE);
    }

    /** Zero at first, usable to the last element, known to the system as wanting large pages, and unmapped with the matrix. */
    @Test
    void largeMatricesHaveLargePages() throws IOException {
        needsThemInUse();
        needsLargePages();
        long before = device.counters().currentBytes();
        for (int i = 0; i < 20; i++) {
            Matrix a = device.allocate(TYPE, 1, HostBlocks.LEAST_LARGE / 4 + i);
            long address = a.segment().address();
            assertEquals(0, address % (2 << 20), "a large page");
            assertEquals(0, device.dot(a, a));
            device.fill(a, 1);
            assertEquals(HostBlocks.LEAST_LARGE / 4 + i, device.dot(a, a));
            assertTrue(flags(address).contains(" hg"), flags(address) + " of " + Long.toHexString(address));
            a.close();
            assertFalse(flags(address).contains(" hg"), "unmapped");
        }
        assertEquals(before, device.counters().currentBytes());
    }

    /** The last one that was of any content serves the next of its size, and nobody who wants zeros; it ends with the device. */
    @Test
    void aLargeBlockOfAnyContentIsKeptForTheNext() throws IOException {
        needsLargePages();
        HostKernels kernels = open("portable", 1);
        long bytes = HostBlocks.LEAST_LARGE;
        long address;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = kernels.allocate(arena, bytes, false);
            block.fill((byte) 7);
            address = block.address();
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment zeros = kernels.allocate(arena, bytes, true);
            assertEquals(-1, zeros.mismatch(MemorySegment.ofArray(new byte[(int) bytes])));
            assertNotEquals(address, zeros.address());
            assertNotEquals(address, kernels.allocate(arena, bytes + 64, false).address(), "of another size");
            MemorySegment again = kernels.allocate(arena, bytes, false);
            assertEquals(address, again.address());
            again.fill((byte) 3);
            assertEquals(3, again.get(ValueLayout.JAVA_BYTE, bytes - 1));
            assertNotEquals(address, kernels.allocate(arena, bytes, false).address(), "it is in use");
        }
        long kept = mapped();
        kernels.close();
        assertTrue(mapped() < kept, "what was kept ends with the device");
    }

    /** Bytes of this process's mappings that want large pages. */
    private static long mapped() throws IOException {
        long sum = 0;
        long size = 0;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
            size = line.startsWith("Size:") ? Long.parseLong(line.replaceAll("\\D", "")) : size;
            sum += line.startsWith("VmFlags:") && line.contains(" hg") ? size : 0;
        }
        return sum;
    }

    /** What the system knows of the mapping that an address is in; "" where there is none. */
    private static String flags(long address) throws IOException {
        boolean inside = false;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                String[] range = line.substring(0, line.indexOf(' ')).split("-");
                inside = Long.compareUnsigned(address, Long.parseUnsignedLong(range[0], 16)) >= 0
                        && Long.compareUnsigned(address, Long.parseUnsignedLong(range[1], 16)) < 0;
            } else if (inside && line.startsWith("VmFlags:")) {
                return line;
            }
        }
        return "";
    }
}
