package org.lora4j.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;

import org.lora4j.LoraConfig;
import org.lora4j.device.DataType;
import org.lora4j.init.ModelLayer;
import org.lora4j.init.TensorSource;
import org.lora4j.io.SafeTensors;
import org.lora4j.io.Tensor;
import org.lora4j.io.TensorType;

/**
 * A module that gets an adapter.
 *
 * @param module its name: that of the weight without {@code .weight}
 * @param weight W0 (m×n)
 * @param gradient G (m×n); null where there is none
 */
record Target(String module, Tensor weight, Tensor gradient) {
    private static final String SUFFIX = ".weight";

    /**
     * The modules with a gradient, or, without gradients, all that the pattern means: those of two dimensions.
     *
     * @param gradients null for none
     * @param pattern what a module's whole name must match; null for any
     */
    static List<Target> choose(SafeTensors weights, SafeTensors gradients, Pattern pattern) throws BadInput, IOException {
        List<Target> targets = new ArrayList<>();
        for (Tensor named : (gradients == null ? weights : gradients).tensors()) {
            if (named.shape().length != 2 || !named.name().endsWith(SUFFIX) || named.name().length() == SUFFIX.length()) {
                continue;
            }
            String module = named.name().substring(0, named.name().length() - SUFFIX.length());
            if (pattern != null && !pattern.matcher(module).matches()) {
                continue;
            }
            Tensor weight = weights.find(named.name()).orElseThrow(() -> new BadInput(weights.path() + ": it has no weight for the gradient " + named));
            if (!Arrays.equals(weight.shape(), named.shape())) {
                throw new BadInput(gradients.path() + ": the gradient " + named + " is of another shape than the weight " + weight);
            }
            if (!weight.type().isFloat() || !named.type().isFloat()) {
                throw new BadInput((weight.type().isFloat() ? gradients : weights).path() + ": " + (weight.type().isFloat() ? named : weight)
                        + " is none of F64, F32, F16 and BF16");
            }
            targets.add(new Target(module, weight, gradients == null ? null : named));
        }
        if (targets.isEmpty()) {
            throw new BadInput((gradients == null ? weights : gradients).path() + ": no tensor of two dimensions named <module>" + SUFFIX
                    + (pattern == null ? "" : " whose module matches " + pattern));
        }
        return targets;
    }

    long rows() {
        return weight.shape()[0];
    }

    long cols() {
        return weight.shape()[1];
    }

    /** For the library: read when its turn comes, in the types that the files have. */
    ModelLayer layer(LoraConfig config) {
        return new ModelLayer(module, rows(), cols(), config, source(weight), gradient == null ? null : source(gradient));
    }

    private static TensorSource source(Tensor tensor) {
        return new TensorSource(type(tensor.type()), memory -> tensor.read(tensor.type(), memory));
    }

    private static DataType type(TensorType type) {
        return Arrays.stream(DataType.values()).filter(t -> TensorType.of(t) == type).findAny().orElseThrow();
    }
}
