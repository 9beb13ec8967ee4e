package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lora4j.DeviceTest;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.init.Initializer;
import org.lora4j.init.LoraGa;
import org.lora4j.init.Pissa;
import org.lora4j.init.PlainLora;

/** There and back with PEFT itself; see {@link Interchange#python} for where it is found and what happens without it. */
class PeftPythonTest extends DeviceTest {
    @TempDir
    Path folder;

    @Test
    void whatPeftWritesNowIsReadWithItsOutputs() throws Exception {
        Interchange.python("make", folder, System.nanoTime() % 1_000_000);
        PeftAdapterTest.assertOutputs(device, folder);
    }

    private interface Form {
        void add(PeftExport export, String name, LoraLinear layer, AdapterModule start) throws IOException;
    }

    private final List<LoraLinear> layers = new ArrayList<>();

    /** Trains adapters of some of Net's modules a bit, writes them, and what the trained net makes of x. */
    private void write(String name, PeftConfig config, Map<String, LoraConfig> modules, Initializer initializer, Form form, Random random) throws IOException {
        try (SafeTensors weights = SafeTensors.open(Interchange.golden("model.safetensors"))) {
            PeftExport export = new PeftExport(config);
            List<Interchange.Linear> net = new ArrayList<>();
            for (String module : Interchange.MODULES) {
                Reference weight = Interchange.read(weights, module + ".weight");
                Reference bias = Interchange.read(weights, module + ".bias");
                LoraConfig lora = modules.get(module);
                if (lora == null) {
                    net.add(x -> Interchange.linear(x, weight, bias));
                    continue;
                }
                LoraLinear layer = new LoraLinear(device, lora, DataType.FLOAT32, weight.rows(), weight.cols(), true, 9);
                layers.add(layer);
                try (Matrix w = weight.on(device, DataType.FLOAT32)) {
                    layer.load(w);
                }
                layer.bias().write(bias.data());
                try (Matrix gradient = Reference.random(weight.rows(), weight.cols(), DataType.FLOAT32, random).on(device, DataType.FLOAT32)) {
                    (initializer == null ? LoraGa.of(gradient) : initializer).initialize(layer);
                }
                AdapterModule start = AdapterModule.of(module, layer).snapshot();
                for (Matrix a : List.of(layer.loraA(), layer.loraB())) {
                    a.write(Reference.of(a).plus(0.3, Reference.random((int) a.rows(), (int) a.cols(), DataType.FLOAT32, random)).data());
                }
                form.add(export, module, layer, start);
                net.add(x -> PeftAdapterTest.forward(layer, x));
            }
            export.write(folder.resolve("adapters").resolve(name));
            Reference x = Reference.random(9, 6, DataType.FLOAT32, random);
            Reference y = Interchange.net(net, x);
            Map<String, TensorData> expected = new HashMap<>();
            expected.put("x", TensorData.of(TensorType.F64, MemorySegment.ofArray(x.data()), 9, 6).as(TensorType.F32));
            expected.put("y", TensorData.of(TensorType.F64, MemorySegment.ofArray(y.data()), 9, 4).as(TensorType.F32));
            Files.createDirectories(folder.resolve("expected"));
            SafeTensors.write(folder.resolve("expected").resolve(name + ".safetensors"), expected, Map.of());
        } finally {
            layers.forEach(LoraLinear::close);
            layers.clear();
        }
    }

    @Test
    void peftLoadsWhatIsWrittenAndComputesTheSame() throws Exception {
        Files.copy(Interchange.golden("model.safetensors"), folder.resolve("model.safetensors"));
        Random random = new Random(11);
        PeftConfig standard = PeftConfig.standard();
        Form plain = (export, name, layer, start) -> export.add(AdapterModule.of(name, layer));
        Form withBase = (export, name, layer, start) -> export.add(name, layer);
        Form untouched = (export, name, layer, start) -> export.add(AdapterModule.of(name, layer).onUntouchedBase(start));
        for (Scaling scaling : Scaling.values()) {
            LoraConfig two = new LoraConfig(2, 5, scaling);
            Map<String, LoraConfig> some = Map.of("dense", two, "block.0.dense_out", new LoraConfig(1, 0.75, scaling));
            Map<String, LoraConfig> all = Map.of("dense", new LoraConfig(3, 5, scaling), "block.0.dense", two, "block.0.dense_out", new LoraConfig(2, 7, scaling));
            String s = scaling.name().toLowerCase();
            write("plain " + s, standard, some, PlainLora.kaimingUniform(1), plain, random);
            write("dense " + s, standard, Map.of("dense", two), PlainLora.kaimingUniform(1), plain, random);
            write("mixed " + s, standard, all, PlainLora.gaussian(2), plain, random);
            write("pissa base " + s, standard, all, new Pissa(), withBase, random);
            write("pissa 2r " + s, standard, all, new Pissa(), untouched, random);
            write("lora-ga base " + s, standard, some, null, withBase, random);
            write("lora-ga 2r " + s, standard, some, null, untouched, random);
        }
        Map<String, LoraConfig> conv1d = Map.of("block.0.dense", new LoraConfig(2, 5, Scaling.STANDARD));
        write("conv1d base", standard.with("fan_in_fan_out", true), conv1d, null, withBase, random);
        write("conv1d 2r", standard.with("fan_in_fan_out", true), conv1d, null, untouched, random);
        String output = Interchange.python("check", folder);
        assertEquals(2 * 16, output.lines().filter(line -> line.matches(".*, (merged|with adapter): .*")).count(), output);
        assertResaved();
    }

    /** PEFT saves what it loaded from us: the same modules and numbers. */
    private void assertResaved() throws IOException {
        for (String name : folder.resolve("adapters").toFile().list()) {
            try (PeftAdapter ours = PeftAdapter.read(folder.resolve("adapters").resolve(name)); PeftAdapter theirs = PeftAdapter.read(folder.resolve("resaved").resolve(name))) {
                assertEquals(ours.modules().size(), theirs.modules().size());
                for (AdapterModule m : ours.modules()) {
                    assertEquals(m.config(), theirs.module(m.name()).config());
                    assertArrayEquals(m.a().toFloats(), theirs.module(m.name()).a().toFloats());
                    assertArrayEquals(m.b().toFloats(), theirs.module(m.name()).b().toFloats());
                }
            }
        }
    }
}
