package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.Reference;

/** What only the host device does: memory shared with the caller, and matrices beyond 2³¹ elements and 2³³ bytes. */
class HostDeviceTest {
    /** Rows so far apart that the third begins beyond element 2³¹ and byte 2³³; a prime, to be no multiple of a page. */
    private static final long APART = 1_100_000_009;

    final HostDevice device = HostDevice.open();
    final Arena arena = Arena.ofShared();
    final Random random = new Random(9);

    @AfterEach
    void close() {
        device.close();
        arena.close();
    }

    // ---- borrowed memory

    @ParameterizedTest
    @EnumSource(DataType.class)
    void borrowedMemoryIsSharedBothWays(DataType type) {
        MemorySegment memory = arena.allocate(5L * 8 * type.bytes(), 16);
        Matrix m = device.borrow(memory, type, 5, 6, 8);
        type.set(memory, 2 * 8 + 3, 42);
        assertEquals(42, m.read()[2 * 6 + 3]);
        device.fill(m, 7);
        assertEquals(7, type.get(memory, 4 * 8 + 5));
        assertEquals(0, type.get(memory, 4 * 8 + 6), "between the rows");
        assertEquals(memory.address(), m.segment().address());
        assertEquals(0, device.counters().allocations() + device.counters().currentBytes());
        m.close();
        assertThrows(IllegalStateException.class, m::read);
        assertEquals(7, type.get(memory, 0), "closing leaves the caller's memory");
        assertEquals(0, device.counters().currentBytes());
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void borrowRefusesMemoryItCannotUse(DataType type) {
        MemorySegment memory = arena.allocate(100L * type.bytes(), 16);
        Arena closed = Arena.ofConfined();
        MemorySegment gone = closed.allocate(100L * type.bytes(), 16);
        closed.close();
        assertThrows(IllegalArgumentException.class, () -> device.borrow(MemorySegment.ofArray(new double[100]), type, 2, 2, 2));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(memory.asSlice(1), type, 2, 2, 2));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(memory.asSlice(type.bytes() / 2), type, 2, 2, 2));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(memory, type, 10, 11, 11));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(memory, type, 2, 2, 1));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(memory, type, -1, 2, 2));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(null, type, 1, 1, 1));
        assertThrows(IllegalArgumentException.class, () -> device.borrow(memory, type, Long.MAX_VALUE, 2, 2));
        assertThrows(IllegalStateException.class, () -> device.borrow(gone, type, 2, 2, 2));
        assertArrayEquals(new double[] {0}, device.borrow(memory.asSlice(99L * type.bytes()), type, 1, 1, 5).read(), "no gap behind the last row");
    }

    /** A native routine would write to it all the same, and end the process where its pages are write-protected. */
    @Test
    void borrowRefusesReadOnlyMemory() {
        MemorySegment memory = arena.allocate(16, 16).asReadOnly();
        assertThrows(IllegalArgumentException.class, () -> device.borrow(memory, DataType.FLOAT32, 2, 2, 2));
    }

    @Test
    void useAfterTheBorrowedArenaIsClosedIsRefused() {
        Arena own = Arena.ofConfined();
        Matrix m = device.borrow(own.allocate(16, 16), DataType.FLOAT32, 2, 2, 2);
        Matrix c = device.allocate(DataType.FLOAT32, 2, 2);
        own.close();
        assertThrows(IllegalStateException.class, () -> device.gemm(1, m, Op.NONE, m, Op.NONE, 0, c));
        assertThrows(IllegalStateException.class, () -> device.fill(m, 1));
    }

    @Test
    void aMatrixIsReadAndWrittenInPlaceUntilItIsClosed() {
        Matrix m = device.allocate(DataType.FLOAT32, 3, 2, 4);
        MemorySegment memory = m.segment();
        memory.setAtIndex(ValueLayout.JAVA_FLOAT, 4, 5);
        assertArrayEquals(new double[] {0, 0, 5, 0, 0, 0}, m.read());
        assertEquals(0, memory.address() % 16);
        m.close();
        assertThrows(IllegalStateException.class, () -> memory.getAtIndex(ValueLayout.JAVA_FLOAT, 4));
    }

    /** One matrix cannot be freed while native code has it; the others are, and so is what comes after. */
    @Test
    void closingFreesTheOthersWhereOneMatrixCannotBeFreed() throws Throwable {
        HostDevice own = HostDevice.open();
        Matrix[] all = {own.allocate(DataType.FLOAT32, 2, 2), own.allocate(DataType.FLOAT32, 2, 2), own.allocate(DataType.FLOAT32, 2, 2)};
        own.gemm(1, own.allocate(DataType.BFLOAT16, 2, 2), Op.NONE, own.allocate(DataType.BFLOAT16, 2, 2), Op.NONE, 0, all[0]);
        List<MemorySegment> memory = Stream.of(all).map(Matrix::segment).toList();
        List<Throwable> thrown = new ArrayList<>();
        InUse.during(memory.get(1), () -> {
            try {
                own.close();
            } catch (IllegalStateException e) {
                thrown.add(e);
            }
        });
        assertEquals(1, thrown.size(), "the failure is told");
        assertTrue(own.isClosed());
        assertFalse(memory.get(0).scope().isAlive() || memory.get(2).scope().isAlive());
        assertTrue(memory.get(1).scope().isAlive(), "native code had it");
        own.close();
        for (Matrix m : all) {
            assertThrows(IllegalStateException.class, m::read);
            m.close();
        }
    }

    /** What products of 16 bits are widened into is counted, kept and freed. */
    @Test
    void productsOf16BitsKeepWhatTheyAreWidenedInto() {
        Matrix a = device.allocate(DataType.BFLOAT16, 3, 5);
        Matrix c = device.allocate(DataType.BFLOAT16, 3, 3);
        Counters before = device.counters();
        device.gemm(1, a, Op.NONE, a, Op.TRANSPOSE, 0, c);
        assertEquals(before.currentBytes() + (15 + 15 + 9) * Float.BYTES, device.counters().currentBytes());
        Counters once = device.counters();
        device.gemm(1, a, Op.NONE, a, Op.TRANSPOSE, 1, c);
        device.gemm(2, 2, 4, 1, a, Op.NONE, a, Op.TRANSPOSE, 1, c);
        assertEquals(once.allocations(), device.counters().allocations());
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void dotSumsInFloat64(DataType type) {
        for (int[] shape : new int[][] {{1, 1}, {1, 2000}, {2000, 1}, {64, 129}}) {
            Reference a = Reference.random(shape[0], shape[1], type, random);
            Reference b = Reference.random(shape[0], shape[1], type, random);
            double relative = 4 * 0x1p-52 * (Math.sqrt(a.cols()) + Math.sqrt(a.rows()));
            assertEquals(DotTest.exact(a, b), device.dot(a.on(device, type), b.on(device, type)), relative * a.magnitudes().dot(b.magnitudes()));
        }
    }

    @Test
    void libraryIsTold() {
        assertTrue(device.description().startsWith("host, "));
        assertFalse(device.libraryOrigin().isBlank());
    }

    // ---- beyond 2³¹ elements

    /** A sparse file of three rows; only the pages that are touched exist. */
    private MemorySegment sparse(Path folder, long elements) throws IOException {
        Path file = folder.resolve("sparse");
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.SPARSE, StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
            return channel.map(MapMode.READ_WRITE, 0, elements * Float.BYTES, arena);
        }
    }

    @Test
    void everyOperationReachesBeyondTwoToThe33Bytes(@TempDir Path folder) throws IOException {
        DataType type = DataType.FLOAT32;
        MemorySegment memory = sparse(folder, 2 * APART + 64);
        assertTrue(2 * APART > 1L << 31 && memory.byteSize() > 1L << 33);
        Reference x = Reference.random(3, 5, type, random);
        Reference y = Reference.random(5, 4, type, random);
        Reference xy = x.times(y);
        Reference scale = x.magnitudes().times(y.magnitudes());
        Matrix a = device.borrow(memory, type, 3, 5, APART);
        Matrix c = device.borrow(memory.asSlice(64), type, 3, 4, APART);
        Matrix b = y.on(device, type);

        a.write(x.data()); // copyIn
        assertEquals((float) x.at(2, 4), memory.getAtIndex(ValueLayout.JAVA_FLOAT, 2 * APART + 4));
        assertArrayEquals(x.data(), a.read()); // copyOut
        device.fill(c, Double.NaN);
        device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c);
        xy.assertClose("far A, far C", Reference.of(c), type, 5, scale);
        Matrix transposed = device.allocate(type, 4, 3);
        device.gemm(1, b, Op.TRANSPOSE, a, Op.TRANSPOSE, 0, transposed);
        xy.transpose().assertClose("far B", Reference.of(transposed), type, 5, scale.transpose());
        assertEquals(x.dot(x), device.dot(a, a), 4 * 0x1p-52 * Math.sqrt(15) * x.dot(x));
        Matrix near = device.allocate(type, 3, 5);
        device.copy(a, near);
        device.scale(-2, a);
        assertArrayEquals(x.times(-2).data(), a.read());
        assertArrayEquals(x.data(), near.read());
        a.rows(2, 3).write(1, -9, 2, 3, 4);
        assertEquals(-9, device.largest(a));

        MemorySegment host = memory.asSlice(128); // host memory with far rows
        device.copyOut(near, host, APART);
        device.fill(near, Double.NaN);
        device.copyIn(host, APART, near);
        assertArrayEquals(x.data(), near.read());
        assertEquals((float) x.at(2, 0), memory.getAtIndex(ValueLayout.JAVA_FLOAT, 2 * APART + 32));
    }

    @Test
    void memoryBorrowedTwiceIsKnownToOverlap() {
        Matrix a = device.allocate(DataType.FLOAT64, 4, 4);
        Matrix same = device.borrow(a.segment(), DataType.FLOAT64, 4, 4, 4);
        Matrix half = device.borrow(a.segment().asSlice(0, 64), DataType.FLOAT64, 2, 4, 4);
        Matrix rest = device.borrow(a.segment().asSlice(64), DataType.FLOAT64, 2, 4, 4);
        assertThrows(IllegalArgumentException.class, () -> device.gemm(1, a, Op.NONE, a, Op.NONE, 0, same));
        assertTrue(a.overlaps(half) && same.overlaps(rest));
        assertFalse(half.overlaps(rest));
        Matrix left = device.borrow(a.segment(), DataType.FLOAT64, 3, 2, 4); // columns 0, 1 and 2, 3 of rows 0 … 2 and 1 … 3
        Matrix right = device.borrow(a.segment().asSlice(6 * 8), DataType.FLOAT64, 3, 2, 4);
        assertFalse(left.overlaps(right) || right.overlaps(left));
        Matrix wrapped = device.borrow(a.segment().asSlice(3 * 8), DataType.FLOAT64, 3, 2, 4); // column 3, and 0 of the next row
        assertTrue(left.overlaps(wrapped) && wrapped.overlaps(left) && right.overlaps(wrapped));
        Matrix narrow = device.borrow(a.segment(), DataType.FLOAT64, 2, 1, 3);
        assertTrue(left.overlaps(narrow) && narrow.overlaps(left));
    }

    @Test
    void aMatrixTooLargeForAJavaArrayIsRefusedInWords(@TempDir Path folder) throws IOException {
        Matrix large = device.borrow(sparse(folder, 1L << 30), DataType.FLOAT32, 1 << 15, 1 << 15, 1 << 15);
        assertTrue(assertThrows(IllegalArgumentException.class, large::read).getMessage().contains("32768×32768"));
    }

    /** LAPACK counts elements in 32 bits and would write anywhere; BLAS counts rows and columns alone. */
    @Test
    void factorisationsOfFarRowsAreRefusedAndSolvesAreRight(@TempDir Path folder) throws IOException {
        DataType type = DataType.FLOAT32;
        Reference x = Reference.random(3, 3, type, random);
        Matrix far = device.borrow(sparse(folder, 2 * APART + 64), type, 3, 3, APART);
        Matrix near = x.on(device, type);
        Matrix other = device.allocate(type, 3, 3);
        Matrix row = device.allocate(type, 1, 3);
        far.write(x.data());
        for (Executable refused : List.<Executable>of(() -> device.svd(far, near, row, other), () -> device.svd(near, far, row, other),
                () -> device.svd(near, other, row, far), () -> device.qr(far, other), () -> device.qr(near, far), () -> device.cholesky(far),
                () -> device.symmetricEigen(far, row))) {
            String message = assertThrows(IllegalArgumentException.class, refused).getMessage();
            assertTrue(message.contains("2200000021") && message.contains("2147483647"), message);
        }
        assertArrayEquals(x.data(), far.read());

        device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, far, near);
        Reference lower = Reference.zeros(3, 3);
        for (int i = 0; i < 3; i++) {
            System.arraycopy(x.data(), 3 * i, lower.data(), 3 * i, i + 1);
        }
        x.assertClose("triangularSolve", lower.times(Reference.of(near)), type, 4, lower.magnitudes().times(Reference.of(near).magnitudes()));
    }

    @Test
    void dimensionsBeyondTheLibrarysIntegersAreRefused() {
        DataType type = DataType.FLOAT32;
        long far = Integer.MAX_VALUE + 1L;
        MemorySegment memory = arena.allocate(64, 16);
        Matrix wide = device.borrow(memory, type, 1, 2, far);
        Matrix empty = device.borrow(memory, type, 0, far, far);
        Matrix long0 = device.borrow(memory, type, far, 0, 1);
        Matrix two = device.allocate(type, 2, 2);
        Matrix row = device.allocate(type, 1, 2);
        Matrix none = device.allocate(type, 0, 0);
        Counters before = device.counters();
        List<Runnable> calls = List.of(() -> device.gemm(1, wide, Op.NONE, two, Op.NONE, 0, row),
                () -> device.gemm(1, row, Op.NONE, two, Op.NONE, 0, wide),
                () -> device.gemm(0, far, 0, 1, none, Op.NONE, empty, Op.NONE, 0, device.borrow(memory, type, 0, far, far)),
                () -> device.gemm(1, long0, Op.NONE, none, Op.NONE, 0, long0), () -> device.qr(long0, none), () -> device.svd(wide, row, row, row),
                () -> device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.NONE, 1, two, wide));
        for (int i = 0; i < calls.size(); i++) {
            Runnable call = calls.get(i);
            String message = assertThrows(IllegalArgumentException.class, call::run, "call " + i).getMessage();
            assertTrue(message.contains(Integer.toString(Integer.MAX_VALUE)), message);
        }
        assertEquals(before.calls(), device.counters().calls());
    }
}
