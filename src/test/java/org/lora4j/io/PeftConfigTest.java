package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lora4j.LoraConfig;
import org.lora4j.Scaling;

/** adapter_config.json: patterns as PEFT's own functions read them, what is refused, what is kept. */
class PeftConfigTest {
    @TempDir
    Path folder;

    private PeftConfig config(String fields) throws IOException {
        return PeftConfig.read(Files.writeString(folder.resolve("adapter_config.json"), "{\"peft_type\":\"LORA\"" + fields + "}"));
    }

    private static JsonNode patterns() throws IOException {
        return new ObjectMapper().readTree(Files.readAllBytes(Interchange.golden("patterns.json")));
    }

    @Test
    void aKeyMatchesWhatPeftSaysItMatches() throws IOException {
        JsonNode keys = patterns().path("keys");
        assertTrue(keys.size() > 300);
        for (JsonNode item : keys) {
            PythonPattern pattern = PythonPattern.suffix(item.path("key").textValue(), new PythonPattern.Budget());
            assertEquals(item.path("matches").booleanValue(), pattern.match(item.path("name").textValue()), item.toString());
        }
    }

    @Test
    void theFirstKeyThatMatchesHolds() throws IOException {
        for (JsonNode item : patterns().path("orders")) {
            Set<String> keys = new LinkedHashSet<>();
            item.path("keys").forEach(key -> keys.add(key.textValue()));
            ModulePatterns patterns = new ModulePatterns(null, null, null, List.of(), keys, Set.of());
            String name = item.path("name").textValue();
            String key = patterns.rankKey(name);
            assertEquals(item.path("key").textValue(), key == null ? name : key, item.toString());
        }
    }

    @Test
    void aModuleIsATargetWhereItIsOneToPeft() throws IOException {
        JsonNode targets = patterns().path("targets");
        assertTrue(targets.size() > 100);
        for (JsonNode item : targets) {
            PeftConfig config = PeftConfig.read(Files.writeString(folder.resolve("c"), item.path("config").toString()));
            assertEquals(item.path("target").booleanValue(), config.isTarget(item.path("name").textValue()), item.toString());
        }
    }

    @Test
    void rankAndScaleOfAModule() throws IOException {
        PeftConfig config = config(",\"r\":4,\"lora_alpha\":6.5,\"use_rslora\":true,\"rank_pattern\":{\"^a\":2,\"b\":3},\"alpha_pattern\":{\"b\":1e1}");
        assertEquals(new LoraConfig(4, 6.5, Scaling.RANK_STABILISED), config.of("x.a"));
        assertEquals(new LoraConfig(2, 6.5, Scaling.RANK_STABILISED), config.of("a"));
        assertEquals(new LoraConfig(3, 10, Scaling.RANK_STABILISED), config.of("x.b"));
        assertEquals(new LoraConfig(8, 8, Scaling.STANDARD), config("").of("x"), "PEFT's defaults");
        assertTrue(assertThrows(PeftException.class, () -> config(",\"r\":0").of("m")).getMessage().endsWith("module \"m\": rank 0: it must be at least 1"));
        assertThrows(PeftException.class, () -> config(",\"lora_alpha\":1e400").of("m"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
            "use_dora; true", "lora_bias; true", "modules_to_save; [\"head\"]", "trainable_token_indices; [1]", "layer_replication; [[0,1]]",
            "use_qalora; true", "alora_invocation_tokens; [1]", "velora_config; {\"a\":1}", "monteclora_config; {\"a\":1}", "use_bdlora; {\"a\":1}",
            "arrow_config; {\"a\":1}", "kasa_config; {\"a\":1}", "target_parameters; [\"p\"]", "megatron_config; {\"a\":1}", "ensure_weight_tying; true",
            "bias; \"all\"", "bias; \"lora_only\"", "init_lora_weights; \"new\"", "init_lora_weights; null", "r; 1.5", "r; -1", "r; \"8\"",
            "r; 2147483648", "r; null", "lora_alpha; \"8\"", "lora_dropout; 2", "lora_dropout; -0.1", "use_rslora; 1", "fan_in_fan_out; \"true\"",
            "target_modules; 1", "target_modules; [1]", "target_modules; \"(\"", "target_modules; \"a)\"", "target_modules; \"*\"", "target_modules; \"a**\"",
            "target_modules; \"(?<=a)b\"", "target_modules; \"(?i)b\"", "target_modules; \"(a)\\\\1\"", "target_modules; \"a{2\"", "target_modules; \"[a\"",
            "target_modules; \"[b-a]\"", "target_modules; \"a{3,2}\"", "target_modules; \"a{1001}\"", "target_modules; \"\\\\p\"", "target_modules; \"a\\\\\"",
            "target_modules; \"(((a{99}){99}){99}){99}\"", "exclude_modules; {}", "layers_to_transform; \"1\"", "layers_to_transform; [1.5]",
            "layers_pattern; [1]", "rank_pattern; []", "rank_pattern; {\"a\":1.5}", "rank_pattern; {\"(\":1}", "alpha_pattern; {\"a\":\"b\"}",
            "base_model_name_or_path; 1"})
    void whatIsNotSupportedIsRefusedByName(String field, String value) {
        PeftException e = assertThrows(PeftException.class, () -> config(",\"" + field + "\":" + value));
        boolean pattern = e.subject().equals("a pattern of modules");
        assertTrue(pattern || e.subject().startsWith(field), e.getMessage());
        assertTrue(e.getMessage().startsWith(folder.resolve("adapter_config.json") + ": "), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"use_dora", "modules_to_save", "bias", "kasa_config", "use_rslora", "rank_pattern", "target_modules", "layers_pattern"})
    void nullMeansNotUsed(String field) throws IOException {
        config(",\"" + field + "\":null").of("m");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "[]", "{", "{\"peft_type\":\"LORA\",\"r\":8,\"r\":8}", "{\"peft_type\":\"LOHA\"}", "{}", "{\"peft_type\":\"LORA\"}{}",
            "{\"peft_type\":\"LORA\",\"x\":NaN}", "{\"peft_type\":\"LORA\",\"x\":1e99999999999}"})
    void whatIsNoConfigIsRefused(String text) throws IOException {
        Path file = Files.writeString(folder.resolve("config"), text);
        assertTrue(assertThrows(PeftException.class, () -> PeftConfig.read(file)).getMessage().startsWith(file + ": "));
    }

    /** Patterns that make a backtracking engine run for ages. */
    @ParameterizedTest
    @ValueSource(strings = {"(a+)+b", "(a|a)*b", "(|){40}b", "((a?){20}){20}b", "(.*)*(.*)*(.*)*b", "(a*)*(a*)*c", "(()*)*b", "(?!(a+)+b)(a|aa)+c"})
    void noPatternTakesLong(String pattern) {
        assertTimeoutPreemptively(Duration.ofSeconds(10), () -> {
            PeftConfig config = config(",\"target_modules\":\"" + pattern + "\",\"rank_pattern\":{\"" + pattern + "\":2}");
            assertFalse(config.isTarget("a".repeat(300)));
            assertEquals(8, config.of("a".repeat(300)).rank());
        });
    }

    @Test
    void aKeyForEachOfThousandsOfModulesIsFast() {
        StringBuilder keys = new StringBuilder();
        for (int i = 0; i < 40_000; i++) {
            keys.append(i == 0 ? "" : ",").append("\"^m\\\\.").append(i).append("\":").append(i % 9 + 1);
        }
        assertTimeoutPreemptively(Duration.ofSeconds(20), () -> {
            PeftConfig config = config(",\"rank_pattern\":{" + keys + "}");
            for (int i = 0; i < 40_000; i++) {
                assertEquals(i % 9 + 1, config.of("m." + i).rank());
            }
        });
    }

    @Test
    void unknownFieldsAreKept() throws IOException {
        String text = ",\"zz\":{\"b\":[1,2.50,\"é\\u0000\",null,true,{}],\"a\":12345678901234567890},\"peft_version\":\"9.9\",\"lora_dropout\":0.05";
        PeftConfig config = config(text);
        PeftConfig again = PeftConfig.read(Files.write(folder.resolve("again"), config.toJson()));
        assertEquals(config.fields(), again.fields());
        assertEquals(0.05, again.dropout());
        JsonNode tree = new ObjectMapper().readTree(config.toJson());
        assertEquals(new ObjectMapper().readTree("{\"peft_type\":\"LORA\"" + text + "}"), tree);
    }

    @Test
    void aConfigWithOneFieldChanged() throws IOException {
        PeftConfig config = PeftConfig.standard().with("base_model_name_or_path", "org/model").with("lora_dropout", 0.25).with("note", 3);
        assertEquals("org/model", config.baseModel().orElseThrow());
        assertEquals(0.25, config.dropout());
        assertEquals(Map.of("a", new BigDecimal("1.5")), config.with("note", Map.of("a", new BigDecimal("1.5"))).fields().get("note"));
        assertEquals(3L, config.fields().get("note"));
        assertTrue(assertThrows(IllegalArgumentException.class, () -> config.with("use_dora", true)).getMessage().contains("use_dora"));
        assertThrows(IllegalArgumentException.class, () -> config.with("note", new Object()));
    }

    /** What Python wrote is written with the same bytes. */
    @ParameterizedTest
    @ValueSource(strings = {"plain", "patterns", "pissa", "lora_ga"})
    void pythonsBytes(String name) throws IOException {
        Path file = Interchange.golden("adapters/" + name + "/adapter_config.json");
        assertEquals(Files.readString(file), new String(PeftConfig.read(file).toJson()));
    }
}
