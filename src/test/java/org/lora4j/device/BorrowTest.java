package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;

/** Matrices of memory that the caller owns. {@link HostDeviceTest} has what only memory of the host can be asked. */
class BorrowTest extends DeviceTest {
    @ParameterizedTest
    @EnumSource(DataType.class)
    void whatIsBorrowedTwiceIsOneMemoryWhichClosingLeaves(DataType type) {
        MemorySegment memory = opener.borrowable(device, 5L * 8 * type.bytes());
        Counters before = device.counters();
        Matrix one = device.borrow(memory, type, 5, 6, 8);
        Matrix two = device.borrow(memory, type, 3, 5, 8);
        assertEquals(before.currentBytes(), device.counters().currentBytes());
        assertEquals(before.allocations(), device.counters().allocations(), "nothing is allocated or copied");
        assertEquals(before.calls(), device.counters().calls());
        Reference a = Reference.random(5, 6, type, new Random(1));
        one.write(a.data());
        assertArrayEquals(a.rows(0, 3).columns(0, 5).data(), two.read());
        device.scale(-2, two);
        assertArrayEquals(a.rows(1, 2).columns(0, 5).times(-2).data(), one.view(1, 2, 0, 5).read());
        long held = device.counters().currentBytes();
        one.close();
        assertThrows(IllegalStateException.class, one::read);
        assertArrayEquals(a.rows(0, 3).columns(0, 5).times(-2).data(), two.read(), "closing leaves the caller's memory");
        assertEquals(held, device.counters().currentBytes());
    }

    @Test
    void memoryBorrowedTwiceIsKnownToOverlap() {
        MemorySegment memory = opener.borrowable(device, 16 * 8);
        Matrix a = device.borrow(memory, DataType.FLOAT64, 4, 4, 4);
        Matrix b = device.borrow(memory, DataType.FLOAT64, 4, 4, 4);
        Matrix half = device.borrow(memory, DataType.BFLOAT16, 4, 4, 4); // the first two rows of a
        Matrix c = device.allocate(DataType.FLOAT64, 4, 4);
        assertFalse(a.sharesMemoryWith(b));
        assertTrue(a.overlaps(b) && a.overlaps(half) && half.overlaps(a) && half.overlaps(b.rows(0, 2)));
        assertFalse(a.rows(0, 2).overlaps(b.rows(2, 4)) || a.columns(0, 2).overlaps(b.columns(2, 4)) || half.overlaps(b.rows(2, 4)) || a.overlaps(c));
        for (Runnable call : new Runnable[] {() -> device.gemm(1, a, Op.NONE, c, Op.NONE, 0, b), () -> device.copy(a, b), () -> device.convert(a, half),
            () -> device.convert(half, a), () -> device.powerStep(a, c, b, null)}) {
            assertTrue(assertThrows(IllegalArgumentException.class, call::run).getMessage().contains("overlaps"));
        }
        device.gemm(1, a.rows(2, 4), Op.NONE, c, Op.NONE, 0, b.rows(0, 2));
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void sizesThatAreNoneAreRefused(DataType type) {
        MemorySegment memory = opener.borrowable(device, 100L * type.bytes());
        for (long[] s : new long[][] {{2, 2, 1}, {-1, 2, 2}, {2, -1, 2}, {Long.MAX_VALUE, 2, 2}, {1, 1, 0}}) {
            assertThrows(IllegalArgumentException.class, () -> device.borrow(memory, type, s[0], s[1], s[2]));
        }
        assertThrows(IllegalArgumentException.class, () -> device.borrow(null, type, 1, 1, 1));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(memory.asReadOnly(), type, 2, 2, 2));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(MemorySegment.ofArray(new double[100]), type, 2, 2, 2));
        assertEquals(0, device.borrow(memory, type, 0, 3, 3).read().length);
    }
}
