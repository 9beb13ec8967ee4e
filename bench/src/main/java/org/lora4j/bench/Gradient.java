package org.lora4j.bench;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.io.SafeTensors;
import org.lora4j.io.Tensor;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/**
 * A gradient whose leading singular triplets are known.
 *
 * @param values (m, n), row-major
 * @param known as many as are asked for at most
 */
record Gradient(String name, int m, int n, float[] values, Triplets known) {
    /**
     * ‖E‖₂ of what is added to a synthetic gradient, with σ₁ about 1. Where σ is followed by a gap d, the leading spaces turn
     * by at most about ‖E‖₂/d, and what an overlap loses by it is at most the square of that (Wedin 1972).
     */
    static final double NOISE = 1e-6;
    private static final String SUFFIX = "-grads.safetensors";

    /** A synthetic one with a little noise; the known triplets are those without. */
    static Gradient synthetic(int m, int n, Spectrum spectrum, int known, SplittableRandom random) {
        SyntheticGradient g = new SyntheticGradient(m, n, spectrum, random);
        return new Gradient(spectrum.toString(), m, n, g.values(NOISE, random.nextLong()), g.leading(known));
    }

    /** The files of a folder that have gradients. */
    static List<Path> files(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().endsWith(SUFFIX)).sorted().toList();
        }
    }

    /**
     * All gradients in the files of a folder; their triplets are those of the whole decomposition in float64.
     *
     * @throws IOException when a tensor is no matrix, or one too small for so many triplets
     */
    static List<Gradient> read(Path folder, int known, Device device) throws IOException {
        List<Gradient> gradients = new ArrayList<>();
        for (Path file : files(folder)) {
            try (SafeTensors tensors = SafeTensors.open(file)) {
                for (Tensor tensor : tensors.tensors()) {
                    long[] shape = tensor.shape();
                    if (shape.length != 2 || Math.min(shape[0], shape[1]) < known) {
                        throw new IOException(file + ": " + tensor + " is no matrix of at least " + known + " rows and columns");
                    }
                    gradients.add(exact(tensor.name(), (int) shape[0], (int) shape[1], tensor.toFloats(), known, device));
                }
            }
        }
        return gradients;
    }

    private static Gradient exact(String name, int m, int n, float[] values, int known, Device device) {
        try (Matrix single = device.allocate(DataType.FLOAT32, m, n); Matrix g = device.allocate(DataType.FLOAT64, m, n)) {
            device.copyIn(MemorySegment.ofArray(values), n, single);
            device.convert(single, g);
            try (SingularTriplets triplets = new ExactSvd().top(g, known, 0)) {
                return new Gradient(name, m, n, values, Triplets.of(triplets));
            }
        }
    }

    /** The gradient on a device; the caller closes it. */
    Matrix on(Device device) {
        Matrix g = device.allocate(DataType.FLOAT32, m, n);
        device.copyIn(MemorySegment.ofArray(values), n, g);
        return g;
    }
}
