package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.lora4j.DeviceTest;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.SimCuda.Copy;
import org.lora4j.init.LoraGa;

/**
 * What each step of a layer's life costs, counted, must equal bench/baseline/counters.json: products, copies, bytes,
 * allocations and, on the simulated GPU, also the native calls. Whoever changes a cost on purpose writes the file anew by
 * {@code mvn test -Dtest=CounterBaselineTest -Dlora4j.counters.write=true} and commits it: the difference is then there to see.
 */
class CounterBaselineTest extends DeviceTest {
    private static final Path FILE = Path.of("bench", "baseline", "counters.json");
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS);
    private static final boolean WRITE = Boolean.getBoolean("lora4j.counters.write");
    private static final DataType TYPE = DataType.FLOAT32;
    private static final int B = 12;
    private static final int M = 48;
    private static final int N = 80;
    private static final int R = 4;
    private static final int RUNS = 10;

    private LoraLinear layer;
    private Matrix x;
    private Matrix dy;
    private Matrix y;
    private Matrix dx;
    private MemorySegment host; // for any of the matrices
    private MemorySegment other;

    @BeforeEach
    void makeLayer() {
        layer = new LoraLinear(device, new LoraConfig(R, 8, Scaling.RANK_STABILISED), TYPE, M, N, false, B);
        host = random(M, N);
        other = random(M, N);
        layer.load(host, N);
        device.copyIn(host, N, layer.loraA());
        device.copyIn(host, R, layer.loraB());
        x = layer.input(B);
        dy = layer.outputGradient(B);
        y = device.allocate(TYPE, B, M);
        dx = device.allocate(TYPE, B, N);
        device.copyIn(host, N, x);
        device.copyIn(host, M, dy);
    }

    @AfterEach
    void closeLayer() {
        layer.close();
    }

    @Test
    void load() throws IOException {
        check("load", () -> layer.load(host, N), () -> {});
    }

    @Test
    void forward() throws IOException {
        check("forward", this::step, () -> {});
        check("forward, host X and Y", () -> {
            device.copyIn(host, N, x);
            layer.forward(x, y);
            device.copyOut(y, other, M);
        }, () -> {});
        check("forward, X where it stands", () -> layer.forward(dx, y), () -> {});
    }

    @Test
    void backward() throws IOException {
        layer.forward(x, y);
        check("backward", () -> layer.backward(x, dy, dx), () -> {});
        check("backward without dX", () -> layer.backward(x, dy, null), () -> {});
        check("backward, host dY and dX", () -> {
            device.copyIn(host, M, dy);
            layer.backward(x, dy, dx);
            device.copyOut(dx, other, N);
        }, () -> {});
    }

    @Test
    void mergeAndUnmerge() throws IOException {
        check("merge", layer::merge, layer::unmerge);
        check("merge and unmerge", () -> {
            layer.merge();
            layer.unmerge();
        }, () -> {});
    }

    /**
     * G has 2r columns that stand out of others of one size: its products are far from dependent, and rounding, which differs
     * between processors, decides nothing.
     */
    @Test
    void loraGa() throws IOException {
        int m = 512;
        int n = 400;
        MemorySegment g = random(m, n);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                TYPE.set(g, (long) i * n + j, TYPE.get(g, (long) i * n + j) * (j < 2 * R ? 1 - 0.05 * j : 0.1));
            }
        }
        try (LoraLinear large = new LoraLinear(device, new LoraConfig(R, 8, Scaling.RANK_STABILISED), TYPE, m, n, false, 1);
                Matrix gradient = device.allocate(TYPE, m, n)) {
            large.load(g, n);
            device.copyIn(g, n, gradient);
            check("LoRA-GA", () -> LoraGa.of(gradient).initialize(large), () -> large.load(g, n));
        }
    }

    @Test
    void aPlantedRegressionIsSeen() throws IOException {
        step(); // allocates what is kept
        Map<String, Long> expected = count(this::step);
        assertNotEquals(expected, count(() -> { // an extra copy
            step();
            device.copy(x, dx);
        }));
        assertNotEquals(expected, count(() -> { // one from host memory
            device.copyIn(host, N, x);
            step();
        }));
        assertNotEquals(expected, count(() -> { // a product split in two
            device.gemm(1, x, Op.NONE, layer.loraA(), Op.TRANSPOSE, 0, layer.gradB().rows(0, B));
            device.gemm(1, x.rows(0, B / 2), Op.NONE, layer.weight(), Op.TRANSPOSE, 0, y.rows(0, B / 2));
            device.gemm(1, x.rows(B / 2, B), Op.NONE, layer.weight(), Op.TRANSPOSE, 0, y.rows(B / 2, B));
        }));
        assertNotEquals(expected, count(() -> { // memory of its own
            device.allocate(TYPE, B, M).close();
            step();
        }));
    }

    private void step() {
        layer.forward(x, y);
    }

    /** Counts {@code work}, again and again: after the first two times, which allocate what is kept, all must be as the file says. */
    private void check(String name, Runnable work, Runnable undo) throws IOException {
        for (int i = 0; i < 2; i++) {
            work.run();
            undo.run();
        }
        Map<String, Long> found = count(work);
        undo.run();
        if (WRITE && !opener.name().equals("CUDA")) {
            Map<String, Map<String, Map<String, Long>>> all = read();
            all.computeIfAbsent(opener.name(), device -> new TreeMap<>()).put(name, found);
            Files.createDirectories(FILE.getParent());
            Files.writeString(FILE, JSON.writeValueAsString(all) + "\n");
        }
        Map<String, Long> expected = read().getOrDefault(baseline(), Map.of()).get(name);
        if (opener.name().equals("CUDA")) { // whose native calls nobody counts
            expected.keySet().removeIf(key -> key.startsWith("native "));
        }
        for (int i = 0; i < RUNS; i++) {
            assertEquals(expected, found, name + " on " + opener + ", run " + i + ": not as in " + FILE + "; the class comment says how to write it anew");
            found = count(work);
            undo.run();
        }
    }

    private Map<String, Long> count(Runnable work) {
        Map<String, Long> natives = natives();
        Counters before = device.counters();
        work.run();
        Counters done = device.counters().since(before);
        Map<String, Long> counts = new TreeMap<>();
        for (Call call : Call.values()) {
            counts.put(call.name(), done.calls(call));
        }
        counts.put("bytesIn", done.bytesIn());
        counts.put("bytesOut", done.bytesOut());
        counts.put("allocations", done.allocations());
        counts.put("bytesKept", done.currentBytes() - before.currentBytes());
        natives().forEach((name, value) -> counts.put("native " + name, value - natives.get(name)));
        counts.values().removeIf(value -> value == 0);
        return counts;
    }

    private Map<String, Long> natives() {
        Map<String, Long> counts = new TreeMap<>();
        if (opener.name().equals("simulated CUDA")) {
            for (Copy kind : Copy.values()) {
                counts.put("copies " + kind, SimCuda.copies(kind));
                counts.put("bytes " + kind, SimCuda.copiedBytes(kind));
            }
            for (String function : new String[] {"cublasSgemm_v2", "cublasGemmEx", "cudaMalloc", "cudaHostAlloc", "cudaFree"}) {
                counts.put(function, SimCuda.calls(function));
            }
            counts.put("synchronisations", SimCuda.synchronisations());
        }
        return counts;
    }

    private String baseline() {
        return opener.name().equals("CUDA") ? "simulated CUDA" : opener.name();
    }

    private static Map<String, Map<String, Map<String, Long>>> read() throws IOException {
        return Files.isRegularFile(FILE) ? JSON.readValue(FILE.toFile(), new TypeReference<TreeMap<String, Map<String, Map<String, Long>>>>() {}) : new TreeMap<>();
    }

    private static MemorySegment random(int rows, int cols) {
        Reference values = Reference.random(rows, cols, TYPE, new Random(rows * 31 + cols));
        MemorySegment memory = MemorySegment.ofArray(new float[rows * cols]);
        for (int i = 0; i < rows * cols; i++) {
            TYPE.set(memory, i, values.data()[i]);
        }
        return memory;
    }
}
