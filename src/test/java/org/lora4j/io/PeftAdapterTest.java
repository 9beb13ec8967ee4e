package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lora4j.DeviceTest;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Reading adapters that PEFT wrote: outputs equal PEFT's; what is broken or not supported is refused by name. */
class PeftAdapterTest extends DeviceTest {
    @TempDir
    Path folder;

    /** What Net with an adapter makes of x on a device; base weights from {@code weights}, or from {@code frozen} where it has them. */
    static Reference output(Device device, Path adapterFolder, SafeTensors weights, SafeTensors frozen, Reference x, boolean merged) throws IOException {
        List<LoraLinear> layers = new ArrayList<>();
        try (PeftAdapter adapter = PeftAdapter.read(adapterFolder)) {
            List<Interchange.Linear> modules = new ArrayList<>();
            for (String name : Interchange.MODULES) {
                Reference weight = Interchange.read(frozen != null && frozen.find(name + ".weight").isPresent() ? frozen : weights, name + ".weight");
                Reference bias = Interchange.read(weights, name + ".bias");
                if (adapter.modules().stream().noneMatch(m -> m.name().equals(name))) {
                    modules.add(input -> Interchange.linear(input, weight, bias));
                    continue;
                }
                LoraLinear layer = new LoraLinear(device, adapter.module(name).config(), DataType.FLOAT32, weight.rows(), weight.cols(), true, x.rows());
                layers.add(layer);
                try (Matrix w = weight.on(device, DataType.FLOAT32)) {
                    layer.load(w);
                }
                layer.bias().write(bias.data());
                if (frozen != null) {
                    adapter.loadFactors(name, layer);
                } else {
                    adapter.load(name, layer);
                }
                if (merged) {
                    layer.merge();
                }
                modules.add(input -> forward(layer, input));
            }
            return Interchange.net(modules, x);
        } finally {
            layers.forEach(LoraLinear::close);
        }
    }

    static Reference forward(LoraLinear layer, Reference input) {
        try (Matrix x = input.on(layer.device(), DataType.FLOAT32);
                Matrix y = layer.device().allocate(DataType.FLOAT32, input.rows(), layer.outFeatures())) {
            layer.forward(x, y);
            return Reference.of(y);
        }
    }

    /** Compares all adapters of a folder that interchange.py made with the outputs that it computed. */
    static void assertOutputs(Device device, Path made) throws IOException {
        try (SafeTensors cases = SafeTensors.open(made.resolve("cases.safetensors")); SafeTensors weights = SafeTensors.open(made.resolve("model.safetensors"))) {
            Reference x = Interchange.read(cases, "x");
            assertEquals(10, cases.tensors().size());
            for (String name : cases.names()) {
                if (name.equals("x")) {
                    continue;
                }
                Path adapter = made.resolve("adapters").resolve(name);
                Path frozen = made.resolve("frozen").resolve(name + ".safetensors");
                Reference expected = Interchange.read(cases, name);
                for (boolean merged : new boolean[] {false, true}) {
                    if (Files.exists(frozen)) {
                        try (SafeTensors f = SafeTensors.open(frozen)) {
                            expected.assertNear(name, output(device, adapter, weights, f, x, merged), 1e-5);
                        }
                        assertThrows(PeftException.class, () -> output(device, adapter, weights, null, x, merged), name + " is worth nothing on the base");
                    } else {
                        expected.assertNear(name, output(device, adapter, weights, null, x, merged), 1e-5);
                    }
                }
            }
        }
    }

    @Test
    void outputsEqualPefts() throws IOException {
        assertOutputs(device, Interchange.golden(""));
    }

    @ParameterizedTest
    @CsvSource({"plain, F32", "float16, F16", "bfloat16, BF16"})
    void modulesAndTypes(String name, TensorType type) throws IOException {
        try (PeftAdapter adapter = PeftAdapter.read(Interchange.golden("adapters/" + name))) {
            assertEquals(List.of("block.0.dense", "block.0.dense_out", "dense"), adapter.modules().stream().map(AdapterModule::name).toList());
            for (AdapterModule m : adapter.modules()) {
                assertEquals(type, m.a().type());
                assertEquals(2.5, m.config().eta());
            }
            assertEquals(7, adapter.module("dense").outFeatures());
            assertEquals(6, adapter.module("dense").inFeatures());
            assertTrue(assertThrows(PeftException.class, () -> adapter.module("x")).getMessage().endsWith("module \"x\": the adapter has no such module among its 3"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"pissa", "lora_ga"})
    void theFormOfRank2rIsPefts(String name) throws IOException {
        try (PeftAdapter trained = PeftAdapter.read(Interchange.golden("adapters/" + name));
                PeftAdapter start = PeftAdapter.read(Interchange.golden("start/" + name));
                PeftAdapter pefts = PeftAdapter.read(Interchange.golden("adapters/" + name + "-converted"))) {
            assertTrue(trained.config().startsFromBase());
            assertFalse(pefts.config().startsFromBase());
            for (AdapterModule m : pefts.modules()) {
                AdapterModule own = trained.module(m.name()).onUntouchedBase(start.module(m.name()));
                assertEquals(m.config(), own.config());
                assertArrayEquals(m.a().toFloats(), own.a().toFloats());
                assertArrayEquals(m.b().toFloats(), own.b().toFloats());
            }
        }
    }

    @Test
    void aLayerThatDoesNotFitIsRefused() throws IOException {
        try (PeftAdapter adapter = PeftAdapter.read(Interchange.golden("adapters/plain"))) {
            AdapterModule m = adapter.module("dense");
            try (LoraLinear other = new LoraLinear(device, m.config(), DataType.FLOAT32, 7, 5, false, 1);
                    LoraLinear scale = new LoraLinear(device, new LoraConfig(2, 4, m.config().scaling()), DataType.FLOAT32, 7, 6, false, 1);
                    LoraLinear merged = new LoraLinear(device, m.config(), DataType.FLOAT32, 7, 6, false, 1);
                    LoraLinear doubles = new LoraLinear(device, m.config(), DataType.FLOAT64, 7, 6, false, 1)) {
                assertThrows(IllegalArgumentException.class, () -> adapter.load("dense", other));
                assertThrows(IllegalArgumentException.class, () -> adapter.load("dense", scale));
                merged.merge();
                assertThrows(IllegalStateException.class, () -> adapter.load("dense", merged));
                adapter.load("dense", doubles);
                float[] floats = m.a().toFloats();
                double[] read = doubles.loraA().read();
                for (int i = 0; i < floats.length; i++) {
                    assertEquals(floats[i], read[i]);
                }
            }
        }
    }

    // ---- what is refused

    private void assertRefused(String reason, String configFields, Consumer<Map<String, TensorData>> change) throws IOException {
        Path adapter = Files.createDirectories(folder.resolve("adapter"));
        Files.writeString(adapter.resolve("adapter_config.json"),
                "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"target_modules\":[\"dense\"]" + configFields + "}");
        Map<String, TensorData> tensors = new HashMap<>();
        tensors.put("base_model.model.dense.lora_A.weight", TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[6]), 2, 3));
        tensors.put("base_model.model.dense.lora_B.weight", TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[8]), 4, 2));
        change.accept(tensors);
        SafeTensors.write(adapter.resolve("adapter_model.safetensors"), tensors, Map.of("format", "pt"));
        IOException e = assertThrows(PeftException.class, () -> PeftAdapter.read(adapter).close(), reason);
        assertTrue(e.getMessage().startsWith(adapter.toString()) && e.getMessage().contains(reason), e.getMessage());
        assertFalse(e.getMessage().contains("\n"));
    }

    private static TensorData zeros(long... shape) {
        return TensorData.of(TensorType.F32, MemorySegment.ofArray(new float[(int) TensorType.elements(shape)]), shape);
    }

    @Test
    void whatIsNotSupportedIsRefusedByName() throws IOException {
        String p = "base_model.model.dense.";
        assertRefused("(DoRA)", "", t -> t.put(p + "lora_magnitude_vector", zeros(4)));
        assertRefused("(a trained bias)", "", t -> t.put(p + "lora_B.bias", zeros(4)));
        assertRefused("(a trained bias)", "", t -> t.put(p + "base_layer.bias", zeros(4)));
        assertRefused("(an adapter of an embedding)", "", t -> t.put(p + "lora_embedding_A", zeros(2, 3)));
        assertRefused("(a fully trained module)", "", t -> t.put("base_model.model.head.weight", zeros(2, 3)));
        assertRefused("tensor \"dense.lora_A.weight\": it is not supported", "", t -> t.put("dense.lora_A.weight", zeros(2, 3)));
        assertRefused("tensor \"" + p + "lora_A.weight\": its lora_B is missing", "", t -> t.remove(p + "lora_B.weight"));
        assertRefused("tensor \"" + p + "lora_B.weight\": its lora_A is missing", "", t -> t.remove(p + "lora_A.weight"));
        assertRefused("it has no module", "", Map::clear);
        assertRefused("module \"dense\": target_modules of adapter_config.json does not mean it", ",\"exclude_modules\":\"d.*\"", t -> { });
        assertRefused("A is [2, 3] and B [4, 2]; with rank 3", ",\"rank_pattern\":{\"dense\":3}", t -> { });
        assertRefused("with rank 2 they must be [2, n] and [m, 2]", "", t -> t.put(p + "lora_A.weight", zeros(3, 2)));
        assertRefused("they must be", "", t -> t.put(p + "lora_A.weight", zeros(2, 3, 1, 1)));
        assertRefused("they must be", "", t -> t.put(p + "lora_B.weight", zeros(0, 2)));
        assertRefused("A is I32 and B F32", "", t -> t.put(p + "lora_A.weight", TensorData.of(TensorType.I32, MemorySegment.ofArray(new int[6]), 2, 3)));
        assertRefused("its name is longer than 4096", ",\"exclude_modules\":null", t -> {
            t.put("base_model.model." + "x.".repeat(3000) + "dense.lora_A.weight", zeros(2, 3));
            t.put("base_model.model." + "x.".repeat(3000) + "dense.lora_B.weight", zeros(4, 2));
        });
    }

    @Test
    void whatIsMissingIsNamed() throws IOException {
        Map<String, String> missing = new LinkedHashMap<>();
        missing.put("adapter_config.json", "adapter_config.json: it is missing");
        missing.put("adapter_model.safetensors", "adapter_model.safetensors is missing");
        for (Map.Entry<String, String> e : missing.entrySet()) {
            Path copy = Files.createDirectories(folder.resolve(e.getKey()));
            for (String name : missing.keySet()) {
                if (!name.equals(e.getKey())) {
                    Files.copy(Interchange.golden("adapters/plain").resolve(name), copy.resolve(name));
                }
            }
            assertTrue(assertThrows(PeftException.class, () -> PeftAdapter.read(copy).close()).getMessage().contains(e.getValue()));
        }
        Path pickled = folder.resolve("adapter_model.safetensors");
        Files.createFile(pickled.resolve("adapter_model.bin"));
        assertTrue(assertThrows(PeftException.class, () -> PeftAdapter.read(pickled).close()).getMessage().contains("adapter_model.bin is not supported"));
    }
}
