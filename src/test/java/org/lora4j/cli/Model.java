package org.lora4j.cli;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;

import org.lora4j.io.SafeTensors;
import org.lora4j.io.TensorData;
import org.lora4j.io.TensorType;

/** Small models for tests: random weights and gradients in files. */
final class Model {
    static final String QUERY = "encoder.layer.0.query";
    static final String DENSE = "encoder.layer.0.dense";
    static final String HEAD = "head";

    private Model() {}

    /** Three matrices (24×16, 12×31, 8×9), a bias and a norm's weight, which has one dimension. */
    static Path weights(Path file, TensorType type) throws IOException {
        Map<String, TensorData> tensors = matrices(1, type);
        tensors.put(QUERY + ".bias", TensorData.of(TensorType.F32, MemorySegment.ofArray(floats(24, new Random(3))), 24));
        tensors.put("norm.weight", TensorData.of(TensorType.F32, MemorySegment.ofArray(floats(16, new Random(4))), 16));
        SafeTensors.write(file, tensors, Map.of("format", "pt"));
        return file;
    }

    /** Gradients of the three matrices and of the bias. */
    static Path gradients(Path file) throws IOException {
        Map<String, TensorData> tensors = matrices(2, TensorType.F32);
        tensors.put(QUERY + ".bias", TensorData.of(TensorType.F32, MemorySegment.ofArray(floats(24, new Random(5))), 24));
        SafeTensors.write(file, tensors, Map.of());
        return file;
    }

    private static Map<String, TensorData> matrices(long seed, TensorType type) {
        Random random = new Random(seed);
        Map<String, TensorData> tensors = new LinkedHashMap<>();
        tensors.put(QUERY + ".weight", matrix(24, 16, random).as(type));
        tensors.put(DENSE + ".weight", matrix(12, 31, random).as(type));
        tensors.put(HEAD + ".weight", matrix(8, 9, random).as(type));
        return tensors;
    }

    static TensorData matrix(int m, int n, Random random) {
        return TensorData.of(TensorType.F32, MemorySegment.ofArray(floats(m * n, random)), m, n);
    }

    private static float[] floats(int count, Random random) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** All names below a folder and what the files hold, to see that nothing changed. */
    static Map<String, Integer> contents(Path folder) throws IOException {
        Map<String, Integer> contents = new TreeMap<>();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                contents.put(folder.relativize(file).toString(), Files.isDirectory(file) ? 0 : Arrays.hashCode(Files.readAllBytes(file)));
            }
        }
        return contents;
    }

    /** The values of a tensor as float32. */
    static float[] values(Path file, String tensor) throws IOException {
        try (SafeTensors tensors = SafeTensors.open(file)) {
            return tensors.tensor(tensor).toFloats();
        }
    }
}
