package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

import org.lora4j.Reference;

/** The files that {@code interchange.py} made, that script itself, and its model Net. */
final class Interchange {
    private static final long LIMIT_SECONDS = 300;

    private Interchange() {}

    static Path resource(String name) {
        try {
            return Path.of(Interchange.class.getResource(name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A file of the folder "golden". */
    static Path golden(String name) {
        return resource("golden").resolve(name);
    }

    /**
     * Runs the script by {@code -Dlora4j.test.python}, else python3. Where that has no torch with PEFT 0.21 the test is skipped with
     * the reason, or fails with {@code -Dlora4j.requirePython=true}.
     */
    static String python(Object... arguments) throws IOException, InterruptedException {
        String python = System.getProperty("lora4j.test.python", "python3");
        String reason = whyNot(python);
        if (reason != null) {
            if (Boolean.getBoolean("lora4j.requirePython")) {
                fail(reason);
            }
            abort(reason);
        }
        List<String> command = new ArrayList<>(List.of(python, resource("interchange.py").toString()));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        Result result = run(command);
        assertEquals(0, result.exitCode, result.output);
        return result.output;
    }

    private record Result(int exitCode, String output) {}

    private static String whyNot(String python) throws InterruptedException {
        try {
            Result result = run(List.of(python, "-c", "import torch, peft, safetensors; assert peft.__version__.startswith('0.21.'), peft.__version__"));
            return result.exitCode == 0 ? null
                    : python + " has no torch with PEFT 0.21: " + result.output.strip().lines().reduce((first, last) -> last).orElse("");
        } catch (IOException e) {
            return e.getMessage();
        }
    }

    private static Result run(List<String> command) throws IOException, InterruptedException {
        Path output = Files.createTempFile("lora4j-python", ".txt");
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile());
        builder.environment().put("HF_HUB_OFFLINE", "1");
        builder.environment().put("PYTHONDONTWRITEBYTECODE", "1");
        try {
            Process process = builder.start();
            if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                fail("still running after " + LIMIT_SECONDS + " s: " + Files.readString(output));
            }
            return new Result(process.exitValue(), Files.readString(output));
        } finally {
            Files.delete(output);
        }
    }

    /** A tensor of up to two dimensions; a vector is one row. */
    static Reference read(SafeTensors tensors, String name) throws IOException {
        Tensor tensor = tensors.tensor(name);
        float[] floats = tensor.toFloats();
        double[] values = new double[floats.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = floats[i];
        }
        long[] shape = tensor.shape();
        int cols = (int) shape[shape.length - 1];
        return new Reference(values.length / cols, cols, values);
    }

    /** The names of Net's linear modules, in the order of its forward pass. */
    static final List<String> MODULES = List.of("dense", "block.0.dense", "block.0.dense_out");

    /** A linear module: X·Wᵀ + bias. */
    interface Linear {
        Reference apply(Reference x) throws IOException;
    }

    /** What Net makes of x with these for its three modules: tanh between them. */
    static Reference net(List<Linear> modules, Reference x) throws IOException {
        Reference y = modules.get(0).apply(x);
        for (Linear module : modules.subList(1, modules.size())) {
            double[] tanh = y.data().clone();
            for (int i = 0; i < tanh.length; i++) {
                tanh[i] = Math.tanh(tanh[i]);
            }
            y = module.apply(new Reference(y.rows(), y.cols(), tanh));
        }
        return y;
    }

    static Reference linear(Reference x, Reference weight, Reference bias) {
        Reference y = x.times(weight.transpose());
        for (int i = 0; i < y.data().length; i++) {
            y.data()[i] += bias.data()[i % y.cols()];
        }
        return y;
    }
}
