package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Writing: Python's very bytes, whole or not at all, by pieces. */
class SafeTensorsWriteTest {
    @TempDir
    Path folder;

    private static Map<String, TensorData> shuffled(SafeTensors tensors) {
        List<Tensor> order = new ArrayList<>(tensors.tensors());
        Collections.shuffle(order, new Random(5));
        Map<String, TensorData> map = new LinkedHashMap<>();
        order.forEach(t -> map.put(t.name(), t));
        return map;
    }

    private static TensorData floats(float... values) {
        return TensorData.of(TensorType.F32, MemorySegment.ofArray(values), values.length);
    }

    private void assertFiles(String... names) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(names), files.map(p -> p.getFileName().toString()).sorted().toList());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tensors.safetensors", "floats.safetensors", "adapters/plain/adapter_model.safetensors"})
    void whatPythonWroteIsWrittenTheSame(String name) throws IOException {
        Path file = folder.resolve("copy");
        try (SafeTensors tensors = SafeTensors.open(Interchange.golden(name))) {
            SafeTensors.write(file, shuffled(tensors), tensors.metadata());
        }
        assertArrayEquals(Files.readAllBytes(Interchange.golden(name)), Files.readAllBytes(file));
        try (SafeTensors own = SafeTensors.open(file)) {
            SafeTensors.write(file, shuffled(own), own.metadata()); // onto itself, while it is mapped
            assertEquals(-1, Files.mismatch(Interchange.golden(name), file));
            for (Tensor tensor : own.tensors()) {
                tensor.writeTo(piece -> { }); // what was mapped is still there
            }
        }
        assertFiles("copy");
    }

    /** Names in the order of their UTF-8, in which a surrogate pair comes after U+E000, other than in Java's own order. */
    @Test
    void namesAreInTheOrderOfTheirBytes() throws IOException {
        Path file = folder.resolve("file");
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        List.of("b", "\ud83d\ude00", "", "\ue000", "B", "a\u0000").forEach(name -> tensors.put(name, floats(1)));
        tensors.put("z", TensorData.of(TensorType.U64, MemorySegment.ofArray(new long[1]), 1));
        tensors.put("y", TensorData.of(TensorType.F64, MemorySegment.ofArray(new double[1])));
        SafeTensors.write(file, tensors, Map.of());
        try (SafeTensors read = SafeTensors.open(file)) {
            assertEquals(List.of("z", "y", "", "B", "a\u0000", "b", "\ue000", "\ud83d\ude00"), List.copyOf(read.names()));
        }
        assertEquals(0, (Files.size(file) - 2 * 8 - 6 * 4) % 8);
    }

    @Test
    void aFailingSourceLeavesTheOldFile() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "old");
        Map<String, TensorData.Source> sources = Map.of(
                "gives nothing", sink -> { },
                "gives too little", sink -> sink.write(MemorySegment.ofArray(new byte[1 << 22])),
                "gives too much", sink -> {
                    for (int i = 0; i < 9; i++) {
                        sink.write(MemorySegment.ofArray(new byte[1 << 20]));
                    }
                },
                "fails", sink -> {
                    sink.write(MemorySegment.ofArray(new byte[1 << 22]));
                    throw new IOException("no more");
                });
        for (Map.Entry<String, TensorData.Source> e : sources.entrySet()) {
            TensorData data = TensorData.of(TensorType.F32, e.getValue(), 1 << 21);
            Exception failure = assertThrows(Exception.class, () -> SafeTensors.write(file, Map.of("a", floats(1), "t", data), Map.of()), e.getKey());
            assertTrue(failure.getMessage().matches("no more|the source of tensor \"t\" gave \\d+ bytes; F32 of shape \\[2097152\\] takes 8388608"),
                    failure.getMessage());
            assertEquals("old", Files.readString(file));
            assertFiles("file");
        }
    }

    /** A JVM that is halted in the middle of a write. */
    @Test
    void aKilledWriteLeavesTheOldFile() throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "old");
        Path java = Path.of(System.getProperty("java.home"), "bin", "java");
        Process process = new ProcessBuilder(java.toString(), "-cp", System.getProperty("java.class.path"), Halted.class.getName(), file.toString())
                .redirectErrorStream(true).redirectOutput(folder.resolve("output").toFile()).start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        assertEquals(7, process.exitValue(), Files.readString(folder.resolve("output")));
        assertEquals("old", Files.readString(file));
        try (Stream<Path> files = Files.list(folder)) {
            Path part = files.filter(p -> p.getFileName().toString().matches("\\.file\\.[0-9a-f]+\\.part")).findFirst().orElseThrow();
            assertTrue(Files.size(part) >= 1 << 20, "it was in the middle");
        }
        SafeTensors.write(file, Map.of("a", floats(1)), Map.of());
        SafeTensors.open(file).close();
    }

    static final class Halted {
        public static void main(String[] arguments) throws IOException {
            SafeTensors.write(Path.of(arguments[0]), Map.of("t", TensorData.of(TensorType.U8, sink -> {
                sink.write(MemorySegment.ofArray(new byte[3 << 20]));
                Runtime.getRuntime().halt(7);
            }, 4 << 20)), Map.of());
        }
    }

    @Test
    void aFileThatCannotBeWrittenLeavesWhatWasThere() throws IOException {
        assertThrows(IOException.class, () -> SafeTensors.write(folder.resolve("none").resolve("file"), Map.of(), Map.of()));
        Path occupied = Files.createDirectories(folder.resolve("occupied").resolve("inside")).getParent();
        assertThrows(IOException.class, () -> SafeTensors.write(occupied, Map.of(), Map.of()));
        assertFiles("occupied");
    }

    @Test
    void namesThatCannotBeWrittenAreRefused() throws IOException {
        Path file = folder.resolve("file");
        for (String name : List.of("__metadata__", "\ud800", "a\udc00b")) {
            assertThrows(IllegalArgumentException.class, () -> SafeTensors.write(file, Map.of(name, floats(1)), Map.of()));
        }
        assertThrows(IllegalArgumentException.class, () -> SafeTensors.write(file, Map.of(), Map.of("\ud800", "")));
        assertThrows(IllegalArgumentException.class, () -> SafeTensors.write(file, Map.of(), Map.of("", "\ud800")));
        TensorData.Source nothing = sink -> { };
        Map<String, TensorData> overflow = new LinkedHashMap<>();
        for (int i = 0; i < 17; i++) {
            overflow.put("t" + i, TensorData.of(TensorType.U8, nothing, 1L << 59));
        }
        assertThrows(IllegalArgumentException.class, () -> SafeTensors.write(file, overflow, Map.of()));
        assertThrows(IllegalArgumentException.class, () -> TensorData.of(TensorType.U8, nothing, Long.MAX_VALUE));
        assertThrows(IllegalArgumentException.class, () -> TensorData.of(TensorType.U8, nothing, -1));
        assertThrows(IllegalArgumentException.class, () -> TensorData.of(TensorType.F4, nothing, 3));
        assertFiles();
    }

    /** 256 MiB from pieces of 64 KiB. */
    @Test
    void whatIsWrittenPassesThroughASmallBuffer() throws IOException {
        long bytes = 1 << 28;
        TensorData data = TensorData.of(TensorType.U8, sink -> {
            MemorySegment piece = MemorySegment.ofArray(new byte[1 << 16]);
            for (long i = 0; i < bytes; i += 1 << 16) {
                sink.write(piece);
            }
        }, bytes);
        com.sun.management.ThreadMXBean threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();
        SafeTensors.write(folder.resolve("large"), Map.of("t", data), Map.of());
        assertTrue(threads.getCurrentThreadAllocatedBytes() - before < 16 << 20);
        try (SafeTensors read = SafeTensors.open(folder.resolve("large"))) {
            assertEquals(bytes, read.tensor("t").byteSize());
        }
    }
}
