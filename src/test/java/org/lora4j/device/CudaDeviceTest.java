package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;

import org.junit.jupiter.api.Test;
import org.lora4j.device.SimCuda.Copy;
import org.lora4j.Reference;

/** What a GPU has beyond the contract of all devices: streams, borrowed pointers, its own failures. On the simulated one. */
class CudaDeviceTest extends SimCudaTest {
    private static final DataType TYPE = DataType.FLOAT32;

    // ---- opening

    @Test
    void aGpuThatIsNotThereIsRefusedWithWhatIs() {
        String message = assertThrows(DeviceUnavailableException.class, () -> SimCuda.open(CudaOptions.defaults().withIndex(7))).getMessage();
        assertTrue(message.contains("GPU 7") && message.contains("2 GPUs") && message.contains(SimCuda.path()), message);
        SimCuda.devices(0);
        message = assertThrows(DeviceUnavailableException.class, SimCuda::open).getMessage();
        assertTrue(message.contains("cudaErrorNoDevice") && message.contains(SimCuda.path()), message);
        SimCuda.devices(-1);
        message = assertThrows(DeviceUnavailableException.class, SimCuda::open).getMessage();
        assertTrue(message.contains("cudaErrorInsufficientDriver"), message);
        SimCuda.devices(1);
        SimCuda.open().close();
    }

    @Test
    void optionsAreChecked() {
        assertThrows(IllegalArgumentException.class, () -> CudaOptions.defaults().withIndex(-1));
        assertThrows(IllegalArgumentException.class, () -> CudaOptions.defaults().withSvd(-1, 1));
        assertThrows(IllegalArgumentException.class, () -> CudaOptions.defaults().withSvd(Double.NaN, 1));
        assertThrows(IllegalArgumentException.class, () -> CudaOptions.defaults().withSvd(0, -1));
        assertThrows(IllegalArgumentException.class, () -> CudaOptions.defaults().withStream(MemorySegment.ofArray(new long[1])));
        assertThrows(IllegalArgumentException.class, () -> CudaOptions.defaults().withStream(MemorySegment.ofAddress(2)), "cudaStreamPerThread");
    }

    @Test
    void closingFreesWhatIsStillOpenAndClosesOnce() {
        Device device = SimCuda.open();
        device.allocate(TYPE, 30, 40);
        Matrix temporary = device.temporary(TYPE, 30, 40);
        device.fill(temporary, 3);
        device.close();
        device.close();
        assertEquals("", SimCuda.leaks());
        assertThrows(IllegalStateException.class, temporary::read);
    }

    @Test
    void temporaryMatricesUseMemoryAgain() {
        try (Device device = SimCuda.open()) {
            device.temporary(TYPE, 100, 100).close();
            long mallocs = SimCuda.calls("cudaMalloc");
            long frees = SimCuda.calls("cudaFree");
            for (int i = 0; i < 10; i++) {
                try (Matrix a = device.temporary(TYPE, 100, 99)) {
                    assertEquals(0, device.largest(a), "zeros, whatever stood there");
                    device.fill(a, 7);
                }
            }
            assertEquals(mallocs, SimCuda.calls("cudaMalloc"));
            assertEquals(frees, SimCuda.calls("cudaFree"));
        }
    }

    // ---- memory

    @Test
    void aMatrixOfAGpuCannotBeReadByAccident() {
        try (Device device = SimCuda.open()) {
            Matrix a = device.allocate(TYPE, 4, 4);
            for (Matrix m : new Matrix[] {a, a.rows(1, 3), a.view(1, 2, 1, 2)}) {
                assertTrue(m.segment().address() != 0);
                assertThrows(IndexOutOfBoundsException.class, () -> m.segment().get(ValueLayout.JAVA_FLOAT, 0));
            }
            assertEquals(a.segment().address() + 4 * (4 + 1), a.view(1, 2, 1, 2).segment().address());
        }
    }

    @Test
    void anotherLibrarysMatrixIsWorkedOnWhereItStands() {
        try (Device device = SimCuda.open(); Device host = HostDevice.open()) {
            Matrix owned = device.allocate(TYPE, 5, 8);
            Reference values = Reference.random(5, 6, TYPE, new Random(1));
            Matrix borrowed = device.borrow(MemorySegment.ofAddress(owned.segment().address()), TYPE, 5, 6, 8);
            borrowed.write(values.data());
            assertArrayEquals(values.data(), owned.columns(0, 6).read());
            borrowed.close();
            device.scale(2, owned);
            Matrix sized = device.borrow(MemorySegment.ofAddress(owned.segment().address()).reinterpret(4 * (4 * 8 + 6)), TYPE, 5, 6, 8);
            assertArrayEquals(values.times(2).data(), sized.read());
            assertThrows(IllegalArgumentException.class, () -> device.copy(owned.columns(0, 6), sized), "the same memory");

            MemorySegment pointer = owned.segment();
            assertThrows(IllegalArgumentException.class, () -> device.borrow(pointer.reinterpret(4 * (4 * 8 + 6) - 1), TYPE, 5, 6, 8));
            assertThrows(IllegalArgumentException.class, () -> device.borrow(MemorySegment.ofAddress(pointer.address() + 2), TYPE, 1, 1, 1));
            assertThrows(IllegalArgumentException.class, () -> device.borrow(MemorySegment.NULL, TYPE, 1, 1, 1));
            assertThrows(IllegalArgumentException.class, () -> device.borrow(null, TYPE, 1, 1, 1));
            assertThrows(IllegalArgumentException.class, () -> device.borrow(MemorySegment.ofArray(new float[4]), TYPE, 1, 1, 1));
            String message = assertThrows(IllegalArgumentException.class, () -> device.borrow(host.allocate(TYPE, 2, 2).segment(), TYPE, 2, 2, 2)).getMessage();
            assertTrue(message.contains("no GPU's"), message);
            message = assertThrows(IllegalArgumentException.class, () -> device.borrow(MemorySegment.ofAddress(pointer.address()), TYPE, 5, 9, 8 + 1)).getMessage();
            assertTrue(message.contains("+ 179 is no GPU's"), message);
            try (Device second = SimCuda.open(CudaOptions.defaults().withIndex(1))) {
                message = assertThrows(IllegalArgumentException.class, () -> second.borrow(MemorySegment.ofAddress(pointer.address()), TYPE, 5, 6, 8)).getMessage();
                assertTrue(message.contains("GPU 0's") && message.contains("must be GPU 1's"), message);
            }
        }
    }

    @Test
    void outOfMemorySaysHowMuchWasAskedForHeldAndFree() {
        try (Device device = SimCuda.open()) {
            device.allocate(TYPE, 256, 1024);
            device.temporary(TYPE, 512, 1024).close();
            SimCuda.memoryLimit(8L << 20);
            String message = assertThrows(OutOfDeviceMemoryException.class, () -> device.allocate(TYPE, 4096, 1024)).getMessage();
            assertTrue(message.contains(" " + (16 << 20) + " bytes") && message.contains("holds " + (1 << 20) + " bytes") && message.contains("are free"), message);
            Matrix small = device.allocate(TYPE, 2, 2);
            device.fill(small, 1);
            assertArrayEquals(new double[] {1, 1, 1, 1}, small.read(), "the device is still usable");
        }
    }

    @Test
    void whatIsKeptForLaterIsGivenUpBeforeMemoryRunsOut() {
        try (Device device = SimCuda.open()) {
            SimCuda.memoryLimit(12L << 20); // of which cuBLAS's workspace takes 4
            device.temporary(TYPE, 1024, 1024).close();
            assertEquals(6L << 20, device.allocate(TYPE, 3 << 19, 1).rows() * 4);
        }
        try (Device device = SimCuda.open()) {
            SimCuda.memoryLimit(12L << 20);
            try (Matrix a = device.allocate(TYPE, 512, 1024)) {
                device.uniform(1, a); // 2 MiB of it are kept, and nothing else
            }
            Matrix large = device.allocate(TYPE, 7 << 18, 1);
            Matrix a = device.allocate(TYPE, 256, 1024);
            device.uniform(1, a);
            assertEquals(new SplittableRandom(1).nextLong() >> 32, (long) Math.scalb(a.read()[1], 31), 1 << 7, "float32 of 31 bits, though there is no room to keep them");
            large.close();
        }
    }

    @Test
    void uniformNumbersAreCopiedInOnce() {
        try (Device device = SimCuda.open()) {
            Matrix a = device.allocate(TYPE, 10, 8);
            Matrix b = device.allocate(TYPE, 10, 8);
            device.uniform(1, a);
            long copies = SimCuda.copies(Copy.HOST_TO_DEVICE);
            device.uniform(1, b);
            assertArrayEquals(a.read(), b.read());
            device.uniform(1, b.rows(0, 3));
            assertArrayEquals(a.read(), b.read(), "fewer rows are the first ones");
            assertEquals(copies, SimCuda.copies(Copy.HOST_TO_DEVICE));
            device.uniform(2, b.rows(0, 3));
            device.uniform(1, b.columns(0, 3));
            assertEquals(copies + 2, SimCuda.copies(Copy.HOST_TO_DEVICE), "another seed, another number of columns");
        }
    }

    // ---- streams

    @Test
    void aCallersStreamIsUsedAndLeftAlone() {
        try (CudaDevice owner = SimCuda.open(CudaOptions.defaults())) {
            MemorySegment stream = owner.stream();
            try (CudaDevice guest = SimCuda.open(CudaOptions.defaults().withStream(stream))) {
                assertEquals(stream, guest.stream());
                Matrix a = guest.allocate(TYPE, 2, 2);
                a.write(1, 2, 3, 4);
                assertArrayEquals(new double[] {1, 2, 3, 4}, a.read());
            }
            assertEquals(1, SimCuda.live(SimCuda.Live.STREAMS));
            owner.synchronize();
            try (CudaDevice guest = SimCuda.open(CudaOptions.defaults().withStream(MemorySegment.NULL))) {
                assertEquals(5, guest.largest(Reference.identity(3).times(5).on(guest, TYPE)), "CUDA's default stream");
            }
        }
    }

    @Test
    void twoGpusInTwoThreads() {
        double[] alone = work(0);
        for (int round = 0; round < 5; round++) {
            var one = CompletableFuture.supplyAsync(() -> work(0), task -> new Thread(task).start());
            var two = CompletableFuture.supplyAsync(() -> work(1), task -> new Thread(task).start());
            assertArrayEquals(alone, one.join());
            assertArrayEquals(alone, two.join());
        }
    }

    private static double[] work(int index) {
        try (Device device = SimCuda.open(CudaOptions.defaults().withIndex(index))) {
            Matrix a = Reference.random(30, 30, TYPE, new Random(8)).on(device, TYPE);
            Matrix b = device.allocate(TYPE, 30, 30);
            for (int i = 0; i < 10; i++) {
                device.gemm(0.1, a, Op.NONE, a, Op.TRANSPOSE, 0, b);
                device.copy(b, a);
                device.scale(1 / device.largest(a), a);
            }
            return a.read();
        }
    }

    @Test
    void theGpuIsChosenForEachCall() {
        try (Device first = SimCuda.open(CudaOptions.defaults()); Device second = SimCuda.open(CudaOptions.defaults().withIndex(1))) {
            Matrix a = first.allocate(TYPE, 2, 2);
            Matrix b = second.allocate(TYPE, 2, 2);
            first.fill(a, 1);
            second.fill(b, 2);
            first.gemm(1, a, Op.NONE, a, Op.NONE, 0, first.allocate(TYPE, 2, 2));
            assertThrows(IllegalArgumentException.class, () -> first.gemm(1, a, Op.NONE, b, Op.NONE, 0, first.allocate(TYPE, 2, 2)));
            assertArrayEquals(new double[] {1, 1, 1, 1}, a.read());
            assertArrayEquals(new double[] {2, 2, 2, 2}, b.read());
        }
    }

    // ---- failures

    @Test
    void aFailureNamesTheCallItsArgumentsTheCodeAndTheLibrarysWords() {
        try (Device device = SimCuda.open()) {
            Matrix a = device.allocate(TYPE, 5, 7);
            Matrix c = device.allocate(TYPE, 5, 5);
            SimCuda.failAt(2, 13); // after cudaSetDevice
            NativeException e = assertThrows(NativeException.class, () -> device.gemm(1, a, Op.NONE, a, Op.TRANSPOSE, 0, c));
            assertEquals(13, e.code());
            assertTrue(e.getMessage().contains("cublasSgemm_v2(") && e.getMessage().contains("k=7")
                    && e.getMessage().contains("CUBLAS_STATUS_EXECUTION_FAILED"), e.getMessage());
            device.gemm(1, a, Op.NONE, a, Op.TRANSPOSE, 0, c);
        }
    }

    @Test
    void aLateFailureNamesWhatWasInFlight() {
        Device device = SimCuda.open();
        Matrix a = Reference.random(5, 7, TYPE, new Random(2)).on(device, TYPE);
        Matrix c = device.allocate(TYPE, 5, 5);
        c.read();
        SimCuda.failLate(2, 700);
        device.gemm(1, a, Op.NONE, a, Op.TRANSPOSE, 0, c); // queued
        assertFalse(SimCuda.faultStruck());
        NativeException e = assertThrows(NativeException.class, c::read);
        assertTrue(SimCuda.faultStruck());
        assertTrue(e.getMessage().contains("cudaErrorIllegalAddress") && e.getMessage().contains("in flight: ")
                && e.getMessage().contains("cublasSgemm_v2(5, 5, 7)"), e.getMessage());
        assertThrows(NativeException.class, () -> device.fill(c, 0), "the context is lost");
        assertThrows(NativeException.class, device::close);
        assertTrue(device.isClosed());
        device.close();
    }

    /** The copy is under way though the event behind it could not be recorded: what is copied next must not meet it in the same pinned memory. */
    @Test
    void aCopyThatFailedHalfWayDoesNotReachLaterOnes() {
        try (Device device = SimCuda.open()) {
            Matrix a = device.allocate(TYPE, 1, 2);
            Matrix b = device.allocate(TYPE, 1, 2);
            device.fill(a, 0);
            a.write(1, 2);
            b.write(3, 4);
            SimCuda.failAt(3, 1); // cudaSetDevice, the copy, cudaEventRecord
            assertTrue(assertThrows(NativeException.class, a::read).getMessage().contains("cudaEventRecord"));
            a.write(5, 6);
            b.write(7, 8);
            assertArrayEquals(new double[] {5, 6}, a.read());
            assertArrayEquals(new double[] {7, 8}, b.read());
        }
    }

    @Test
    void heldHostMemoryOfAnotherThreadOrClosedIsRefusedBeforeAnyCall() {
        try (Device device = SimCuda.open()) {
            Matrix a = device.allocate(TYPE, 2, 2);
            Arena arena = Arena.ofConfined();
            MemorySegment gone = arena.allocate(16);
            arena.close();
            long copies = SimCuda.calls("cudaMemcpyAsync");
            assertThrows(IllegalStateException.class, () -> device.copyIn(gone, 2, a));
            assertThrows(IllegalArgumentException.class, () -> device.copyIn(null, 2, a));
            assertThrows(IllegalArgumentException.class, () -> device.copyIn(MemorySegment.ofArray(new float[3]), 2, a));
            assertEquals(copies, SimCuda.calls("cudaMemcpyAsync"));
        }
    }
}
