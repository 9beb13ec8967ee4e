package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;
import org.lora4j.bindings.cuda.*;

/**
 * What Java adds to a call of CUDA's libraries: the time of each operation on the simulated GPU with its work switched off,
 * less the same native calls made bare through the bindings. What is left is the checks, the counting and the log of what is
 * in flight, and the small copies of the host's own in copyIn and copyOut. For a quiet machine.
 */
final class CudaOverheadMain {
    private static final int ROUNDS = 60;
    private static final int CALLS = 2000; // the simulation keeps what is queued: the host waits between rounds
    private static final int B = 16;
    private static final int N = 64;

    private final CudaDevice device = SimCuda.open(CudaOptions.defaults());
    private final Map<String, Double> bare = new LinkedHashMap<>(); // nanoseconds by function

    public static void main(String[] args) {
        SimCuda.compute(false);
        new CudaOverheadMain().run();
    }

    private void run() {
        Matrix a = device.allocate(DataType.FLOAT32, N, N);
        Matrix c = device.allocate(DataType.FLOAT32, N, N);
        MemorySegment host = MemorySegment.ofArray(new float[B * N]);
        try (LoraLinear layer = new LoraLinear(device, new LoraConfig(4, 8, Scaling.STANDARD), DataType.FLOAT32, N, N, true, B)) {
            Matrix x = layer.input(B);
            Matrix dy = layer.outputGradient(B);
            Matrix y = device.allocate(DataType.FLOAT32, B, N);
            Matrix dx = device.allocate(DataType.FLOAT32, B, N);
            Matrix small = device.allocate(DataType.FLOAT32, 1, 4);
            MemorySegment four = MemorySegment.ofArray(new float[4]);
            measureBareCalls(a, c);
            measureBareCalls(a, c); // the first time compiles
            System.out.printf("%-14s%14s%18s%14s%14s%18s%n", "operation", "whole, ns", "native calls", "of them, ns", "Java, ns", "Java a call, ns");
            report("gemm", () -> device.gemm(1, a, Op.NONE, a, Op.NONE, 0, c));
            report("forward", () -> layer.forward(x, y));
            report("backward", () -> layer.backward(x, dy, dx));
            report("fill(0)", () -> device.fill(c, 0));
            report("copyIn 16 B", () -> device.copyIn(four, 4, small));
            report("copyOut 16 B", () -> device.copyOut(small, four, 4));
            report("copyIn 4 KiB", () -> device.copyIn(host, N, x));
            report("copyOut 4 KiB", () -> device.copyOut(y, host, N));
        }
        device.close();
    }

    private void report(String name, Runnable operation) {
        double whole = nanoseconds(operation);
        long calls = SimCuda.calls();
        Map<String, Long> before = counts();
        for (int i = 0; i < CALLS; i++) {
            operation.run();
        }
        double each = (double) (SimCuda.calls() - calls) / CALLS;
        double inside = 0;
        double known = 0;
        for (Map.Entry<String, Long> now : counts().entrySet()) {
            double times = (double) (now.getValue() - before.get(now.getKey())) / CALLS;
            known += times;
            inside += times * bare.get(now.getKey());
        }
        if (Math.abs(known - each) > 1e-9) {
            throw new AssertionError(name + " makes " + each + " native calls, of which " + known + " were timed bare");
        }
        System.out.printf("%-14s%14.0f%18.1f%14.0f%14.0f%18.0f%n", name, whole, each, inside, whole - inside, (whole - inside) / each);
    }

    private Map<String, Long> counts() {
        Map<String, Long> counts = new LinkedHashMap<>();
        bare.keySet().forEach(name -> counts.put(name, SimCuda.calls(name)));
        return counts;
    }

    /** The same functions with arguments like those that the device passes, and nothing else. */
    private void measureBareCalls(Matrix a, Matrix c) {
        SymbolLookup library = SymbolLookup.libraryLookup(SimCuda.path(), Arena.global());
        InFlight inFlight = new InFlight();
        Cublas cublas = SimCuda.libraries().cublas();
        Cudart cudart = SimCuda.libraries().cudart();
        MemorySegment handle = cublas.create(inFlight);
        MemorySegment stream = device.stream();
        MemorySegment event = cudart.createEvent(inFlight);
        MemorySegment pinned = cudart.hostAlloc(B * N * Float.BYTES, inFlight);
        MemorySegment one = Arena.global().allocateFrom(ValueLayout.JAVA_FLOAT, 1);
        MemorySegment zero = Arena.global().allocateFrom(ValueLayout.JAVA_FLOAT, 0);
        int toDevice = cuda_h.cudaMemcpyHostToDevice();
        time(library, "cudaSetDevice", f -> cudaSetDevice.invoke(f, 0));
        time(library, "cublasSgemm_v2", f -> cublasSgemm_v2.invoke(f, handle, 0, 0, N, N, N, one, a.segment(), N, a.segment(), N, zero, c.segment(), N));
        time(library, "cudaMemsetAsync", f -> cudaMemsetAsync.invoke(f, c.segment(), 0, N * N * Float.BYTES, stream));
        time(library, "cudaMemcpyAsync", f -> cudaMemcpyAsync.invoke(f, c.segment(), pinned, 16, toDevice, stream));
        time(library, "cudaMemcpy2DAsync", f -> cudaMemcpy2DAsync.invoke(f, c.segment(), 256, pinned, 128, 128, B, toDevice, stream));
        time(library, "cudaEventRecord", f -> cudaEventRecord.invoke(f, event, stream));
        time(library, "cudaEventSynchronize", f -> cudaEventSynchronize.invoke(f, event));
        cudart.synchronize(stream, inFlight);
        cudart.freeHost(pinned, inFlight);
        cudart.destroyEvent(event, inFlight);
        cublas.destroy(handle, inFlight);
    }

    private interface Native {
        int call(MemorySegment function);
    }

    private void time(SymbolLookup library, String name, Native call) {
        MemorySegment function = library.find(name).orElseThrow();
        bare.put(name, nanoseconds(() -> {
            if (call.call(function) != 0) {
                throw new AssertionError(name + " failed: " + SimCuda.violation());
            }
        }));
    }

    /** Of one run, in the fastest round: whatever else the machine does only adds. */
    private double nanoseconds(Runnable work) {
        double least = Double.POSITIVE_INFINITY;
        for (int i = 0; i < ROUNDS; i++) {
            long start = System.nanoTime();
            for (int j = 0; j < CALLS; j++) {
                work.run();
            }
            long end = System.nanoTime();
            device.synchronize();
            least = Math.min(least, (double) (end - start) / CALLS);
        }
        return least;
    }
}
