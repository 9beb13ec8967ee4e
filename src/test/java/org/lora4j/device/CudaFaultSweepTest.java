package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.init.LoraGa;
import org.lora4j.svd.ExactSvd;

/** A whole life of a layer in which the k-th call of CUDA's libraries fails, for every k. */
class CudaFaultSweepTest extends SimCudaTest {
    private static final int M = 24;
    private static final int N = 40;
    private static final int B = 6;

    @Test
    void everyCallCanFailAndNothingIsLost() {
        sweep(SimCuda::failAt, DataType.FLOAT32, 0);
    }

    @Test
    void everyCallOfA16BitLayerCanFail() {
        sweep(SimCuda::failAt, DataType.BFLOAT16, 0);
    }

    @Test
    void memoryCanRunOutAtEveryCall() {
        sweep(SimCuda::failAt, DataType.FLOAT32, 2); // cudaErrorMemoryAllocation; of cuBLAS and cuSOLVER another code
    }

    @Test
    void workCanFailLateAtEveryCall() {
        sweep(SimCuda::failLate, DataType.FLOAT32, 0);
    }

    private interface Fault {
        void set(long k, int code);
    }

    private void sweep(Fault fault, DataType type, int code) {
        double[] good = life(type);
        long calls = SimCuda.calls();
        assertTrue(calls > 300, "the life makes " + calls + " calls");
        long struck = 0;
        for (long k = 1; k <= calls; k++) {
            SimCuda.reset();
            fault.set(k, code);
            long failing = k;
            try {
                double[] values = life(type);
                boolean recovered = code == 2 && SimCuda.call(failing).equals("cudaMalloc"); // what was kept for reuse was given up
                assertTrue(recovered || !SimCuda.faultStruck(), () -> "call " + failing + ", " + SimCuda.call(failing) + ", failed unnoticed");
                assertEquals(Reference.zeros(1, good.length).plus(1, new Reference(1, good.length, good)).norm(), new Reference(1, values.length, values).norm(), 0);
            } catch (NativeException e) {
                struck++;
                assertTrue(e.getMessage().contains("cuda") || e.getMessage().contains("cublas") || e.getMessage().contains("cusolver"), e.getMessage());
            } catch (OutOfDeviceMemoryException | DeviceUnavailableException e) {
                struck++;
                assertTrue(e.getMessage().contains("bytes") || e.getMessage().contains("GPU"), e.getMessage());
            }
            assertEquals("", SimCuda.leaks(), () -> "after call " + failing + " failed");
            SimCuda.reset();
            assertEquals(good[0], life(type)[0], () -> "a new device after call " + failing + " failed");
        }
        assertTrue(struck > calls / 3, struck + " of " + calls + " faults struck"); // not every call queues work that can fail late
        System.getLogger("org.lora4j.test").log(System.Logger.Level.DEBUG, "{0} calls, {1} faults struck", calls, struck);
    }

    /** Load, initialise, forward, backward, merge, unmerge, close; returns Y. */
    private static double[] life(DataType type) {
        Random random = new Random(5);
        Reference w = Reference.random(M, N, type, random);
        Reference g = Reference.random(M, N, DataType.FLOAT32, random);
        Reference x = Reference.random(B, N, type, random);
        Reference dy = Reference.random(B, M, type, random);
        try (Device device = SimCuda.open(); LoraLinear layer = new LoraLinear(device, new LoraConfig(3, 8, Scaling.RANK_STABILISED), type, M, N, true, B)) {
            MemorySegment host = MemorySegment.ofArray(new byte[M * N * type.bytes()]);
            for (int i = 0; i < M * N; i++) {
                type.set(host, i, w.data()[i]);
            }
            layer.load(host, N);
            try (Matrix gradient = g.on(device, DataType.FLOAT32)) {
                LoraGa.of(gradient).initialize(layer);
                LoraGa.of(gradient).withSvd(new ExactSvd()).initialize(layer);
            }
            layer.input(B).write(x.data());
            Matrix y = device.allocate(type, B, M);
            layer.forward(layer.input(B), y);
            layer.outputGradient(B).write(dy.data());
            layer.zeroGradients();
            layer.backward(layer.input(B), layer.outputGradient(B), layer.input(B));
            layer.gradA().read();
            layer.merge();
            layer.unmerge();
            return y.read();
        }
    }
}
