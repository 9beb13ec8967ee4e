package org.lora4j.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

import org.lora4j.analysis.AdapterSpectrum;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.io.AdapterModule;
import org.lora4j.io.PeftAdapter;
import org.lora4j.io.SafeTensors;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** What a safetensors file or an adapter folder holds. */
@Command(name = "inspect", header = "List a file's tensors, or measure an adapter.",
        description = {"Lists the tensors of a safetensors file, of a model's folder or of its index.",
        "Of an adapter's folder, the rank, the norms and the effective rank (Roy and Vetterli 2007) of each module's B·A."},
        footer = {"  lora4j inspect model.safetensors", "  lora4j inspect model.safetensors.index.json --json", "  lora4j inspect start"})
final class Inspect extends Verb {
    private static final String ADAPTER = "adapter_config.json";

    @Parameters(paramLabel = "FILE|DIR", description = "A safetensors file, the index of several, a model's folder or an adapter's.")
    private Path path;

    @Mixin
    private DeviceChoice device;

    /** One tensor. */
    record TensorEntry(String name, String type, long[] shape, long bytes) {}

    /** The tensors of a file or of several. */
    record Model(String path, Map<String, String> metadata, List<TensorEntry> tensors, long bytes) {}

    /** One module of an adapter: {@code norm} is ‖η·B·A‖, {@code effectiveRank} that of B·A. */
    record ModuleEntry(String name, long m, long n, int rank, double alpha, double eta, double normA, double normB, double norm, double effectiveRank,
            boolean frozenWeight) {}

    /** An adapter. */
    record Adapter(String path, String initialisation, String scaling, List<ModuleEntry> modules) {}

    @Override
    void run() throws IOException {
        if (Files.isDirectory(path) && Files.exists(path.resolve(ADAPTER))) {
            inspectAdapter();
        } else {
            inspectTensors();
        }
    }

    private void inspectTensors() throws IOException {
        try (SafeTensors file = SafeTensors.open(path)) {
            List<TensorEntry> tensors = file.tensors().stream()
                    .map(t -> new TensorEntry(t.name(), t.type().toString(), t.shape(), t.byteSize())).toList();
            long bytes = tensors.stream().mapToLong(TensorEntry::bytes).sum();
            show(new Model(file.path().toString(), file.metadata(), tensors, bytes), () -> {
                file.metadata().forEach((name, text) -> out().println(Failures.oneLine(name + ": " + text)));
                int width = width(tensors.stream().map(TensorEntry::name).toList());
                tensors.forEach(t -> print("%-" + width + "s  %-8s %-16s %14d bytes", Failures.oneLine(t.name), t.type, shape(t.shape), t.bytes));
                Map<String, Long> types = tensors.stream().collect(Collectors.groupingBy(TensorEntry::type, Collectors.counting()));
                print("%d tensors, %d bytes%s", tensors.size(), bytes, types.isEmpty() ? "" : " (" + types.entrySet().stream().sorted(Map.Entry.comparingByKey())
                        .map(e -> e.getValue() + " " + e.getKey()).collect(Collectors.joining(", ")) + ")");
            });
        }
    }

    private static String shape(long[] shape) {
        return shape.length == 0 ? "scalar" : Arrays.stream(shape).mapToObj(Long::toString).collect(Collectors.joining("×"));
    }

    private void inspectAdapter() throws IOException {
        List<ModuleEntry> modules = new ArrayList<>();
        String start;
        String scaling;
        try (PeftAdapter adapter = PeftAdapter.read(path); Device opened = device.open();
                Progress progress = Progress.start("inspect", adapter.modules().size(), err())) {
            start = adapter.config().initialisation();
            scaling = WordOf.word(ScalingName.of(adapter.modules().iterator().next().config().scaling()));
            for (AdapterModule module : adapter.modules()) {
                modules.add(measure(opened, module, adapter.frozenWeight(module.name()).isPresent()));
                progress.step(module.name(), 1);
            }
        }
        show(new Adapter(path.toString(), start, scaling, modules), () -> {
            int width = width(modules.stream().map(ModuleEntry::name).toList());
            print("%d modules, %s, init_lora_weights %s", modules.size(), scaling, Failures.oneLine(start));
            print("%-" + width + "s %7s %7s %5s %9s %11s %11s %11s %9s", "module", "m", "n", "r", "η", "‖A‖", "‖B‖", "‖η·B·A‖", "eff. rank");
            modules.forEach(e -> print("%-" + width + "s %7d %7d %5d %9.4g %11.4g %11.4g %11.4g %9.2f", Failures.oneLine(e.name), e.m, e.n, e.rank, e.eta, e.normA,
                    e.normB, e.norm, e.effectiveRank));
        });
    }

    private static ModuleEntry measure(Device device, AdapterModule module, boolean frozen) throws IOException {
        int r = module.config().rank();
        try (Matrix a = device.temporary(DataType.FLOAT64, r, module.inFeatures()); Matrix b = device.temporary(DataType.FLOAT64, module.outFeatures(), r)) {
            module.a().copyTo(a);
            module.b().copyTo(b);
            if (!Double.isFinite(device.largest(a)) || !Double.isFinite(device.largest(b))) {
                throw new IllegalArgumentException("module " + module.name() + ": A or B has an element that is not finite");
            }
            AdapterSpectrum spectrum = AdapterSpectrum.of(a, b);
            return new ModuleEntry(module.name(), module.outFeatures(), module.inFeatures(), r, module.config().alpha(), module.config().eta(),
                    Math.sqrt(device.dot(a, a)), Math.sqrt(device.dot(b, b)), module.config().eta() * spectrum.norm(), spectrum.effectiveRank(), frozen);
        }
    }

    private static int width(List<String> names) {
        return Math.clamp(names.stream().mapToInt(String::length).max().orElse(1), 6, 80);
    }

    private void print(String format, Object... values) {
        out().println(String.format(Locale.ROOT, format, values));
    }
}
