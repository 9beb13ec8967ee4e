package org.lora4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.io.AdapterModule;
import org.lora4j.io.PeftAdapter;
import org.lora4j.io.SafeTensors;
import org.lora4j.io.TensorData;
import org.lora4j.io.TensorType;

/** What init writes, measures and refuses. */
class InitTest {
    private static final List<String> FIELDS = List.of("name", "m", "n", "svdSeconds", "products", "residual", "capturedEnergy", "alignment", "forwardMoment",
            "backwardMoment");

    @TempDir
    Path folder;
    private Path weights;
    private Path gradients;
    private Path out;

    @BeforeEach
    void writeModel() throws IOException {
        weights = Model.weights(folder.resolve("weights.safetensors"), TensorType.F32);
        gradients = Model.gradients(folder.resolve("gradients.safetensors"));
        out = folder.resolve("deep/er/out");
    }

    private Cli.Result init(Object... more) {
        Object[] all = new Object[more.length + 11];
        System.arraycopy(new Object[] {"init", "--weights", weights, "--gradients", gradients, "--rank", 3, "--alpha", 8, "--out", out}, 0, all, 0, 11);
        System.arraycopy(more, 0, all, 11, more.length);
        return Cli.run(all);
    }

    /** Oracle O1 on the files: W_fz + η·B·A = W0, to rounding of the stored type. */
    private void assertKeepsTheWeights(double eta, double tolerance) throws IOException {
        try (PeftAdapter adapter = PeftAdapter.read(out)) {
            for (AdapterModule module : adapter.modules()) {
                float[] w0 = Model.values(weights, module.name() + ".weight");
                float[] fz = adapter.frozenWeight(module.name()).orElseThrow().toFloats();
                float[] a = module.a().toFloats();
                float[] b = module.b().toFloats();
                int n = (int) module.inFeatures();
                int r = module.config().rank();
                for (int i = 0; i < w0.length; i++) {
                    double w = fz[i];
                    for (int k = 0; k < r; k++) {
                        w += eta * b[i / n * r + k] * a[k * n + i % n];
                    }
                    assertEquals(w0[i], w, tolerance * Math.max(1, Math.abs(fz[i])), module.name() + " " + i);
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"rslora, F32, 1e-6", "standard, F32, 1e-6", "rslora, BF16, 4e-3", "rslora, F16, 5e-4", "rslora, F64, 1e-6"})
    void anAdapterIsWrittenThatKeepsTheWeights(String scaling, TensorType type, double tolerance) throws IOException {
        Model.weights(weights, type);
        init("--scaling", scaling).assertDone();
        assertEquals(new TreeSet<>(List.of("", "adapter_config.json", "adapter_model.safetensors", "base.safetensors")), new TreeSet<>(Model.contents(out).keySet()));
        assertKeepsTheWeights(scaling.equals("rslora") ? 8 / Math.sqrt(3) : 8 / 3.0, tolerance);
        try (SafeTensors base = SafeTensors.open(out.resolve("base.safetensors"))) {
            assertEquals(3, base.tensors().size());
            base.tensors().forEach(t -> assertEquals(type, t.type()));
        }
        JsonNode config = new ObjectMapper().readTree(out.resolve("adapter_config.json").toFile());
        assertEquals(scaling.equals("rslora"), config.get("use_rslora").asBoolean());
        assertEquals(3, config.get("r").asInt());
    }

    @Test
    void theReportIsTheJsonOutput() throws IOException {
        Path report = folder.resolve("report.json");
        JsonNode json = init("--json", "--report", report).assertDone().json();
        assertEquals(new ObjectMapper().readTree(report.toFile()), json);
        assertEquals(3, json.get("matrices").size());
        double sum = 0;
        for (JsonNode row : json.get("matrices")) {
            assertEquals(FIELDS, List.copyOf(row.properties().stream().map(Map.Entry::getKey).toList()));
            for (String field : FIELDS.subList(1, FIELDS.size())) {
                assertTrue(row.get(field).isNumber() && Double.isFinite(row.get(field).asDouble()), field + " " + row);
            }
            assertEquals(8.0 * 8 / (16 * 16), row.get("forwardMoment").asDouble(), 1e-5, "α²/γ²");
            assertTrue(row.get("alignment").asDouble() > 0.3 && row.get("capturedEnergy").asDouble() <= 1, row.toString());
            sum += row.get("svdSeconds").asDouble();
        }
        assertEquals(sum, json.get("totals").get("svdSeconds").asDouble(), 1e-12);
        assertTrue(json.get("totals").get("seconds").asDouble() >= sum);
        assertTrue(json.get("totals").get("peakBytes").asLong() > 24 * 16 * 4);
    }

    @ParameterizedTest
    @EnumSource(Init.Method.class)
    void everyMethodStarts(Init.Method method) throws IOException {
        Cli.run("init", "--weights", weights, "--rank", 3, "--alpha", 8, "--out", out, "--method", WordOf.word(method), "--target", ".*query|head", "--gradients",
                gradients, "--seed", 5).assertDone();
        try (PeftAdapter adapter = PeftAdapter.read(out)) {
            assertEquals(2, adapter.modules().size());
        }
        if (method == Init.Method.LORA) {
            assertFalse(Files.exists(out.resolve("base.safetensors")), "nothing was taken out of the weights");
        } else {
            assertKeepsTheWeights(8 / Math.sqrt(3), 1e-6);
        }
    }

    @Test
    void withoutGradientsThePatternChooses() throws IOException {
        JsonNode json = Cli.run("init", "--weights", weights, "--rank", 2, "--alpha", 8, "--out", out, "--method", "olora", "--target", "encoder.*", "--json")
                .assertDone().json();
        assertEquals(2, json.get("matrices").size());
        assertTrue(json.get("matrices").get(0).get("alignment").isNull() && json.get("matrices").get(0).get("svdSeconds").isNull());
    }

    @Test
    void theSeedDecides() throws IOException {
        init("--seed", 7).assertDone();
        Map<String, Integer> first = Model.contents(out);
        init("--seed", 7, "--force").assertDone();
        assertEquals(first, Model.contents(out));
        init("--seed", 7, "--force", "--method", "lora").assertDone();
        Map<String, Integer> lora = Model.contents(out);
        assertFalse(lora.containsKey("base.safetensors"), "the frozen weights of the adapter before");
        init("--seed", 8, "--force", "--method", "lora").assertDone();
        assertNotEquals(lora, Model.contents(out));
    }

    @Test
    void maxShiftLimitsWhatMoves() throws IOException {
        double shift = 0.01;
        JsonNode json = init("--max-shift", shift, "--json").assertDone().json();
        for (JsonNode row : json.get("matrices")) {
            float[] w = Model.values(weights, row.get("name").asText() + ".weight");
            double norm2 = 0;
            for (float x : w) {
                norm2 += x * x;
            }
            assertEquals(shift * shift * norm2, row.get("forwardMoment").asDouble() * row.get("m").asDouble(), 1e-4 * shift * shift * norm2);
        }
    }

    @Test
    void theExactSvdAndTheKrylovOneAgree() {
        JsonNode krylov = init("--json").assertDone().json();
        JsonNode exact = init("--json", "--svd", "exact", "--force").assertDone().json();
        for (int i = 0; i < 3; i++) {
            assertEquals(exact.get("matrices").get(i).get("alignment").asDouble(), krylov.get("matrices").get(i).get("alignment").asDouble(), 1e-3);
            assertEquals(0, exact.get("matrices").get(i).get("products").asInt());
        }
    }

    @Test
    void nothingIsOverwrittenUnasked() throws IOException {
        Files.createDirectories(out);
        init().assertDone(); // an empty folder is as good as none
        Path report = Files.writeString(folder.resolve("report.json"), "mine");
        Files.writeString(out.resolve("notes.txt"), "mine");
        Map<String, Integer> before = Model.contents(folder);
        init().assertFailed(2, "is not empty", "--force");
        init("--report", report).assertFailed(2, "--force");
        assertEquals(before, Model.contents(folder));
        init("--force", "--report", report, "--seed", 3).assertDone();
        assertEquals("mine", Files.readString(out.resolve("notes.txt")));
        assertTrue(Files.readString(report).startsWith("{"));
        out = Files.writeString(folder.resolve("file"), "mine");
        init("--force").assertFailed(2, "no folder");
    }

    @Test
    void badInputWritesNothing() throws IOException {
        Map<String, Integer> before = Model.contents(folder);
        init("--target", "nothing").assertFailed(2, "nothing");
        init("--rank", 3).assertFailed(2, "only once");
        Cli.run("init", "--weights", weights, "--gradients", gradients, "--rank", 5, "--alpha", 1, "--out", out).assertFailed(2, "head.weight",
                "the rank must be at most 4");
        assertEquals(before, Model.contents(folder));
    }

    @Test
    void gradientsThatDoNotFitAreRefused() throws IOException {
        SafeTensors.write(gradients, Map.of("other.weight", Model.matrix(4, 4, new Random(1))), Map.of());
        init().assertFailed(2, "other.weight", "no weight");
        SafeTensors.write(gradients, Map.of("head.weight", Model.matrix(4, 4, new Random(1))), Map.of());
        init().assertFailed(2, "head.weight", "another shape");
        SafeTensors.write(gradients, Map.of("head.bias", Model.matrix(4, 4, new Random(1))), Map.of());
        init().assertFailed(2, "no tensor of two dimensions");
        float[] values = new float[72];
        SafeTensors.write(gradients, Map.of("head.weight", TensorData.of(TensorType.F32, MemorySegment.ofArray(values), 8, 9)), Map.of());
        init().assertFailed(2, "head", "all zeros");
        values[5] = Float.NaN;
        SafeTensors.write(gradients, Map.of("head.weight", TensorData.of(TensorType.F32, MemorySegment.ofArray(values), 8, 9)), Map.of());
        init().assertFailed(2, "head", "NaN");
        assertFalse(Files.exists(out));
    }
}
