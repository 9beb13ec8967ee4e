package org.lora4j.gradient;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.SingularTriplets;

/**
 * Prints how near to the optimum a sketch's LoRA-GA start comes, pass by pass: cos(D, G) of D = G·V₁V₁ᵀ + U₂U₂ᵀ·G over
 * √(Σ_{i≤2r} σᵢ²/‖G‖²). Arguments: safetensors files of gradients, or {@code synthetic:N} for N×N with σᵢ = 1/i, 1/√i and
 * 0.95ⁱ plus noise of 1 % of the norm; {@code l=F} before them sets l = F·r, 8 by default.
 */
final class SketchQualityMain {
    private SketchQualityMain() {}

    private interface Visitor {
        void visit(String name, Matrix g);
    }

    public static void main(String[] args) throws IOException {
        int factor = 8;
        try (Device device = Device.open()) {
            System.out.println(device.description());
            for (String arg : args) {
                if (arg.startsWith("l=")) {
                    factor = Integer.parseInt(arg.substring(2));
                    continue;
                }
                int f = factor;
                Visitor visitor = (name, g) -> {
                    for (int r : new int[] {8, 16}) {
                        report(name, g, r, f * r);
                    }
                };
                if (arg.startsWith("synthetic:")) {
                    synthetic(device, Integer.parseInt(arg.substring(10)), visitor);
                } else {
                    safetensors(device, Path.of(arg), visitor);
                }
            }
        }
    }

    private static void report(String name, Matrix g, int r, int l) {
        Device device = g.device();
        double norm2 = device.dot(g, g);
        double optimum = Math.sqrt(leadingEnergy(g, 2 * r) / norm2);
        StringBuilder line = new StringBuilder(String.format("r %2d l %3d optimum %.4f", r, l, optimum));
        long before = device.counters().currentBytes();
        long start = System.nanoTime();
        GradientSketch sketch = new GradientSketch(device, g.type(), g.rows(), g.cols(), l, 1);
        stream(g, sketch::update);
        String seconds = String.format("%.2f s", (System.nanoTime() - start) * 1e-9);
        line.append(" pass 1 ").append(quality(sketch, g, r, optimum)).append(' ').append(seconds);
        GradientRefinement pass = sketch.refine();
        for (int i = 2; i <= 4; i++) {
            stream(g, pass::update);
            line.append(" pass ").append(i).append(' ').append(quality(pass, g, r, optimum));
            pass = i < 4 ? pass.refine() : pass;
        }
        pass.close();
        System.out.println(line + " " + name + (device.counters().currentBytes() == before ? "" : " LEAK"));
    }

    private static String quality(GradientSource source, Matrix g, int r, double optimum) {
        Device device = g.device();
        try (SingularTriplets t = source.finish(r); Matrix ga = device.allocate(g.type(), g.rows(), r);
                Matrix bg = device.allocate(g.type(), r, g.cols()); Matrix d = device.allocate(g.type(), g.rows(), g.cols())) {
            Matrix a = t.vt().rows(0, r);
            Matrix b = t.u().columns(r, 2 * r);
            device.gemm(1, g, Op.NONE, a, Op.TRANSPOSE, 0, ga);
            device.gemm(1, b, Op.TRANSPOSE, g, Op.NONE, 0, bg);
            device.gemm(1, ga, Op.NONE, a, Op.NONE, 0, d);
            device.gemm(1, b, Op.NONE, bg, Op.NONE, 1, d);
            double cosine = device.dot(d, g) / Math.sqrt(device.dot(d, d) * device.dot(g, g));
            return String.format("%.5f (energy %.3f, residual %.3f)", cosine / optimum, t.certificate().capturedEnergy(), t.certificate().largestResidual());
        }
    }

    /** Feeds G = Σ dYᵀ·X, X being rows of the identity. */
    private static void stream(Matrix g, BiConsumer<Matrix, Matrix> sink) {
        Device device = g.device();
        int step = 256;
        try (Matrix x = device.allocate(g.type(), step, g.cols()); Matrix dy = device.allocate(g.type(), step, g.rows());
                Matrix identity = device.allocate(g.type(), step, step)) {
            for (int i = 0; i < step; i++) {
                identity.view(i, i + 1, i, i + 1).write(1);
            }
            for (long j = 0; j < g.cols(); j += step) {
                long to = Math.min(j + step, g.cols());
                Matrix ones = identity.view(0, to - j, 0, to - j);
                device.fill(x, 0);
                device.copy(ones, x.view(0, to - j, j, to));
                device.gemm(1, ones, Op.NONE, g.columns(j, to), Op.TRANSPOSE, 0, dy.rows(0, to - j));
                sink.accept(x.rows(0, to - j), dy.rows(0, to - j));
            }
        }
    }

    /** Σ_{i≤k} σᵢ² by twenty steps of subspace iteration with 3k vectors. */
    private static double leadingEnergy(Matrix g, int k) {
        Device device = g.device();
        int c = 3 * k;
        try (Matrix v = device.allocate(g.type(), g.cols(), c); Matrix y = device.allocate(g.type(), g.rows(), c);
                Matrix r = device.allocate(g.type(), c, c); Matrix u = device.allocate(g.type(), c, c);
                Matrix s = device.allocate(g.type(), 1, c); Matrix vt = device.allocate(g.type(), c, c)) {
            v.write(new Random(7).doubles(g.cols() * c, -1, 1).toArray());
            for (int i = 0; i < 20; i++) {
                device.qr(v, r);
                device.gemm(1, g, Op.NONE, v, Op.NONE, 0, y);
                device.gemm(1, g, Op.TRANSPOSE, y, Op.NONE, 0, v);
            }
            device.qr(v, r);
            device.gemm(1, g, Op.NONE, v, Op.NONE, 0, y);
            device.qr(y, r);
            device.svd(r, u, s, vt);
            return device.dot(s.columns(0, k), s.columns(0, k));
        }
    }

    private static void synthetic(Device device, int n, Visitor visitor) {
        Random random = new Random(3);
        try (Matrix u = orthogonal(device, n, random); Matrix v = orthogonal(device, n, random); Matrix us = device.allocate(DataType.FLOAT32, n, n);
                Matrix noise = normal(device, n, random); Matrix g = device.allocate(DataType.FLOAT32, n, n)) {
            for (String kind : List.of("1/i", "1/√i", "0.95^i")) {
                device.copy(u, us);
                double norm2 = 0;
                for (int i = 0; i < n; i++) {
                    double sigma = kind.equals("1/i") ? 1.0 / (i + 1) : kind.equals("1/√i") ? 1 / Math.sqrt(i + 1) : Math.pow(0.95, i);
                    norm2 += sigma * sigma;
                    device.scale(sigma, us.columns(i, i + 1));
                }
                device.copy(noise, g);
                device.gemm(1, us, Op.NONE, v, Op.TRANSPOSE, 0.01 * Math.sqrt(norm2) / n, g);
                visitor.visit(kind + " + 1 %, " + n + "²", g);
            }
        }
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
            java.util.Arrays.setAll(row, j -> random.nextGaussian());
            a.rows(i, i + 1).write(row);
        }
        return a;
    }

    private static void safetensors(Device device, Path file, Visitor visitor) throws IOException {
        try (Arena arena = Arena.ofConfined(); FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            MemorySegment all = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
            long header = all.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN).getLong();
            String json = new String(all.asSlice(8, header).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
            Matcher entry = Pattern.compile("\"([^\"]+)\":\\{\"dtype\":\"F32\",\"shape\":\\[(\\d+),(\\d+)],\"data_offsets\":\\[(\\d+),(\\d+)]}").matcher(json);
            List<String> seen = new ArrayList<>();
            while (entry.find()) {
                seen.add(entry.group(1));
                try (Matrix g = device.allocate(DataType.FLOAT32, Long.parseLong(entry.group(2)), Long.parseLong(entry.group(3)))) {
                    device.copyIn(all.asSlice(8 + header + Long.parseLong(entry.group(4))), g.cols(), g);
                    visitor.visit(file.getFileName() + " " + entry.group(1) + " " + g.rows() + "×" + g.cols(), g);
                }
            }
            if (seen.isEmpty()) {
                throw new IOException(file + " has no float32 matrix");
            }
        }
    }
}
