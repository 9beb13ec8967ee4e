package org.lora4j.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.math.BigDecimal;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Collectors;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;
import org.lora4j.device.Matrix;
import org.lora4j.file.AtomicFile;

/**
 * Writes an adapter folder that PEFT 0.21 loads. An adapter whose start was taken out of the base weight (LoRA-GA, PiSSA,
 * any pre-filled one) is worth nothing on the base model as it is, so there are two forms:
 * <ul>
 *   <li>{@link #add(AdapterModule, TensorData)} writes {@code base.safetensors} beside the adapter, the frozen weights
 *       under the base model's own names {@code <module>.weight}; whoever loads the adapter loads them first;
 *   <li>{@link AdapterModule#onUntouchedBase} makes an adapter of rank 2r for the base model as it is.
 * </ul>
 * Rank and scale of each module are kept by {@code rank_pattern} and {@code alpha_pattern}; {@code target_modules} is a
 * pattern of exactly the modules' full names, because in a list {@code dense} would also mean {@code block.dense}.
 */
public final class PeftExport {
    private final PeftConfig config;
    private final Map<String, AdapterModule> modules = new TreeMap<>();
    private final Map<String, TensorData> frozen = new LinkedHashMap<>();
    private boolean replacing;

    /** An export without modules yet; {@code config} says all that does not follow from them. */
    public PeftExport(PeftConfig config) {
        this.config = Objects.requireNonNull(config, "config");
    }

    /**
     * Adds a module.
     *
     * @throws IllegalArgumentException when one of its name was added before, or it scales otherwise than those before
     */
    public PeftExport add(AdapterModule module) {
        if (module.name().isEmpty() || !Json.isWellFormed(module.name())) {
            throw new IllegalArgumentException("\"" + module.name() + "\" is no module's name");
        }
        if (!modules.isEmpty() && scaling() != module.config().scaling()) {
            throw new IllegalArgumentException("module " + module.name() + " is " + module.config().scaling() + ", those before are " + scaling()
                    + "; PEFT has one for an adapter");
        }
        if (modules.putIfAbsent(module.name(), module) != null) {
            throw new IllegalArgumentException("module " + module.name() + " was added before");
        }
        return this;
    }

    /** Adds a module with the frozen weight (m×n) that its adapter belongs to. */
    public PeftExport add(AdapterModule module, TensorData frozenWeight) throws PeftException {
        long[] shape = frozenWeight.shape();
        if (shape.length != 2 || shape[0] != module.outFeatures() || shape[1] != module.inFeatures() || !frozenWeight.type().isFloat()) {
            throw new IllegalArgumentException("module " + module.name() + ": the frozen weight is " + frozenWeight.type() + " " + TensorHeader.shown(shape)
                    + "; it must be a float type [" + module.outFeatures() + ", " + module.inFeatures() + "]");
        }
        if (config.fanInFanOut()) {
            throw new IllegalArgumentException("module " + module.name() + ": with fan_in_fan_out the frozen weight is written transposed, which takes a"
                    + " layer; add the layer");
        }
        add(module);
        frozen.put(module.name() + ".weight", frozenWeight);
        return this;
    }

    /**
     * Adds a layer's A, B and frozen weight, which are read by {@link #write}; with fan_in_fan_out the weight is written n×m.
     * For an adapter of an unchanged base weight use {@link #add(AdapterModule)} with {@link AdapterModule#of}.
     *
     * @throws IllegalStateException when the layer is merged
     */
    public PeftExport add(String name, LoraLinear layer) throws PeftException {
        if (layer.isMerged()) {
            throw new IllegalStateException("module " + name + ": the adapter is merged; unmerge it first");
        }
        Matrix weight = layer.weight();
        add(AdapterModule.of(name, layer));
        frozen.put(name + ".weight", MatrixBlocks.of(weight, config.fanInFanOut()));
        return this;
    }

    /** Lets {@link #write} replace an adapter that is in the folder; other files there are left as they are. */
    public PeftExport replacing() {
        replacing = true;
        return this;
    }

    /**
     * Writes the folder. First all is checked: every element must be finite. Then all files are written under temporary
     * names and forced to the disk; then an old adapter's {@code adapter_config.json} is deleted, the others take their
     * names, and the new {@code adapter_config.json} takes its name last. Without it neither PEFT nor {@link PeftAdapter}
     * takes a folder for an adapter, so one whose writing was interrupted never looks whole.
     *
     * @param folder made if it does not exist
     * @throws FileAlreadyExistsException when it has an adapter already and {@link #replacing} was not asked for
     * @throws IllegalArgumentException when there is no module, or an element is not finite; nothing was written then
     * @throws IllegalStateException when the config says that the start was taken out of the base weights, and the frozen
     *     weights of some modules were added but not of all; when none was added, PEFT will take the start out again
     */
    public void write(Path folder) throws IOException {
        if (modules.isEmpty()) {
            throw new IllegalArgumentException("an adapter needs at least one module");
        }
        checkStart();
        if (!replacing) {
            for (String name : List.of(PeftConfig.FILE, PeftAdapter.WEIGHTS, PeftAdapter.PICKLED, PeftAdapter.BASE)) {
                if (Files.exists(folder.resolve(name))) {
                    throw new FileAlreadyExistsException(folder.resolve(name).toString());
                }
            }
        }
        byte[] json = config.withAll(moduleFields()).toJson();
        Map<String, TensorData> weights = new LinkedHashMap<>();
        for (AdapterModule m : modules.values()) {
            weights.put(PeftAdapter.PREFIX + m.name() + PeftAdapter.A, m.a());
            weights.put(PeftAdapter.PREFIX + m.name() + PeftAdapter.B, m.b());
        }
        checkFinite(weights);
        checkFinite(frozen);
        Files.createDirectories(folder);
        writeFiles(folder, json, weights);
    }

    private void writeFiles(Path folder, byte[] json, Map<String, TensorData> weights) throws IOException {
        Map<String, String> metadata = new LinkedHashMap<>(Map.of("format", "pt"));
        if (!frozen.isEmpty()) {
            metadata.put(PeftAdapter.BASE_KEY, PeftAdapter.BASE);
        }
        try (AtomicFile weightFile = AtomicFile.create(folder.resolve(PeftAdapter.WEIGHTS));
                AtomicFile baseFile = frozen.isEmpty() ? null : AtomicFile.create(folder.resolve(PeftAdapter.BASE));
                AtomicFile configFile = AtomicFile.create(folder.resolve(PeftConfig.FILE))) {
            new SafeTensorsWriter(weights, metadata).writeTo(weightFile);
            if (baseFile != null) {
                new SafeTensorsWriter(frozen, Map.of("format", "pt")).writeTo(baseFile);
            }
            configFile.write(MemorySegment.ofArray(json));
            configFile.finish();
            if (Files.deleteIfExists(folder.resolve(PeftConfig.FILE))) {
                AtomicFile.sync(folder.toAbsolutePath());
            }
            weightFile.commit();
            if (baseFile != null) {
                baseFile.commit();
            } else {
                Files.deleteIfExists(folder.resolve(PeftAdapter.BASE));
            }
            configFile.commit();
        }
    }

    /** The fields that follow from the modules; of r and lora_alpha the values that most modules have. */
    private Map<String, Object> moduleFields() {
        int rank = commonest(modules.values().stream().map(m -> m.config().rank()).toList());
        double alpha = commonest(modules.values().stream().map(m -> m.config().alpha()).toList());
        Map<String, Object> ranks = new LinkedHashMap<>();
        Map<String, Object> alphas = new LinkedHashMap<>();
        for (AdapterModule m : modules.values()) {
            LoraConfig own = m.config();
            if (own.rank() != rank) {
                ranks.put("^" + PythonPattern.quoted(m.name()), (long) own.rank());
            }
            if (own.alpha() != alpha) {
                alphas.put("^" + PythonPattern.quoted(m.name()), json(own.alpha()));
            }
        }
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("r", (long) rank);
        fields.put("lora_alpha", json(alpha));
        fields.put("use_rslora", scaling() == Scaling.RANK_STABILISED);
        fields.put("rank_pattern", ranks);
        fields.put("alpha_pattern", alphas);
        fields.put("target_modules", modules.keySet().stream().map(PythonPattern::quoted).collect(Collectors.joining("|")));
        fields.put("exclude_modules", null);
        fields.put("layers_to_transform", null);
        fields.put("layers_pattern", null);
        if (!frozen.isEmpty()) { // what is loaded with the adapter has the start taken out already: PEFT must not do it again
            fields.put("init_lora_weights", true);
            List.of("lora_ga_config", "corda_config").forEach(name -> fields.put(name, null));
        }
        return fields;
    }

    private static <T> T commonest(List<T> values) {
        Map<T, Long> counts = values.stream().collect(Collectors.groupingBy(v -> v, LinkedHashMap::new, Collectors.counting()));
        return counts.entrySet().stream().max(Map.Entry.comparingByValue()).orElseThrow().getKey();
    }

    /** A number as Python would write it: an integer where it is one. */
    private static Object json(double x) {
        return x == Math.rint(x) && Math.abs(x) < 1L << 53 ? (Object) (long) x : new BigDecimal(Double.toString(x));
    }

    private Scaling scaling() {
        return modules.values().iterator().next().config().scaling();
    }

    private void checkStart() {
        List<String> missing = new ArrayList<>(modules.keySet());
        missing.removeIf(name -> frozen.containsKey(name + ".weight"));
        if (config.startsFromBase() && !missing.isEmpty() && !frozen.isEmpty()) {
            throw new IllegalStateException("init_lora_weights \"" + config.initialisation() + "\" took the start out of the base weights, and that of "
                    + missing.getFirst() + " was not added");
        }
    }

    private static void checkFinite(Map<String, TensorData> tensors) throws IOException {
        for (Map.Entry<String, TensorData> e : tensors.entrySet()) {
            if (!Conversion.isFinite(e.getValue())) {
                throw new IllegalArgumentException("tensor " + e.getKey() + " has an element that is not finite; nothing was written");
            }
        }
    }
}
