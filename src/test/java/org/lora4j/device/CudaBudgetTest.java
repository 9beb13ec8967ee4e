package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Random;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.SimCuda.Copy;
import org.lora4j.init.LoraGa;
import org.lora4j.svd.BlockKrylovSvd;

/** How many copies, products, allocations and waits each step of a layer's life costs: exactly these. */
class CudaBudgetTest extends SimCudaTest {
    private static final int M = 48;
    private static final int N = 80;
    private static final int R = 4;
    private static final int B = 12;

    private Device device;

    @BeforeEach
    void open() {
        device = SimCuda.open();
    }

    @AfterEach
    void close() {
        if (device != null) {
            device.close();
        }
    }

    /** What the simulated GPU has counted. */
    private record Cost(long in, long bytesIn, long out, long bytesOut, long gemms, long mallocs, long waits) {
        static Cost of(Runnable step) {
            Cost before = now();
            step.run();
            Cost after = now();
            return new Cost(after.in - before.in, after.bytesIn - before.bytesIn, after.out - before.out, after.bytesOut - before.bytesOut,
                    after.gemms - before.gemms, after.mallocs - before.mallocs, after.waits - before.waits);
        }

        private static Cost now() {
            long gemms = 0;
            for (String name : new String[] {"cublasSgemm_v2", "cublasDgemm_v2", "cublasGemmEx", "cublasGemmStridedBatchedEx"}) {
                gemms += SimCuda.calls(name);
            }
            return new Cost(SimCuda.copies(Copy.HOST_TO_DEVICE), SimCuda.copiedBytes(Copy.HOST_TO_DEVICE), SimCuda.copies(Copy.DEVICE_TO_HOST),
                    SimCuda.copiedBytes(Copy.DEVICE_TO_HOST), gemms, SimCuda.calls("cudaMalloc") + SimCuda.calls("cudaHostAlloc"),
                    SimCuda.synchronisations());
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void forwardAndBackward(DataType type) {
        long size = type.bytes();
        MemorySegment w = host(type, M, N);
        MemorySegment x = host(type, B, N);
        MemorySegment dy = host(type, B, M);
        MemorySegment y = host(type, B, M);
        MemorySegment dx = host(type, B, N);
        try (LoraLinear layer = new LoraLinear(device, new LoraConfig(R, 8, Scaling.STANDARD), type, M, N, true, B)) {
            Matrix input = layer.input(B);
            Matrix gradient = layer.outputGradient(B);
            Matrix output = device.allocate(type, B, M);
            Matrix other = device.allocate(type, B, N);
            device.copyIn(w, N, layer.weight()); // the first copy allocates pinned memory
            device.copyIn(w, N, layer.weight()); // and the second, for the other half
            device.synchronize(); // or a third would have to wait for the first
            assertEquals(new Cost(1, M * N * size, 0, 0, 0, 0, 0), cost(() -> layer.load(w, N)), "load");
            for (int step = 0; step < 3; step++) {
                assertEquals(new Cost(1, B * N * size, 1, B * M * size, 2, 0, 1), cost(() -> {
                    device.copyIn(x, N, input);
                    layer.forward(input, output);
                    device.copyOut(output, y, M);
                }), "forward, host X and Y");
                assertEquals(new Cost(1, B * M * size, 1, B * N * size, 4, 0, 1), cost(() -> {
                    device.copyIn(dy, M, gradient);
                    layer.backward(input, gradient, other);
                    device.copyOut(other, dx, N);
                }), "backward, host dY and dX");
                assertEquals(new Cost(1, B * M * size, 0, 0, 3, 0, 0), cost(() -> {
                    device.copyIn(dy, M, gradient);
                    layer.backward(input, gradient, null);
                }), "backward, host dY, no dX");
                assertEquals(new Cost(0, 0, 0, 0, 2, 0, 0), cost(() -> layer.forward(input, output)), "forward on the device");
                assertEquals(new Cost(0, 0, 0, 0, 4, 0, 0), cost(() -> layer.backward(input, gradient, other)), "backward on the device");
            }
        }
    }

    /**
     * G goes in once, and nothing else: the SVD's random start stays on the GPU from one start to the next. What comes out are
     * numbers that the host decides by: singular values, the triangles that residuals are read from, and of the checks the
     * largest element of G and the norm of W as sums of rows. Beside the SVD there are one product, for W_fz, and the launch
     * that sums W's squares.
     */
    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"FLOAT32", "FLOAT64"})
    void initialisation(DataType type) {
        int m = 512;
        int n = 400;
        long size = type.bytes();
        MemorySegment g = host(type, m, n);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) { // columns that fall off fast: one attempt is enough
                type.set(g, (long) i * n + j, type.get(g, (long) i * n + j) * Math.pow(0.7, j));
            }
        }
        LoraConfig config = new LoraConfig(R, 8, Scaling.RANK_STABILISED);
        try (LoraLinear first = new LoraLinear(device, config, type, m, n, false, 1);
                LoraLinear layer = new LoraLinear(device, config, type, m, n, false, 1);
                Matrix gradient = device.allocate(type, m, n)) {
            first.load(g, n);
            layer.load(g, n);
            device.copyIn(g, n, gradient);
            LoraGa start = LoraGa.of(gradient);
            start.initialize(first); // allocates the workspace
            Counters before = device.counters();
            Cost svd = Cost.of(() -> new BlockKrylovSvd().top(gradient, 2 * R, 0).close());
            Counters ofSvd = device.counters().since(before);
            before = device.counters();
            Cost cost = Cost.of(() -> {
                device.copyIn(g, n, gradient);
                start.initialize(layer);
            });
            Counters whole = device.counters().since(before);

            assertEquals(ofSvd.calls(Call.GEMM) + 1, whole.calls(Call.GEMM), "products");
            assertEquals(1, whole.calls(Call.COPY_IN), "copies in that the device counted");
            assertEquals(ofSvd.calls(Call.COPY_OUT), whole.calls(Call.COPY_OUT));
            assertEquals(1, cost.in, "copies in");
            assertEquals(m * n * size, cost.bytesIn);
            assertEquals(svd.out + 2, cost.out, "copies out: the largest element, the sums of rows");
            assertEquals(svd.bytesOut + (1 + m) * size, cost.bytesOut);
            assertEquals(svd.gemms + 2, cost.gemms, "W_fz, and W's norm");
            assertEquals(svd.mallocs, cost.mallocs);

            long small = 64L * R * R * size; // (8r)²
            assertTrue(svd.bytesOut < 16 * small, svd.toString());
            assertEquals(0, svd.mallocs, "the workspace is used again");
        }
    }

    private Cost cost(Runnable step) {
        Counters before = device.counters();
        Cost cost = Cost.of(step);
        Counters done = device.counters().since(before);
        assertEquals(cost.gemms, done.calls(Call.GEMM), "products that the device counted");
        assertEquals(cost.in, done.calls(Call.COPY_IN), "copies in that the device counted");
        assertEquals(cost.out, done.calls(Call.COPY_OUT), "copies out that the device counted");
        assertEquals(cost.bytesIn, done.bytesIn());
        assertEquals(cost.bytesOut, done.bytesOut());
        return cost;
    }

    private static MemorySegment host(DataType type, int rows, int cols) {
        Reference values = Reference.random(rows, cols, type, new Random(rows * 31 + cols));
        MemorySegment host = MemorySegment.ofArray(new byte[rows * cols * type.bytes()]);
        for (int i = 0; i < rows * cols; i++) {
            type.set(host, i, values.data()[i]);
        }
        return host;
    }
}
