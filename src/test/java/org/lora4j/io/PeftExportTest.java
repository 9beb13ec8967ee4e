package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lora4j.DeviceTest;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.init.LoraGa;

/** Writing adapters: what is read back is what was written, on both kinds of base; nothing broken is ever written. */
class PeftExportTest extends DeviceTest {
    @TempDir
    Path folder;

    private static AdapterModule module(String name, int rank, double alpha, Scaling scaling, int m, int n, long seed) {
        Random random = new Random(seed);
        float[] a = new float[rank * n];
        float[] b = new float[m * rank];
        for (float[] values : List.of(a, b)) {
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) random.nextGaussian();
            }
        }
        return new AdapterModule(name, new LoraConfig(rank, alpha, scaling), TensorData.of(TensorType.F32, MemorySegment.ofArray(a), rank, n),
                TensorData.of(TensorType.F32, MemorySegment.ofArray(b), m, rank));
    }

    private List<String> files() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(p -> p.getFileName().toString()).sorted().toList();
        }
    }

    @ParameterizedTest
    @EnumSource(Scaling.class)
    void everyModuleKeepsItsRankAndScale(Scaling scaling) throws IOException {
        List<AdapterModule> modules = List.of(module("dense", 2, 5, scaling, 7, 6, 1), module("block.0.dense", 3, 5, scaling, 5, 7, 2),
                module("block.0.dense_out", 2, 0.1, scaling, 4, 5, 3), module("block.10.dense", 1, 1e-30, scaling, 4, 5, 4), module("a+b é|(", 2, 5, scaling, 4, 5, 5));
        PeftExport export = new PeftExport(PeftConfig.standard());
        modules.forEach(export::add);
        export.write(folder);
        assertEquals(List.of("adapter_config.json", "adapter_model.safetensors"), files());
        try (PeftAdapter read = PeftAdapter.read(folder)) {
            assertEquals(5, read.modules().size());
            for (AdapterModule m : modules) {
                AdapterModule again = read.module(m.name());
                assertEquals(m.config(), again.config());
                assertArrayEquals(m.a().toFloats(), again.a().toFloats());
                assertArrayEquals(m.b().toFloats(), again.b().toFloats());
                assertTrue(read.config().isTarget(m.name()));
            }
            for (String neighbour : List.of("block.1.dense", "x.block.0.dense", "dense_out", "block.0.dense_out2", "blockx0.dense")) {
                assertFalse(read.config().isTarget(neighbour), neighbour);
            }
        }
    }

    @Test
    void whatPeftWroteIsWrittenAgainWithItsOtherFields() throws IOException {
        for (String name : List.of("plain", "patterns", "bfloat16", "pissa")) {
            try (PeftAdapter read = PeftAdapter.read(Interchange.golden("adapters/" + name))) {
                PeftExport export = new PeftExport(read.config().with("later", "kept"));
                read.modules().forEach(export::add);
                export.replacing().write(folder);
                assertEquals(-1, Files.mismatch(Interchange.golden("adapters/" + name + "/adapter_model.safetensors"), folder.resolve("adapter_model.safetensors")));
                try (PeftAdapter again = PeftAdapter.read(folder)) {
                    read.modules().forEach(m -> assertEquals(m.config(), assertModule(again, m.name()).config()));
                    assertEquals("kept", again.config().fields().get("later"));
                    assertEquals(read.config().initialisation(), again.config().initialisation());
                    assertEquals(read.config().fields().get("peft_version"), again.config().fields().get("peft_version"));
                }
            }
        }
    }

    private static AdapterModule assertModule(PeftAdapter adapter, String name) {
        try {
            return adapter.module(name);
        } catch (PeftException e) {
            throw new AssertionError(e);
        }
    }

    /** LoRA-GA, trained a bit: the adapter with its frozen weight, and of rank 2r on the untouched one, are the same layer. */
    @ParameterizedTest
    @EnumSource(Scaling.class)
    void bothFormsAreTheTrainedLayer(Scaling scaling) throws IOException {
        Random random = new Random(3);
        Reference w0 = Reference.random(37, 29, DataType.FLOAT32, random);
        LoraConfig config = new LoraConfig(3, 16, scaling);
        try (LoraLinear layer = new LoraLinear(device, config, DataType.FLOAT32, 37, 29, false, 1); Matrix w = w0.on(device, DataType.FLOAT32);
                Matrix gradient = Reference.random(37, 29, DataType.FLOAT32, random).on(device, DataType.FLOAT32);
                Matrix effective = device.allocate(DataType.FLOAT32, 37, 29)) {
            layer.load(w);
            LoraGa.of(gradient).initialize(layer);
            AdapterModule start = AdapterModule.of("m", layer).snapshot();
            layer.loraA().write(Reference.of(layer.loraA()).plus(0.1, Reference.random(3, 29, DataType.FLOAT32, random)).data());
            layer.loraB().write(Reference.of(layer.loraB()).plus(0.1, Reference.random(37, 3, DataType.FLOAT32, random)).data());
            layer.effectiveWeight(effective);
            Reference trained = Reference.of(effective);
            assertTrue(trained.plus(-1, w0).norm() > 0.1 * w0.norm(), "it has moved");
            AdapterModule twice = AdapterModule.of("m", layer).onUntouchedBase(start);
            assertEquals(6, twice.config().rank());
            assertEquals(config.eta(), twice.config().eta(), 1e-15 * config.eta());
            for (PeftExport export : List.of(new PeftExport(PeftConfig.standard()).add("m", layer), new PeftExport(PeftConfig.standard()).add(twice))) {
                export.replacing().write(folder);
                try (PeftAdapter read = PeftAdapter.read(folder);
                        LoraLinear again = new LoraLinear(device, read.module("m").config(), DataType.FLOAT32, 37, 29, false, 1)) {
                    again.load(w);
                    read.load("m", again);
                    again.effectiveWeight(effective);
                    trained.assertNear("W'", Reference.of(effective), 1e-5);
                }
            }
            assertFalse(files().contains("base.safetensors"), "the first export's was removed");
        }
    }

    /** fan_in_fan_out: the file has n×m, the layer m×n, through more than one block of rows. */
    @Test
    void aTransposedBase() throws IOException {
        int m = 1500;
        int n = 1201;
        Reference w0 = Reference.random(m, n, DataType.FLOAT32, new Random(3));
        PeftConfig config = PeftConfig.standard().with("fan_in_fan_out", true);
        LoraConfig lora = new LoraConfig(1, 1, Scaling.STANDARD);
        try (LoraLinear layer = new LoraLinear(device, lora, DataType.FLOAT32, m, n, false, 1);
                LoraLinear again = new LoraLinear(device, lora, DataType.FLOAT32, m, n, false, 1); Matrix w = w0.on(device, DataType.FLOAT32)) {
            layer.load(w);
            new PeftExport(config).add("m", layer).write(folder);
            try (PeftAdapter read = PeftAdapter.read(folder)) {
                assertArrayEquals(new long[] {n, m}, read.frozenWeight("m").orElseThrow().shape());
                float[] file = read.frozenWeight("m").orElseThrow().toFloats();
                assertEquals((float) w0.at(1499, 3), file[3 * m + 1499]);
                read.load("m", again);
                assertArrayEquals(w0.data(), again.weight().read());
            }
            TensorData weight = TensorData.of(layer.weight());
            assertThrows(IllegalArgumentException.class, () -> new PeftExport(config).add(AdapterModule.of("m", layer), weight));
        }
    }

    // ---- what is refused, and failures

    @Test
    void nothingIsOverwrittenUnlessAskedFor() throws IOException {
        for (String name : List.of("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "base.safetensors")) {
            Path file = Files.writeString(folder.resolve(name), "old");
            PeftExport export = new PeftExport(PeftConfig.standard()).add(module("m", 1, 1, Scaling.STANDARD, 2, 3, 1));
            assertThrows(FileAlreadyExistsException.class, () -> export.write(folder));
            assertEquals("old", Files.readString(file));
            assertEquals(List.of(name), files());
            Files.delete(file);
        }
        Files.writeString(folder.resolve("README.md"), "kept");
        new PeftExport(PeftConfig.standard()).add(module("m", 1, 1, Scaling.STANDARD, 2, 3, 1)).write(folder);
        new PeftExport(PeftConfig.standard()).add(module("n", 1, 1, Scaling.STANDARD, 2, 3, 1)).replacing().write(folder);
        assertEquals(List.of("README.md", "adapter_config.json", "adapter_model.safetensors"), files());
        try (PeftAdapter read = PeftAdapter.read(folder)) {
            assertEquals("n", read.modules().iterator().next().name());
        }
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void whatIsNotFiniteIsNotWritten(float value) throws IOException {
        AdapterModule good = module("m", 1, 1, Scaling.STANDARD, 2, 3, 1);
        TensorData bad = TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[] {1, 2, 3, 4, 5, value}), 2, 3);
        AdapterModule factor = new AdapterModule("n", new LoraConfig(2, 1, Scaling.STANDARD), bad, TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[4]), 2, 2));
        String message = assertThrows(IllegalArgumentException.class, () -> new PeftExport(PeftConfig.standard()).add(good).add(factor).write(folder)).getMessage();
        assertTrue(message.contains("base_model.model.n.lora_A.weight has an element that is not finite"), message);
        assertThrows(IllegalArgumentException.class, () -> new PeftExport(PeftConfig.standard()).add(good, bad).write(folder));
        for (TensorType type : List.of(TensorType.F16, TensorType.BF16, TensorType.F64)) {
            assertFalse(Conversion.isFinite(bad.as(type)));
        }
        assertEquals(List.of(), files());
    }

    @Test
    void modulesThatDoNotFitAreRefused() throws IOException {
        AdapterModule m = module("m", 2, 4, Scaling.STANDARD, 4, 3, 1);
        PeftExport export = new PeftExport(PeftConfig.standard());
        assertThrows(IllegalArgumentException.class, () -> export.write(folder));
        export.add(m);
        assertThrows(IllegalArgumentException.class, () -> export.add(m));
        assertThrows(IllegalArgumentException.class, () -> export.add(module("n", 2, 4, Scaling.RANK_STABILISED, 4, 3, 1)));
        assertThrows(IllegalArgumentException.class, () -> export.add(module("", 2, 4, Scaling.STANDARD, 4, 3, 1)));
        assertThrows(IllegalArgumentException.class, () -> export.add(module("n", 2, 4, Scaling.STANDARD, 4, 3, 1), m.a()));
        assertThrows(IllegalArgumentException.class, () -> new AdapterModule("n", m.config(), m.b(), m.a()));
        assertThrows(IllegalArgumentException.class, () -> m.onUntouchedBase(module("m", 2, 5, Scaling.STANDARD, 4, 3, 1)));
        assertThrows(IllegalArgumentException.class, () -> m.onUntouchedBase(module("m", 2, 4, Scaling.STANDARD, 4, 4, 1)));
        PeftConfig pissa = PeftConfig.standard().with("init_lora_weights", "pissa");
        PeftExport half = new PeftExport(pissa).add(module("n", 2, 4, Scaling.STANDARD, 4, 3, 1)).add(m, TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[12]), 4, 3));
        assertThrows(IllegalStateException.class, () -> half.write(folder));
        try (LoraLinear layer = new LoraLinear(device, m.config(), DataType.FLOAT32, 4, 3, false, 1)) {
            layer.merge();
            assertThrows(IllegalStateException.class, () -> new PeftExport(PeftConfig.standard()).add("m", layer));
        }
    }

    /** A folder whose base.safetensors was lost, or belongs to another module, does not pass for a plain adapter. */
    @Test
    void aLostBaseIsNoticed() throws IOException {
        AdapterModule m = module("m", 2, 4, Scaling.STANDARD, 4, 3, 1);
        TensorData frozen = TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[12]), 4, 3);
        new PeftExport(PeftConfig.standard()).add(m, frozen).write(folder);
        Path base = folder.resolve("base.safetensors");
        PeftAdapter.read(folder).close();
        Map<String, TensorData> wrong = new LinkedHashMap<>();
        wrong.put("n.weight", frozen);
        wrong.put("m.bias", frozen);
        wrong.put("m.weight", TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[12]), 3, 4));
        for (Map.Entry<String, TensorData> e : wrong.entrySet()) {
            SafeTensors.write(base, Map.of(e.getKey(), e.getValue()), Map.of());
            assertTrue(assertThrows(PeftException.class, () -> PeftAdapter.read(folder).close()).getMessage().contains(e.getKey()));
        }
        Files.delete(base);
        assertTrue(assertThrows(PeftException.class, () -> PeftAdapter.read(folder).close()).getMessage().contains("base.safetensors\" is missing"));
    }

    /** A JVM halted at any point of an export that replaces another: the folder has the old adapter, or none. */
    @Test
    void anInterruptedExportNeverLooksWhole() throws Exception {
        new PeftExport(PeftConfig.standard()).add(module("old", 1, 1, Scaling.STANDARD, 2, 3, 1)).write(folder);
        Path java = Path.of(System.getProperty("java.home"), "bin", "java");
        Path output = Files.createTempFile("lora4j-halted", ".txt");
        Process process = new ProcessBuilder(java.toString(), "-cp", System.getProperty("java.class.path"), Halted.class.getName(), folder.toString())
                .redirectErrorStream(true).redirectOutput(output.toFile()).start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        assertEquals(7, process.exitValue(), Files.readString(output));
        Files.delete(output);
        try (PeftAdapter read = PeftAdapter.read(folder)) {
            assertEquals("old", read.modules().iterator().next().name());
        }
        // Later than that there is only the renaming, in this order:
        List<String> written = new ArrayList<>(List.of("adapter_model.safetensors", "base.safetensors"));
        Files.delete(folder.resolve("adapter_config.json"));
        for (String name : written) {
            assertThrows(PeftException.class, () -> PeftAdapter.read(folder).close());
            Files.copy(Interchange.golden("adapters/plain/adapter_model.safetensors"), folder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
        }
        assertThrows(PeftException.class, () -> PeftAdapter.read(folder).close());
    }

    /** A failure between the renames: what was there is no longer whole, and does not look whole. */
    @Test
    void aFailureInTheMiddleLeavesNoConfig() throws IOException {
        new PeftExport(PeftConfig.standard()).add(module("old", 1, 1, Scaling.STANDARD, 2, 3, 1)).write(folder);
        Files.createDirectories(folder.resolve("base.safetensors").resolve("occupied"));
        AdapterModule m = module("m", 1, 1, Scaling.STANDARD, 2, 3, 1);
        TensorData frozen = TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[6]), 2, 3);
        assertThrows(IOException.class, () -> new PeftExport(PeftConfig.standard()).add(m, frozen).replacing().write(folder));
        assertEquals(List.of("adapter_model.safetensors", "base.safetensors"), files());
        assertThrows(PeftException.class, () -> PeftAdapter.read(folder).close());
    }

    static final class Halted {
        public static void main(String[] arguments) throws IOException {
            int[] reads = {0};
            AdapterModule m = module("m", 1, 1, Scaling.STANDARD, 2, 3, 1);
            TensorData frozen = TensorData.of(TensorType.F32, sink -> {
                if (reads[0]++ == 1) { // the first time it is checked
                    Runtime.getRuntime().halt(7);
                }
                sink.write(MemorySegment.ofArray(new float[6]));
            }, 2, 3);
            new PeftExport(PeftConfig.standard()).add(m, frozen).replacing().write(Path.of(arguments[0]));
        }
    }
}
