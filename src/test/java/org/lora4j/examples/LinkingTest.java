package org.lora4j.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Stream;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.lora4j.LoraLinear;
import org.lora4j.device.Counters;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.ForkedJvm;
import org.lora4j.device.HostDevice;
import org.lora4j.device.Matrix;
import org.lora4j.init.PlainLora;

/**
 * Trainers that have their data in memory of different kinds: each trains what float64 does, and copies no more than it says.
 * Those of ND4J and DJL run in a JVM of their own, with jars that the build's profiles of these names put into target.
 */
class LinkingTest {
    private static final int M = Regression.OUT;
    private static final int N = Regression.IN;
    private static final int BATCH = Regression.BATCH;
    private static final int R = Regression.CONFIG.rank();

    private final HostDevice device = HostDevice.open();
    private final LoraLinear layer = new LoraLinear(device, Regression.CONFIG, DataType.FLOAT32, M, N, false, BATCH);
    private final Counters before;

    LinkingTest() {
        layer.load(MemorySegment.ofArray(Regression.weight()), N);
        PlainLora.kaimingUniform(Regression.SEED).initialize(layer);
        before = device.counters();
    }

    @AfterEach
    void closeAll() {
        device.close();
    }

    private Counters done() {
        return device.counters().since(before);
    }

    private void assertNothingCopied() {
        Counters done = done();
        assertEquals(0, done.calls(Call.COPY_IN) + done.calls(Call.COPY_OUT) + done.calls(Call.COPY), done.toString());
        assertEquals(0, done.allocations(), done.toString());
    }

    private static float[] floats(Matrix a) {
        double[] values = a.read();
        float[] floats = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            floats[i] = (float) values[i];
        }
        return floats;
    }

    @Test
    void memorySegments() {
        int stride = 24;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = segment(arena, Regression.input(), N, stride);
            MemorySegment target = segment(arena, Regression.target(), M, stride);
            MemorySegment y = segment(arena, new float[0], M, stride);
            MemorySegment dy = segment(arena, new float[0], M, stride);
            MemorySegment dx = segment(arena, new float[0], N, stride);
            SegmentTraining.train(layer, x, target, y, dy, dx, BATCH, stride);
            assertNothingCopied();
            Regression.assertTrained(floats(layer.loraA()), floats(layer.loraB()), floats(device.borrow(dx, DataType.FLOAT32, BATCH, N, stride)));
        }
    }

    private static MemorySegment segment(Arena arena, float[] values, int cols, int stride) {
        MemorySegment segment = arena.allocate(4L * BATCH * stride, 16);
        for (int i = 0; i < values.length; i++) {
            segment.setAtIndex(ValueLayout.JAVA_FLOAT, i / cols * stride + i % cols, values[i]);
        }
        return segment;
    }

    @Test
    void directByteBuffers() {
        ByteBuffer dx = buffer(new float[BATCH * N]);
        ByteBufferTraining.train(layer, buffer(Regression.input()), buffer(Regression.target()), buffer(new float[BATCH * M]), buffer(new float[BATCH * M]), dx,
                BATCH);
        assertNothingCopied();
        float[] inputGradient = new float[BATCH * N];
        dx.asFloatBuffer().get(inputGradient);
        Regression.assertTrained(floats(layer.loraA()), floats(layer.loraB()), inputGradient);

        ByteBuffer swapped = buffer(new float[4]).order(ByteOrder.nativeOrder() == ByteOrder.BIG_ENDIAN ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
        assertThrows(IllegalArgumentException.class, () -> ByteBufferTraining.matrix(device, swapped, 2, 2));
        assertThrows(IllegalArgumentException.class, () -> ByteBufferTraining.matrix(device, ByteBuffer.allocate(16).order(ByteOrder.nativeOrder()), 2, 2));
    }

    private static ByteBuffer buffer(float[] values) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.nativeOrder());
        buffer.asFloatBuffer().put(values);
        return buffer;
    }

    @Test
    void floatArraysAreCopiedOnce() {
        float[] a = new float[R * N];
        float[] b = new float[M * R];
        float[] dx = new float[BATCH * N];
        FloatArrayTraining.train(layer, Regression.input(), Regression.target(), a, b, dx, BATCH);
        int steps = Regression.STEPS;
        assertEquals(4L * steps * (BATCH * N + BATCH * M + R * (M + N)), done().bytesIn());
        assertEquals(4L * steps * (BATCH * M + R * (M + N)) + 4L * (R * (M + N) + BATCH * N), done().bytesOut());
        assertEquals(6L * steps, done().calls(Call.GEMM), "in place: two products forward, four backward");
        Regression.assertTrained(a, b, dx);
    }

    @Test
    void nd4j() throws Exception {
        runWith("nd4j", "-Dorg.bytedeco.javacpp.cachedir=target/nd4j/cache");
    }

    @Test
    void djl() throws Exception {
        runWith("djl", "-Dai.djl.offline=true", "-DDJL_CACHE_DIR=target/djl/cache", "-DENGINE_CACHE_DIR=target/djl/cache", "-DOPT_OUT_TRACKING=true");
    }

    /** Every piece of Java in README's section is in one of the examples, line by line. */
    @Test
    void readmeShowsTheExamples() throws Exception {
        List<List<String>> sources = new ArrayList<>();
        for (String folder : List.of("src/test/java/org/lora4j/examples", "src/test/examples")) {
            try (Stream<Path> files = Files.list(Path.of(folder))) {
                for (Path file : (Iterable<Path>) files.filter(f -> f.toString().endsWith("Training.java"))::iterator) {
                    sources.add(Files.readString(file).lines().map(String::strip).toList());
                }
            }
        }
        String section = Files.readString(Path.of("README.md")).split("\n## Linking it\n")[1].split("\n## ")[0];
        String[] parts = section.split("```");
        assertEquals(3, parts.length / 2, "pieces of code");
        for (int i = 1; i < parts.length; i += 2) {
            List<String> piece = parts[i].strip().lines().skip(1).map(String::strip).toList();
            assertTrue(sources.stream().anyMatch(source -> Collections.indexOfSubList(source, piece) >= 0), "not in an example: " + parts[i]);
        }
    }

    /** Runs src/test/examples/NAMETraining.java with the jars of target/NAME. */
    private static void runWith(String name, String... flags) throws Exception {
        Path jars = Path.of("target", name);
        if (!Files.isDirectory(jars)) {
            String reason = jars.toAbsolutePath() + " is absent; mvn verify -P" + name + " fills it";
            if (Boolean.getBoolean("lora4j.require" + capital(name))) {
                fail(reason);
            }
            abort(reason);
        }
        List<Path> classPath = new ArrayList<>(ForkedJvm.junit());
        classPath.add(ForkedJvm.openblasJar());
        classPath.add(jars.resolve("*"));
        String output = ForkedJvm.source(Path.of("src", "test", "examples", capital(name) + "Training.java")).flags(flags).classPath(classPath).run()
                .assertSuccess().output();
        assertTrue(output.lines().anyMatch("trained"::equals), output);
    }

    private static String capital(String name) {
        return Character.toUpperCase(name.charAt(0)) + name.substring(1);
    }
}
