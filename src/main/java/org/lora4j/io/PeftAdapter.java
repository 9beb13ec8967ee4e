package org.lora4j.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;

/**
 * An adapter folder as Hugging Face's PEFT 0.21 writes it: {@code adapter_config.json} and
 * {@code adapter_model.safetensors}, with A (r×n) and B (m×r) of each module as
 * {@code base_model.model.<module>.lora_A.weight} and {@code ….lora_B.weight}. What it holds beyond that is refused by name.
 *
 * <p>A folder that {@link PeftExport} wrote may also have {@code base.safetensors}, the frozen weights that belong to the
 * adapter where its start was taken out of them.
 */
public final class PeftAdapter implements AutoCloseable {
    static final String WEIGHTS = "adapter_model.safetensors";
    static final String PICKLED = "adapter_model.bin";
    static final String BASE = "base.safetensors";
    static final String BASE_KEY = "lora4j.base"; // in the metadata of the adapter's weights: the file of the frozen weights
    static final String PREFIX = "base_model.model.";
    static final String A = ".lora_A.weight";
    static final String B = ".lora_B.weight";
    private static final int LONGEST_NAME = 4096;

    private final Path folder;
    private final PeftConfig config;
    private final SafeTensors weights;
    private final SafeTensors base; // null where there is none
    private final Map<String, AdapterModule> modules = new LinkedHashMap<>();

    private PeftAdapter(Path folder, PeftConfig config, SafeTensors weights, SafeTensors base) {
        this.folder = folder;
        this.config = config;
        this.weights = weights;
        this.base = base;
    }

    /**
     * Opens an adapter folder. Nothing of the weights is read but the headers.
     *
     * @throws PeftException when something is missing, contradicts the rest, or is not supported: DoRA, biases, embeddings,
     *     fully trained modules, pickled weights, another method than LoRA …
     * @throws SafeTensorsException when a file of weights is malformed
     */
    @SuppressWarnings("resource") // the adapter closes them
    public static PeftAdapter read(Path folder) throws IOException {
        PeftConfig config = PeftConfig.read(folder.resolve(PeftConfig.FILE));
        Path file = folder.resolve(WEIGHTS);
        if (!Files.exists(file)) {
            boolean pickled = Files.exists(folder.resolve(PICKLED));
            throw new PeftException(folder, null, pickled ? PICKLED + " is not supported; save the adapter with safe_serialization" : WEIGHTS + " is missing");
        }
        SafeTensors weights = SafeTensors.open(file);
        SafeTensors base = null;
        try {
            String baseName = weights.metadata().get(BASE_KEY);
            if (baseName != null) {
                if (!baseName.equals(BASE) || !Files.exists(folder.resolve(BASE))) {
                    throw new PeftException(file, BASE_KEY, "\"" + SafeTensorsException.shortened(baseName) + "\" is missing or not " + BASE);
                }
                base = SafeTensors.open(folder.resolve(BASE));
            }
            PeftAdapter adapter = new PeftAdapter(folder, config, weights, base);
            adapter.addModules(file);
            adapter.checkBase();
            return adapter;
        } catch (IOException | RuntimeException | Error e) {
            weights.close();
            if (base != null) {
                base.close();
            }
            throw e;
        }
    }

    private void addModules(Path file) throws IOException {
        for (Tensor tensor : weights.tensors()) {
            String name = tensor.name();
            boolean isA = name.endsWith(A);
            if (!name.startsWith(PREFIX) || !isA && !name.endsWith(B) || name.length() < PREFIX.length() + A.length()) {
                throw new PeftException(file, "tensor \"" + name + "\"", "it is not supported; all must be " + PREFIX + "<module>" + A + " or …" + B
                        + hint(name));
            }
            String module = name.substring(PREFIX.length(), name.length() - A.length());
            if (module.length() > LONGEST_NAME) {
                throw new PeftException(file, "module \"" + module + "\"", "its name is longer than " + LONGEST_NAME + " characters");
            }
            Optional<Tensor> other = weights.find(PREFIX + module + (isA ? B : A));
            if (other.isEmpty()) {
                throw new PeftException(file, "tensor \"" + name + "\"", "its lora_" + (isA ? "B" : "A") + " is missing");
            }
            if (isA) {
                add(file, module, tensor, other.get());
            }
        }
        if (modules.isEmpty()) {
            throw new PeftException(file, null, "it has no module");
        }
    }

    private static String hint(String name) {
        return name.contains("lora_embedding_") ? " (an adapter of an embedding)"
                : name.contains("lora_magnitude_vector") ? " (DoRA)"
                : name.endsWith(".bias") ? " (a trained bias)"
                : name.contains("lora_") ? "" : " (a fully trained module)";
    }

    private void add(Path file, String module, Tensor a, Tensor b) throws PeftException {
        if (!config.isTarget(module)) {
            throw new PeftException(file, "module \"" + module + "\"", "target_modules of " + PeftConfig.FILE + " does not mean it, so PEFT would leave it out");
        }
        LoraConfig own = config.of(module);
        String reason = AdapterModule.misfit(own.rank(), a, b);
        if (reason != null) {
            throw new PeftException(file, "module \"" + module + "\"", reason);
        }
        modules.put(module, new AdapterModule(module, own, a, b));
    }

    private void checkBase() throws IOException {
        if (base == null) {
            return;
        }
        for (Tensor weight : base.tensors()) {
            AdapterModule module = weight.name().endsWith(".weight") ? modules.get(weight.name().substring(0, weight.name().length() - 7)) : null;
            if (module == null) {
                throw new PeftException(base.path(), "tensor \"" + weight.name() + "\"", "it is no <module>.weight of a module of the adapter");
            }
            long rows = config.fanInFanOut() ? module.inFeatures() : module.outFeatures();
            long cols = config.fanInFanOut() ? module.outFeatures() : module.inFeatures();
            long[] shape = weight.shape();
            if (!weight.type().isFloat() || shape.length != 2 || shape[0] != rows || shape[1] != cols) {
                throw new PeftException(base.path(), "tensor \"" + weight.name() + "\"", "it is " + weight.type() + " " + TensorHeader.shown(shape)
                        + "; it must be a float type [" + rows + ", " + cols + "]");
            }
        }
    }

    /** What {@code adapter_config.json} says. */
    public PeftConfig config() {
        return config;
    }

    /** The modules, in the order of their tensors in the file. */
    public Collection<AdapterModule> modules() {
        return Collections.unmodifiableCollection(modules.values());
    }

    /**
     * The module of a full name.
     *
     * @throws PeftException when the adapter has none of that name
     */
    public AdapterModule module(String name) throws PeftException {
        AdapterModule module = modules.get(name);
        if (module == null) {
            throw new PeftException(folder, "module \"" + name + "\"", "the adapter has no such module among its " + modules.size());
        }
        return module;
    }

    /** The frozen weight that belongs to a module's adapter, m×n (n×m with fan_in_fan_out), where the folder has it. */
    public Optional<Tensor> frozenWeight(String module) {
        return base == null ? Optional.empty() : base.find(module + ".weight");
    }

    /**
     * Puts a module's adapter into a layer that has the base model's weight: W_fz where the folder has it, else that weight
     * as it is; A and B.
     *
     * @param layer of the module's shape, rank and scale, not merged; its effective weight is then the adapted one
     * @throws IllegalArgumentException when the layer has another shape, rank or scale
     * @throws PeftException when the adapter's start was taken out of a base weight that the folder does not have; if the
     *     layer already has that weight, {@link #loadFactors} is right
     */
    public void load(String module, LoraLinear layer) throws IOException {
        Optional<Tensor> frozen = frozenWeight(module);
        checkLayer(module(module), layer);
        if (frozen.isEmpty() && config.startsFromBase()) {
            throw new PeftException(folder, "module \"" + module + "\"", "init_lora_weights \"" + config.initialisation()
                    + "\" took the start out of the base weight, and the folder does not have what it left");
        }
        if (frozen.isPresent()) {
            MatrixBlocks.copy(frozen.get(), layer.weight(), config.fanInFanOut());
        }
        loadFactors(module, layer);
    }

    /**
     * Puts A and B of a module into a layer and leaves its weight as it is, which must be the W_fz that belongs to them.
     *
     * @throws IllegalArgumentException when the layer has another shape, rank or scale
     */
    public void loadFactors(String module, LoraLinear layer) throws IOException {
        AdapterModule own = module(module);
        checkLayer(own, layer);
        own.a().copyTo(layer.loraA());
        own.b().copyTo(layer.loraB());
    }

    private static void checkLayer(AdapterModule module, LoraLinear layer) {
        boolean scale = Math.abs(layer.config().eta() / module.config().eta() - 1) < 1e-12;
        if (layer.outFeatures() != module.outFeatures() || layer.inFeatures() != module.inFeatures()
                || layer.config().rank() != module.config().rank() || !scale) {
            throw new IllegalArgumentException("module " + module.name() + " is " + module.outFeatures() + "×" + module.inFeatures() + " with "
                    + module.config() + "; the layer is " + layer.outFeatures() + "×" + layer.inFeatures() + " with " + layer.config());
        }
        if (layer.isMerged()) {
            throw new IllegalStateException("module " + module.name() + ": the layer's adapter is merged; unmerge it first");
        }
    }

    /** Closes the files; tensors can't be read any more. Closing again does nothing. */
    @Override
    public void close() throws IOException {
        weights.close();
        if (base != null) {
            base.close();
        }
    }
}
