package org.lora4j.gradient;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * Prints how near to the optimum the LoRA-GA starts made from sketches of gradients come, pass by pass: the mean and the
 * worst of all of them ({@link StreamedGradient#alignment}). Arguments: safetensors files of gradients, or
 * {@code synthetic:N} for N×N with σᵢ = 1/i, 1/√i and 0.95ⁱ plus noise of 1 % of the norm; {@code l=F} before them sets
 * l = F·r, 8 by default, {@code step=S} the rows of a micro-batch, 16 by default, {@code noise=…} how much of it cancels
 * ({@link StreamedGradient#feed}).
 */
final class SketchQualityMain {
    private static final int PASSES = 4;

    private SketchQualityMain() {}

    public static void main(String[] args) throws IOException {
        int factor = 8;
        int step = 16;
        double noise = 0;
        List<StreamedGradient> gradients = new ArrayList<>();
        try (Device device = Device.open()) {
            System.out.println(device.description());
            for (String arg : args) {
                String value = arg.substring(arg.indexOf('=') + 1);
                if (arg.startsWith("l=")) {
                    factor = Integer.parseInt(value);
                } else if (arg.startsWith("step=")) {
                    step = Integer.parseInt(value);
                } else if (arg.startsWith("noise=")) {
                    noise = Double.parseDouble(value);
                } else if (arg.startsWith("synthetic:")) {
                    gradients.addAll(synthetic(device, Integer.parseInt(arg.substring(10))));
                } else {
                    gradients.addAll(RealGradientTest.read(device, Path.of(arg)));
                }
            }
            for (int r : new int[] {4, 8, 16}) {
                report(gradients, r, factor, step, noise);
            }
        }
    }

    private static void report(List<StreamedGradient> gradients, int r, int factor, int step, double noise) {
        double[] mean = new double[PASSES];
        double[] worst = new double[PASSES];
        Arrays.fill(worst, 1);
        long start = System.nanoTime();
        for (StreamedGradient g : gradients) {
            double[] found = g.passes(r, factor, step, noise, PASSES);
            for (int i = 0; i < PASSES; i++) {
                mean[i] += found[i] / gradients.size();
                worst[i] = Math.min(worst[i], found[i]);
            }
        }
        StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "r %2d l %3d step %d noise %.1f", r, factor * r, step, noise));
        for (int i = 0; i < PASSES; i++) {
            line.append(String.format(Locale.ROOT, "  pass %d mean %.6f worst %.6f", i + 1, mean[i], worst[i]));
        }
        System.out.println(line + String.format(Locale.ROOT, "  %d matrices, %.1f s", gradients.size(), (System.nanoTime() - start) * 1e-9));
    }

    private static List<StreamedGradient> synthetic(Device device, int n) {
        List<StreamedGradient> made = new ArrayList<>();
        Random random = new Random(3);
        try (Matrix u = orthogonal(device, n, random); Matrix v = orthogonal(device, n, random); Matrix us = device.allocate(DataType.FLOAT32, n, n);
                Matrix noise = normal(device, n, random)) {
            for (String kind : List.of("1/i", "1/√i", "0.95^i")) {
                device.copy(u, us);
                double norm2 = 0;
                for (int i = 0; i < n; i++) {
                    double sigma = kind.equals("1/i") ? 1.0 / (i + 1) : kind.equals("1/√i") ? 1 / Math.sqrt(i + 1) : Math.pow(0.95, i);
                    norm2 += sigma * sigma;
                    device.scale(sigma, us.columns(i, i + 1));
                }
                Matrix g = device.allocate(DataType.FLOAT32, n, n);
                device.copy(noise, g);
                device.gemm(1, us, Op.NONE, v, Op.TRANSPOSE, 0.01 * Math.sqrt(norm2) / n, g);
                made.add(StreamedGradient.of(kind + " + 1 %, " + n + "²", g));
            }
        }
        return made;
    }

    private static Matrix orthogonal(Device device, int n, Random random) {
        Matrix q = normal(device, n, random);
        try (Matrix r = device.allocate(DataType.FLOAT32, n, n)) {
            device.qr(q, r);
        }
        return q;
    }

    private static Matrix normal(Device device, int n, Random random) {
        Matrix a = device.allocate(DataType.FLOAT32, n, n);
        double[] row = new double[n];
        for (int i = 0; i < n; i++) {
            Arrays.setAll(row, j -> random.nextGaussian());
            a.rows(i, i + 1).write(row);
        }
        return a;
    }
}
