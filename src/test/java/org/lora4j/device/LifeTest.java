package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;

/** Who may use a device, and what happens to it and its matrices after closing. */
class LifeTest extends DeviceTest {
    private static final DataType TYPE = DataType.FLOAT32;

    // ---- closing

    @Test
    void closingAMatrixTwiceFreesItOnceAndClosingAViewNothing() {
        long held = device.counters().currentBytes();
        Matrix a = device.allocate(TYPE, 4, 4);
        device.allocate(TYPE, 1, 1);
        a.rows(0, 2).close();
        assertEquals(held + 68, device.counters().currentBytes());
        device.fill(a, 1);
        a.close();
        a.close();
        assertEquals(held + 4, device.counters().currentBytes());
    }

    @Test
    void closingMatricesLeavesNothing() {
        long held = device.counters().currentBytes();
        List<Matrix> all = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            all.add(device.allocate(TYPE, i, 3));
        }
        all.forEach(Matrix::close);
        assertEquals(held, device.counters().currentBytes());
    }

    @Test
    void afterCloseEveryOperationIsRefused() {
        Map<String, Executable> operations = operations();
        Matrix m = device.allocate(TYPE, 2, 2);
        assertFalse(device.isClosed());
        device.close();
        device.close();
        assertTrue(device.isClosed());
        m.close();
        operations.forEach((name, call) -> assertThrows(IllegalStateException.class, call, name));
    }

    @Test
    void aClosedMatrixIsRefusedAtEveryPlace() {
        for (boolean view : new boolean[] {false, true}) {
            Matrix good = device.allocate(TYPE, 2, 2);
            Matrix good2 = device.allocate(TYPE, 2, 2);
            Matrix row = device.allocate(TYPE, 1, 2);
            Matrix wide = device.allocate(DataType.FLOAT64, 2, 2);
            Matrix root = device.allocate(TYPE, 3, 2);
            Matrix gone = view ? root.rows(1, 3) : device.allocate(TYPE, 2, 2);
            (view ? root : gone).close();
            Counters before = device.counters();
            MemorySegment host = MemorySegment.ofArray(new float[4]);
            List<Executable> calls = List.of(() -> device.copyIn(host, 2, gone), () -> device.copyOut(gone, host, 2), () -> device.copy(gone, good),
                    () -> device.copy(good, gone), () -> device.convert(gone, wide), () -> device.convert(wide, gone), () -> gone.temporaryCopy(TYPE),
                    () -> device.powerStep(gone, good, good2, null), () -> device.powerStep(good, good2, gone, null), () -> device.fill(gone, 1), () -> device.scale(1, gone), () -> device.dot(gone, good),
                    () -> device.dot(good, gone), () -> device.largest(gone), () -> device.gemm(1, gone, Op.NONE, good, Op.NONE, 0, good2),
                    () -> device.gemm(2, 2, 2, 1, good, Op.NONE, good, Op.NONE, 0, gone), () -> device.svd(gone, good, row, good2),
                    () -> device.svd(good, gone, row, good2), () -> device.svd(good, good2, row, gone), () -> device.qr(gone, good),
                    () -> device.qr(good, gone), () -> device.cholesky(gone), () -> device.symmetricEigen(gone, row),
                    () -> device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, gone, good),
                    () -> device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, good, gone), () -> gone.read(), () -> gone.write(1, 2, 3, 4),
                    () -> gone.rows(0, 1), () -> gone.columns(0, 1), () -> gone.view(0, 1, 0, 1), () -> gone.segment());
            for (int i = 0; i < calls.size(); i++) {
                assertThrows(IllegalStateException.class, calls.get(i), "call " + i);
            }
            assertEquals(before.calls(), device.counters().calls(), "refused calls are not counted");
        }
    }

    // ---- threads

    @Test
    void everyOperationRefusesAnotherThread() {
        Map<String, Executable> operations = operations();
        Matrix m = device.allocate(TYPE, 2, 2);
        operations.put("Matrix.close", m::close);
        operations.put("Device.close", device::close);
        long calls = device.counters().calls();
        operations.forEach((name, call) -> {
            // These only compute an address.
            if (!List.of("Matrix.rows", "Matrix.columns", "Matrix.view", "Matrix.segment").contains(name)) {
                inAnotherThread(() -> assertThrows(WrongThreadException.class, call, name));
            }
        });
        assertEquals(calls, device.counters().calls());
        device.fill(m, 1);
    }

    @Test
    void handOverMakesTheOtherThreadTheOnlyOwner() {
        Matrix m = device.allocate(TYPE, 2, 2);
        Thread owner = Thread.currentThread();
        Thread next = new Thread(() -> {
            device.fill(m, 3);
            device.allocate(TYPE, 1, 1).close();
            device.handOver(owner);
        });
        device.handOver(next);
        assertThrows(WrongThreadException.class, () -> device.fill(m, 1));
        assertThrows(WrongThreadException.class, () -> device.handOver(owner));
        next.start();
        try {
            next.join();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        assertArrayEquals(new double[] {3, 3, 3, 3}, m.read());
        inAnotherThread(() -> assertThrows(WrongThreadException.class, () -> device.fill(m, 1)));
    }

    @Test
    void handOverWaitsForTemporaryMatrices() {
        Matrix temporary = device.temporary(TYPE, 2, 3);
        assertArrayEquals(new double[6], temporary.read());
        assertThrows(IllegalStateException.class, () -> device.handOver(new Thread()));
        device.checkOwned();
        temporary.close();
        assertThrows(IllegalStateException.class, temporary::read);
        device.handOver(Thread.currentThread());
    }

    @Test
    void handOverRefusesNobody() {
        assertThrows(RuntimeException.class, () -> device.handOver(null));
        device.allocate(TYPE, 1, 1).close();
    }

    @Test
    void twoDevicesInTwoThreadsGiveTheSameNumbersAsAlone() {
        double[] alone = products();
        for (int round = 0; round < 5; round++) {
            var one = CompletableFuture.supplyAsync(this::products, task -> new Thread(task).start());
            var two = CompletableFuture.supplyAsync(this::products, task -> new Thread(task).start());
            assertArrayEquals(alone, one.join());
            assertArrayEquals(alone, two.join());
        }
    }

    private double[] products() {
        try (Device own = opener.get()) {
            Matrix a = Reference.random(130, 130, TYPE, new Random(8)).on(own, TYPE);
            Matrix b = own.allocate(TYPE, 130, 130);
            Matrix r = own.allocate(TYPE, 130, 130);
            for (int i = 0; i < 10; i++) {
                own.gemm(0.1, a, Op.NONE, a, Op.TRANSPOSE, 0, b);
                own.qr(b, r);
                own.copy(b, a);
            }
            return a.read();
        }
    }

    private static void inAnotherThread(Runnable check) {
        try {
            CompletableFuture.runAsync(check, task -> new Thread(task).start()).join();
        } catch (CompletionException e) {
            throw new AssertionError(e.getCause().getMessage(), e.getCause());
        }
    }

    /** Every public operation of a device and of its matrices except close, with arguments that are right. */
    private Map<String, Executable> operations() {
        Matrix a = device.allocate(TYPE, 2, 2);
        Matrix b = device.allocate(TYPE, 2, 2);
        Matrix c = device.allocate(TYPE, 2, 2);
        Matrix row = device.allocate(TYPE, 1, 2);
        Matrix narrow = device.allocate(DataType.BFLOAT16, 2, 2);
        MemorySegment host = MemorySegment.ofArray(new float[4]);
        MemorySegment memory = opener.borrowable(device, 16);
        Map<String, Executable> all = new LinkedHashMap<>();
        all.put("allocate", () -> device.allocate(TYPE, 2, 2));
        all.put("allocate with a leading dimension", () -> device.allocate(TYPE, 2, 2, 3));
        all.put("borrow", () -> device.borrow(memory, TYPE, 2, 2, 2));
        all.put("temporary", () -> device.temporary(TYPE, 2, 2).close());
        all.put("copyIn", () -> device.copyIn(host, 2, a));
        all.put("copyOut", () -> device.copyOut(a, host, 2));
        all.put("copy", () -> device.copy(a, b));
        all.put("convert", () -> device.convert(a, narrow));
        all.put("fill", () -> device.fill(a, 1));
        all.put("uniform", () -> device.uniform(1, a));
        all.put("scale", () -> device.scale(1, a));
        all.put("dot", () -> device.dot(a, b));
        all.put("largest", () -> device.largest(a));
        all.put("gemm", () -> device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c));
        all.put("addmm", () -> device.addmm(c, 1, a, Op.NONE, b, Op.NONE));
        all.put("gemm of blocks", () -> device.gemm(1, 1, 1, 1, a, Op.NONE, b, Op.NONE, 0, c));
        all.put("powerStep", () -> device.powerStep(a, b, c, null));
        all.put("svd", () -> device.svd(a, b, row, c));
        all.put("qr", () -> device.qr(a, b));
        all.put("cholesky", () -> device.cholesky(a));
        all.put("triangularSolve", () -> device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, a, b));
        all.put("symmetricEigen", () -> device.symmetricEigen(a, row));
        all.put("synchronize", device::synchronize);
        all.put("counters", device::counters);
        all.put("checkOwned", device::checkOwned);
        all.put("handOver", () -> device.handOver(Thread.currentThread()));
        all.put("Matrix.write", () -> a.write(1, 2, 3, 4));
        all.put("Matrix.read", a::read);
        all.put("Matrix.temporaryCopy", () -> a.temporaryCopy(DataType.FLOAT64).close());
        all.put("Matrix.rows", () -> a.rows(0, 1));
        all.put("Matrix.columns", () -> a.columns(0, 1));
        all.put("Matrix.view", () -> a.view(0, 1, 0, 1));
        all.put("Matrix.segment", a::segment);
        return all;
    }

    // ---- sizes

    @Test
    void allocationRefusesBadSizes() {
        Counters start = device.counters();
        long max = Long.MAX_VALUE;
        long[][] bad = {{-1, 2, 2}, {2, -1, 2}, {2, 3, 2}, {2, 0, 0}, {2, 2, -2}, {max, 2, 2}, {max / 8, 3, 3}, {1L << 32, 1, 1L << 31},
            {1L << 31, 1L << 31, 1L << 31}, {1, max, max}, {Long.MIN_VALUE, 1, 1}, {1, 1, Long.MIN_VALUE}};
        for (long[] s : bad) {
            assertThrows(IllegalArgumentException.class, () -> device.allocate(DataType.FLOAT64, s[0], s[1], s[2]), s[0] + "×" + s[1] + ", " + s[2]);
        }
        assertThrows(IllegalArgumentException.class, () -> device.allocate(TYPE, -1, 1));
        assertThrows(OutOfDeviceMemoryException.class, () -> device.allocate(TYPE, 1L << 30, 1L << 20));
        assertThrows(OutOfDeviceMemoryException.class, () -> device.allocate(TYPE, 1, max / 4));
        assertEquals(start.currentBytes(), device.counters().currentBytes());
        assertEquals(start.allocations(), device.counters().allocations());
    }

    @Test
    void viewsMayNotLeaveTheMatrix() {
        Matrix m = device.allocate(TYPE, 3, 4);
        long[][] bad = {{-1, 1, 0, 1}, {0, 4, 0, 1}, {2, 1, 0, 1}, {0, 1, -1, 1}, {0, 1, 0, 5}, {0, 1, 3, 2}, {0, Long.MAX_VALUE, 0, 1}};
        for (long[] v : bad) {
            assertThrows(IndexOutOfBoundsException.class, () -> m.view(v[0], v[1], v[2], v[3]));
        }
        assertEquals(0, m.view(3, 3, 4, 4).read().length);
    }

    @Test
    void aDeviceTellsWhatItIs() {
        assertTrue(device.description().contains(device.library()) && !device.library().isBlank());
        assertEquals(8, device.aligned(DataType.FLOAT32, 5));
        assertEquals(6, device.aligned(DataType.FLOAT64, 5));
        assertEquals(0, device.aligned(DataType.FLOAT64, 0));
        assertEquals(16, device.aligned(DataType.BFLOAT16, 9));
        assertEquals(8, device.aligned(DataType.FLOAT16, 8));
    }
}
