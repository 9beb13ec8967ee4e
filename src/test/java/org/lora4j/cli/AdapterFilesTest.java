package org.lora4j.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lora4j.io.AdapterModule;
import org.lora4j.io.PeftAdapter;
import org.lora4j.io.PeftConfig;
import org.lora4j.io.PeftExport;
import org.lora4j.io.SafeTensors;
import org.lora4j.io.TensorData;
import org.lora4j.io.TensorType;

/** merge, convert and inspect on what init wrote and "training" changed. */
class AdapterFilesTest {
    @TempDir
    Path folder;
    private Path weights;
    private Path start;
    private Path trained;

    @BeforeEach
    void initialiseAndTrain() throws IOException {
        weights = Model.weights(folder.resolve("weights.safetensors"), TensorType.F32);
        Path gradients = Model.gradients(folder.resolve("gradients.safetensors"));
        start = folder.resolve("start");
        Cli.run("init", "--weights", weights, "--gradients", gradients, "--rank", 3, "--alpha", 8, "--out", start).assertDone();
        trained = folder.resolve("trained");
        Random random = new Random(9);
        PeftExport export = new PeftExport(PeftConfig.standard());
        try (PeftAdapter adapter = PeftAdapter.read(start)) {
            for (AdapterModule m : adapter.modules()) {
                export.add(new AdapterModule(m.name(), m.config(), Model.matrix(3, (int) m.inFeatures(), random), Model.matrix((int) m.outFeatures(), 3, random)));
            }
        }
        export.write(trained);
    }

    private Path merge(Path base, Path adapter, String name) {
        Path out = folder.resolve(name);
        Cli.run("merge", "--base", base, "--adapter", adapter, "--out", out).assertDone();
        return out;
    }

    private static void assertSame(Path expected, Path actual, float tolerance) throws IOException {
        try (SafeTensors a = SafeTensors.open(expected); SafeTensors b = SafeTensors.open(actual)) {
            assertEquals(a.names(), b.names());
            assertEquals(a.metadata(), b.metadata());
            for (String name : a.names()) {
                assertArrayEquals(a.tensor(name).toFloats(), b.tensor(name).toFloats(), a.tensor(name).shape().length == 2 ? tolerance : 0, name);
                assertEquals(a.tensor(name).type(), b.tensor(name).type());
            }
        }
    }

    @Test
    void mergingTheStartGivesTheWeights() throws IOException {
        assertSame(weights, merge(weights, start, "merged.safetensors"), 1e-5f);
    }

    /** On the frozen weights the trained adapter is what the converted one is on the untouched base. */
    @Test
    void theConvertedAdapterIsTheTrainedOneForTheUntouchedBase() throws IOException {
        Path plain = folder.resolve("plain");
        Cli.run("convert", "--initial", start, "--trained", trained, "--out", plain).assertDone();
        assertFalse(Files.exists(plain.resolve("base.safetensors")));
        Path expected;
        try (SafeTensors untouched = SafeTensors.open(weights); PeftAdapter frozen = PeftAdapter.read(start)) {
            Path base = folder.resolve("frozen.safetensors");
            Map<String, TensorData> tensors = new TreeMap<>();
            untouched.tensors().forEach(t -> tensors.put(t.name(), t));
            for (AdapterModule m : frozen.modules()) {
                tensors.put(m.name() + ".weight", frozen.frozenWeight(m.name()).orElseThrow());
            }
            SafeTensors.write(base, tensors, untouched.metadata());
            expected = merge(base, trained, "expected.safetensors");
        }
        assertSame(expected, merge(weights, plain, "converted.safetensors"), 1e-4f);
        try (PeftAdapter adapter = PeftAdapter.read(plain)) {
            AdapterModule head = adapter.module(Model.HEAD);
            assertEquals(6, head.config().rank());
            assertEquals(8 / Math.sqrt(3), head.config().eta(), 1e-12);
        }
    }

    @Test
    void mergeRefusesWhatDoesNotFit() throws IOException {
        Path other = folder.resolve("other.safetensors");
        SafeTensors.write(other, Map.of("head.weight", Model.matrix(8, 9, new Random(1))), Map.of());
        Map<String, Integer> before = Model.contents(folder);
        Cli.run("merge", "--base", other, "--adapter", start, "--out", folder.resolve("m")).assertFailed(2, ".weight, which the adapter needs");
        Cli.run("merge", "--base", weights, "--adapter", folder, "--out", folder.resolve("m")).assertFailed(2, "adapter_config.json");
        Cli.run("merge", "--base", weights, "--adapter", start, "--out", folder).assertFailed(2, "is a folder");
        Cli.run("merge", "--base", weights, "--adapter", start, "--out", other).assertFailed(2, "--force");
        Cli.run("convert", "--initial", start, "--trained", trained, "--out", start).assertFailed(2, "--force");
        assertEquals(before, Model.contents(folder));
    }

    @Test
    void mergeReplacesItsOwnBaseWithForce() throws IOException {
        Path copy = Files.copy(weights, folder.resolve("copy.safetensors"));
        Cli.run("merge", "--base", weights, "--adapter", trained, "--out", weights).assertFailed(2);
        Cli.run("merge", "--base", weights, "--adapter", trained, "--out", weights, "--force").assertDone();
        assertSame(merge(copy, trained, "merged.safetensors"), weights, 0);
    }

    @Test
    void convertRefusesAnotherAdaptersStart() throws IOException {
        Path other = folder.resolve("other");
        Cli.run("init", "--weights", weights, "--rank", 2, "--alpha", 8, "--out", other, "--method", "pissa", "--target", ".*").assertDone();
        Cli.run("convert", "--initial", other, "--trained", trained, "--out", folder.resolve("plain")).assertFailed(2, "the start is of");
        Path part = folder.resolve("part");
        Cli.run("init", "--weights", weights, "--rank", 3, "--alpha", 8, "--out", part, "--method", "pissa", "--target", "head").assertDone();
        Cli.run("convert", "--initial", part, "--trained", trained, "--out", folder.resolve("plain")).assertFailed(2, "no such module");
        Cli.run("convert", "--initial", start, "--trained", part, "--out", folder.resolve("plain")).assertFailed(2, "no such module");
        assertFalse(Files.exists(folder.resolve("plain")));
    }

    @Test
    void inspectListsTensors() {
        JsonNode json = Cli.run("inspect", weights, "--json").assertDone().json();
        assertEquals("pt", json.get("metadata").get("format").asText());
        assertEquals(5, json.get("tensors").size());
        assertEquals(4 * (24 * 16 + 12 * 31 + 8 * 9 + 24 + 16), json.get("bytes").asLong());
        String text = Cli.run("inspect", weights).assertDone().out();
        assertTrue(text.contains("head.weight") && text.contains("8×9") && text.contains("5 tensors"), text);
    }

    /** LoRA-GA's rows and columns are orthogonal and of one length: all three singular values are equal. */
    @Test
    void inspectMeasuresAdapters() {
        JsonNode json = Cli.run("inspect", start, "--json").assertDone().json();
        assertEquals("rslora", json.get("scaling").asText());
        double c2 = Math.sqrt(24) / 16;
        for (JsonNode module : json.get("modules")) {
            assertEquals(3, module.get("effectiveRank").asDouble(), 1e-5);
            assertTrue(module.get("frozenWeight").asBoolean());
            if (module.get("name").asText().equals(Model.QUERY)) {
                assertEquals(Math.sqrt(3 * c2), module.get("normA").asDouble(), 1e-6);
                assertEquals(8 / Math.sqrt(3) * c2 * Math.sqrt(3), module.get("norm").asDouble(), 1e-5);
            }
        }
        String text = Cli.run("inspect", start).assertDone().out();
        assertTrue(text.contains("eff. rank") && text.lines().count() == 5, text);
    }
}
