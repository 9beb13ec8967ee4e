package org.lora4j.io;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

import org.lora4j.LoraConfig;
import org.lora4j.Scaling;

/**
 * An adapter's {@code adapter_config.json}, as PEFT 0.21 reads and writes it. Fields that this library does not know are
 * kept; features that it does not compute are refused by name. Immutable.
 *
 * @see <a href="https://huggingface.co/docs/peft">PEFT's LoraConfig</a>
 */
public final class PeftConfig {
    static final String FILE = "adapter_config.json";
    private static final long MOST_BYTES = 16 << 20;
    /** Each changes what an adapter computes or holds; null, false and empty mean that it is not used. */
    private static final List<String> UNSUPPORTED = List.of("use_dora", "lora_bias", "modules_to_save", "trainable_token_indices",
            "layer_replication", "use_qalora", "alora_invocation_tokens", "velora_config", "monteclora_config", "use_bdlora", "arrow_config",
            "kasa_config", "target_parameters", "megatron_config", "ensure_weight_tying");
    private static final List<String> STARTS = List.of("true", "false", "gaussian", "eva", "orthogonal", "mica");
    private static final List<String> STARTS_FROM_BASE = List.of("pissa", "corda", "olora", "loftq", "lora_ga");

    private final Path file; // null where it was not read
    private final Map<String, Object> fields;
    private final Map<String, Object> ranks; // rank_pattern
    private final Map<String, Object> alphas; // alpha_pattern
    private final ModulePatterns patterns;

    private PeftConfig(Path file, Map<String, Object> fields) throws PeftException {
        this.file = file;
        this.fields = Collections.unmodifiableMap(fields);
        ranks = map("rank_pattern");
        alphas = map("alpha_pattern");
        check();
        try {
            patterns = new ModulePatterns(fields.get("target_modules"), fields.get("exclude_modules"), fields.get("layers_to_transform"),
                    texts("layers_pattern"), ranks.keySet(), alphas.keySet());
        } catch (PythonPattern.Refused e) {
            throw wrong("a pattern of modules", e.getMessage());
        }
    }

    /** PEFT's defaults: plain LoRA without dropout, for no base model in particular. */
    public static PeftConfig standard() {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("peft_type", "LORA");
        fields.put("task_type", null);
        fields.put("base_model_name_or_path", null);
        fields.put("revision", null);
        fields.put("inference_mode", true);
        fields.put("bias", "none");
        fields.put("lora_dropout", new BigDecimal("0.0"));
        fields.put("fan_in_fan_out", false);
        fields.put("init_lora_weights", true);
        return unchecked(fields);
    }

    private static PeftConfig unchecked(Map<String, Object> fields) {
        try {
            return new PeftConfig(null, fields);
        } catch (PeftException e) {
            throw new IllegalArgumentException(e.getMessage(), e);
        }
    }

    /**
     * Reads the file.
     *
     * @throws PeftException naming the field, where the JSON is none, a field is of the wrong kind, or a feature is not supported
     */
    public static PeftConfig read(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            throw new PeftException(file, null, "it is missing: this is no adapter, or one whose writing was interrupted");
        }
        if (Files.size(file) > MOST_BYTES) {
            throw new PeftException(file, null, Files.size(file) + " bytes are over the limit of " + MOST_BYTES);
        }
        try {
            return new PeftConfig(file, Json.read(Files.readAllBytes(file), Json::object));
        } catch (Json.Malformed e) {
            throw new PeftException(file, null, e.getMessage());
        }
    }

    private PeftException wrong(String field, String reason) {
        return new PeftException(file == null ? Path.of(FILE) : file, field, reason);
    }

    private void check() throws PeftException {
        if (!"LORA".equals(fields.get("peft_type"))) {
            throw wrong("peft_type", shown(fields.get("peft_type")) + " is not supported; it must be \"LORA\"");
        }
        for (String field : UNSUPPORTED) {
            if (isUsed(fields.get(field))) {
                throw wrong(field, shown(fields.get(field)) + " is not supported");
            }
        }
        if (fields.get("bias") != null && !fields.get("bias").equals("none")) {
            throw wrong("bias", shown(fields.get("bias")) + " is not supported: trained biases; it must be \"none\"");
        }
        String start = initialisation();
        if (!STARTS.contains(start) && !startsFromBase()) {
            throw wrong("init_lora_weights", shown(fields.get("init_lora_weights")) + " is not known: whether it changes the base weight can't be told");
        }
        flag("use_rslora");
        flag("fan_in_fan_out");
        dropout();
        integer("r", fields.getOrDefault("r", 8L));
        number("lora_alpha", fields.getOrDefault("lora_alpha", 8L));
        textsOrText("target_modules");
        textsOrText("exclude_modules");
        textsOrText("layers_pattern");
        Object layers = fields.get("layers_to_transform");
        for (Object layer : layers instanceof List<?> list ? list : layers == null ? List.of() : List.of(layers)) {
            integer("layers_to_transform", layer);
        }
        for (Map.Entry<String, Object> e : ranks.entrySet()) {
            integer("rank_pattern: " + e.getKey(), e.getValue());
        }
        for (Map.Entry<String, Object> e : alphas.entrySet()) {
            number("alpha_pattern: " + e.getKey(), e.getValue());
        }
        baseModel();
    }

    private static boolean isUsed(Object value) {
        return value != null && !value.equals(false) && !(value instanceof List<?> list && list.isEmpty())
                && !(value instanceof Map<?, ?> map && map.isEmpty());
    }

    private static String shown(Object value) {
        return SafeTensorsException.shortened(value instanceof String ? "\"" + value + "\"" : String.valueOf(value));
    }

    // ---- what the fields say

    /** Rank and scale of a module: {@code r} and {@code lora_alpha}, or what the first key that matches it in a pattern says. */
    public LoraConfig of(String module) throws PeftException {
        try {
            String rankKey = patterns.rankKey(module);
            String alphaKey = patterns.alphaKey(module);
            int rank = integer("r", rankKey == null ? fields.getOrDefault("r", 8L) : ranks.get(rankKey));
            double alpha = number("lora_alpha", alphaKey == null ? fields.getOrDefault("lora_alpha", 8L) : alphas.get(alphaKey));
            return new LoraConfig(rank, alpha, flag("use_rslora") ? Scaling.RANK_STABILISED : Scaling.STANDARD);
        } catch (IllegalArgumentException e) {
            throw wrong("module \"" + module + "\"", e.getMessage());
        } catch (PythonPattern.Refused e) {
            throw wrong("a pattern of modules", e.getMessage());
        }
    }

    /** Whether PEFT gives a module of this name an adapter. */
    public boolean isTarget(String module) throws PeftException {
        try {
            return patterns.isTarget(module);
        } catch (PythonPattern.Refused e) {
            throw wrong("a pattern of modules", e.getMessage());
        }
    }

    /** {@code base_model_name_or_path}. */
    public Optional<String> baseModel() throws PeftException {
        Object name = fields.get("base_model_name_or_path");
        if (name != null && !(name instanceof String)) {
            throw wrong("base_model_name_or_path", shown(name) + " is not a string");
        }
        return Optional.ofNullable((String) name);
    }

    /** {@code lora_dropout}, the share of the adapter's input that training leaves out. */
    public double dropout() throws PeftException {
        double p = number("lora_dropout", fields.getOrDefault("lora_dropout", 0L));
        if (!(p >= 0 && p <= 1)) {
            throw wrong("lora_dropout", p + " is not from 0 to 1");
        }
        return p;
    }

    /** {@code fan_in_fan_out}: whether the base model stores its weights as n×m, the transpose of this library's. */
    public boolean fanInFanOut() throws PeftException {
        return flag("fan_in_fan_out");
    }

    /** {@code init_lora_weights} in lower case: "true", "false", "gaussian", "pissa", "lora_ga" … */
    public String initialisation() {
        return String.valueOf(fields.getOrDefault("init_lora_weights", true)).toLowerCase(Locale.ROOT);
    }

    /** Whether that start was taken out of the base weight, so that the adapter is worth nothing on the base weight as it is. */
    public boolean startsFromBase() {
        return STARTS_FROM_BASE.stream().anyMatch(initialisation()::startsWith);
    }

    /** All fields, as Map, List, String, Long, BigInteger, BigDecimal, Boolean or null, in the file's order. */
    public Map<String, Object> fields() {
        return fields;
    }

    // ---- the same with other fields

    /**
     * This with one field changed, as {@code base_model_name_or_path}, {@code task_type} or {@code fan_in_fan_out}. Those
     * that follow from the modules are written by {@link PeftExport} whatever they are here.
     *
     * @param value a String, Boolean, number, List, Map, or null
     * @throws IllegalArgumentException when the field can't have that value
     */
    public PeftConfig with(String field, Object value) {
        return withAll(Collections.singletonMap(field, switch (value) {
            case Integer n -> (Object) n.longValue();
            case Double x -> new BigDecimal(x.toString());
            case null, default -> value;
        }));
    }

    PeftConfig withAll(Map<String, ?> changes) {
        Map<String, Object> changed = new LinkedHashMap<>(fields);
        changed.putAll(changes);
        Json.indented(changed); // refuses what JSON has no form for
        return unchecked(changed);
    }

    byte[] toJson() {
        return Json.indented(new TreeMap<>(fields)); // sorted, as PEFT does it
    }

    // ---- fields by kind

    private boolean flag(String field) throws PeftException {
        Object value = fields.get(field);
        if (value != null && !(value instanceof Boolean)) {
            throw wrong(field, shown(value) + " is not true or false");
        }
        return Boolean.TRUE.equals(value);
    }

    private int integer(String field, Object value) throws PeftException {
        if (!(value instanceof Long n) || n < 0 || n > Integer.MAX_VALUE) {
            throw wrong(field, shown(value) + " is not an integer from 0 to " + Integer.MAX_VALUE);
        }
        return n.intValue();
    }

    private double number(String field, Object value) throws PeftException {
        if (!(value instanceof Number n)) {
            throw wrong(field, shown(value) + " is not a number");
        }
        return n.doubleValue();
    }

    private Map<String, Object> map(String field) throws PeftException {
        Object value = fields.get(field);
        if (value != null && !(value instanceof Map)) {
            throw wrong(field, shown(value) + " is not an object");
        }
        Map<String, Object> map = new LinkedHashMap<>();
        if (value != null) {
            ((Map<?, ?>) value).forEach((k, v) -> map.put((String) k, v));
        }
        return map;
    }

    private void textsOrText(String field) throws PeftException {
        Object value = fields.get(field);
        if (value != null && !(value instanceof String) && !(value instanceof List<?> list && list.stream().allMatch(String.class::isInstance))) {
            throw wrong(field, shown(value) + " is not a string or a list of strings");
        }
    }

    private List<String> texts(String field) {
        List<String> texts = new ArrayList<>();
        switch (fields.get(field)) {
            case String text when !text.isEmpty() -> texts.add(text);
            case List<?> list -> list.forEach(text -> texts.add((String) text));
            case null, default -> { }
        }
        return texts;
    }
}
