package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Collectors;

import org.junit.jupiter.api.Test;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.init.LoraGa;
import org.lora4j.svd.ExactSvd;

/** A whole life of a layer, and every operation of a device, in which the k-th call of CUDA's libraries fails, for every k. */
class CudaFaultSweepTest extends SimCudaTest {
    private static final int M = 24;
    private static final int N = 40;
    private static final int B = 6;

    @Test
    void everyCallCanFailAndNothingIsLost() {
        sweep(SimCuda::failAt, () -> life(DataType.FLOAT32), 0);
    }

    @Test
    void everyCallOfA16BitLayerCanFail() {
        sweep(SimCuda::failAt, () -> life(DataType.BFLOAT16), 0);
    }

    @Test
    void memoryCanRunOutAtEveryCall() {
        sweep(SimCuda::failAt, () -> life(DataType.FLOAT32), 2); // cudaErrorMemoryAllocation; of cuBLAS and cuSOLVER another code
    }

    @Test
    void workCanFailLateAtEveryCall() {
        sweep(SimCuda::failLate, () -> life(DataType.FLOAT32), 0);
    }

    @Test
    void everyCallOfEveryOperationCanFail() {
        sweep(SimCuda::failAt, CudaFaultSweepTest::operations, 0);
    }

    @Test
    void everyOperationsWorkCanFailLate() {
        sweep(SimCuda::failLate, CudaFaultSweepTest::operations, 0);
    }

    /** What is not swept over is what only tells of the machine or of a failure. */
    @Test
    void theSweepsReachEveryFunctionThatIsBound() throws IOException {
        Set<String> functions = Files.readAllLines(Path.of("native/bindings/cuda.symbols")).stream().filter(line -> line.matches("cu[a-zA-Z0-9_]+"))
                .collect(Collectors.toCollection(TreeSet::new));
        functions.removeIf(name -> name.matches(".*(Version|GetProperty|GetError|GetLastError|GetStatus|MemGetInfo).*"));
        assertTrue(functions.size() > 60, functions.toString());
        life(DataType.FLOAT32);
        operations();
        life(DataType.BFLOAT16);
        functions.removeIf(name -> SimCuda.calls(name) > 0);
        assertEquals(Set.of(), functions);
    }

    private interface Fault {
        void set(long k, int code);
    }

    private void sweep(Fault fault, Supplier<double[]> life, int code) {
        double[] good = life.get();
        long calls = SimCuda.calls();
        assertTrue(calls > 300, "the life makes " + calls + " calls");
        long struck = 0;
        for (long k = 1; k <= calls; k++) {
            SimCuda.reset();
            fault.set(k, code);
            long failing = k;
            try {
                double[] values = life.get();
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
            assertEquals(good[0], life.get()[0], () -> "a new device after call " + failing + " failed");
        }
        assertTrue(struck > calls / 3, struck + " of " + calls + " faults struck"); // not every call queues work that can fail late
        System.getLogger("org.lora4j.test").log(System.Logger.Level.DEBUG, "{0} calls, {1} faults struck", calls, struck);
    }

    /** Every operation of a device, in float32 and float64; returns numbers of each. */
    private static double[] operations() {
        SimCuda.noConvergence(1);
        List<Double> results = new ArrayList<>();
        try (Device device = SimCuda.open(CudaOptions.defaults().withSvd(1e-6, 30))) {
            for (DataType type : List.of(DataType.FLOAT32, DataType.FLOAT64)) {
                Random random = new Random(6);
                for (int[] shape : new int[][] {{9, 14}, {12, 12}}) { // by gesvdj, and by its batched form
                    Matrix a = Reference.random(shape[0], shape[1], type, random).on(device, type);
                    int k = Math.min(shape[0], shape[1]);
                    Matrix s = device.allocate(type, 1, k);
                    for (int attempt = 0; attempt < 2; attempt++) {
                        try (Matrix u = device.temporary(type, shape[0], k); Matrix vt = device.temporary(type, k, shape[1])) {
                            device.svd(a, u, s, vt);
                        } catch (SvdNotConvergedException e) {
                            if (e.getSuppressed().length > 0) { // closing failed too
                                throw e;
                            }
                            results.add((double) e.sweeps());
                        }
                    }
                    results.add(s.read()[0]);
                }
                Reference square = Reference.random(7, 7, type, random);
                Matrix r = device.allocate(type, 7, 7);
                Matrix q = Reference.random(11, 7, type, random).on(device, type);
                device.qr(q, r);
                Matrix l = square.times(square.transpose()).plus(7, Reference.identity(7)).on(device, type);
                Matrix vectors = device.allocate(type, 7, 7);
                device.copy(l, vectors);
                Matrix w = device.allocate(type, 1, 7);
                device.symmetricEigen(vectors, w);
                device.cholesky(l);
                device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 2, l, r);
                device.gemm(1, q, Op.TRANSPOSE, q, Op.NONE, 1, l);
                device.powerStep(vectors, r, w.device().borrow(l.segment(), type, 7, 7, 7), null);
                device.fill(q.columns(0, 1), 1);
                device.scale(3, q);
                Matrix narrow = device.allocate(DataType.BFLOAT16, 7, 7);
                device.convert(l, narrow);
                device.scale(2, narrow);
                device.convert(narrow, r);
                device.synchronize();
                results.addAll(List.of(device.largest(w), device.dot(q, q), device.largest(r), device.dot(narrow, narrow)));
            }
        }
        return results.stream().mapToDouble(x -> x).toArray();
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
