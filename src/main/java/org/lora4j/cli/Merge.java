package org.lora4j.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.io.AdapterModule;
import org.lora4j.io.PeftAdapter;
import org.lora4j.io.SafeTensors;
import org.lora4j.io.Tensor;
import org.lora4j.io.TensorData;
import org.lora4j.io.TensorType;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The weights of a model with an adapter in them. */
@Command(name = "merge", header = "Add an adapter to the weights of its base model.",
        description = {"Writes the base model's weights with the adapter's part η·B·A added, each in the type that it has.",
        "Where the adapter's folder has base.safetensors, those frozen weights take the place of the base model's.",
        "An adapter that was trained on them and saved without them does not say so: first make it one for the untouched base with lora4j convert."},
        footer = {
                "  lora4j convert --initial start --trained trained --out plain",
                "  lora4j merge --base model.safetensors --adapter plain \\",
                "      --out merged.safetensors",
                "  lora4j merge --base model.safetensors.index.json --adapter start \\",
                "      --out merged.safetensors"})
final class Merge extends Verb {
    @Option(names = "--base", required = true, paramLabel = "FILE|INDEX|DIR", description = "The base model: the weights that the adapter was trained on.")
    private Path base;

    @Option(names = "--adapter", required = true, paramLabel = "DIR", description = "The adapter's folder.")
    private Path adapterFolder;

    @Option(names = "--out", required = true, paramLabel = "FILE", description = "The safetensors file to write.")
    private Path target;

    @Option(names = "--force", description = "Overwrite what is there.")
    private boolean force;

    @Mixin
    private DeviceChoice device;

    /** What was done. */
    record Done(String out, int modules, int tensors, long bytes) {}

    @Override
    void run() throws Exception {
        Staging.checkFile(target, force);
        try (SafeTensors model = SafeTensors.open(base); PeftAdapter adapter = PeftAdapter.read(adapterFolder)) {
            Map<String, AdapterModule> modules = new HashMap<>(); // by the name of the weight
            for (AdapterModule module : adapter.modules()) {
                check(model, adapter, module);
                modules.put(module.name() + ".weight", module);
            }
            long bytes = model.tensors().stream().mapToLong(Tensor::byteSize).sum();
            try (Staging staging = Staging.create(target); Device opened = device.open();
                    Progress progress = Progress.start("merge", bytes, err())) {
                Map<String, TensorData> tensors = new LinkedHashMap<>();
                for (Tensor tensor : model.tensors()) {
                    AdapterModule module = modules.get(tensor.name());
                    tensors.put(tensor.name(), TensorData.of(tensor.type(), sink -> {
                        if (module == null) {
                            tensor.writeTo(sink);
                        } else {
                            writeMerged(opened, adapter.frozenWeight(module.name()).orElse(tensor), tensor.type(), module, adapter.config().fanInFanOut(), sink);
                        }
                        progress.step(tensor.name(), tensor.byteSize());
                    }, tensor.shape()));
                }
                SafeTensors.write(staging.file(), tensors, model.metadata());
                staging.commitFile();
            }
            Done done = new Done(target.toString(), modules.size(), model.tensors().size(), bytes);
            show(done, () -> out().printf("Wrote %s: %d tensors, %d of them with an adapter, %d bytes%n", target, done.tensors, done.modules, bytes));
        }
    }

    private void check(SafeTensors model, PeftAdapter adapter, AdapterModule module) throws BadInput, IOException {
        Tensor weight = model.find(module.name() + ".weight").orElse(null);
        if (weight == null) {
            throw new BadInput(base + ": it has no weight " + module.name() + ".weight, which the adapter needs");
        }
        boolean transposed = adapter.config().fanInFanOut();
        long[] shape = transposed ? new long[] {module.inFeatures(), module.outFeatures()} : new long[] {module.outFeatures(), module.inFeatures()};
        if (!Arrays.equals(weight.shape(), shape) || !weight.type().isFloat()) {
            throw new BadInput(base + ": " + weight + "; the adapter needs a float type " + Arrays.toString(shape));
        }
        if (adapter.config().startsFromBase() && adapter.frozenWeight(module.name()).isEmpty()) {
            throw new BadInput(adapterFolder + ": its start (" + adapter.config().initialisation() + ") was taken out of the base weights, and it does not have"
                    + " what that left; lora4j convert makes an adapter of it for the base weights as they are");
        }
    }

    /** W + η·B·A, or its transpose. */
    private static void writeMerged(Device device, TensorData weight, TensorType type, AdapterModule module, boolean transposed, TensorData.Sink sink)
            throws IOException {
        DataType computed = type == TensorType.F64 ? DataType.FLOAT64 : DataType.FLOAT32;
        int r = module.config().rank();
        long[] shape = weight.shape();
        try (Matrix w = device.temporary(computed, shape[0], shape[1]); // (m,n), or (n,m) if transposed
                Matrix a = device.temporary(computed, r, module.inFeatures());
                Matrix b = device.temporary(computed, module.outFeatures(), r)) {
            weight.copyTo(w);
            module.a().copyTo(a);
            module.b().copyTo(b);
            if (transposed) {
                device.gemm(module.config().eta(), a, Op.TRANSPOSE, b, Op.TRANSPOSE, 1, w);
            } else {
                device.gemm(module.config().eta(), b, Op.NONE, a, Op.NONE, 1, w);
            }
            if (!Double.isFinite(device.largest(w))) {
                throw new IllegalArgumentException("module " + module.name() + ": the merged weight has an element that is not finite");
            }
            TensorData.of(w).as(type).writeTo(sink);
        }
    }
}
