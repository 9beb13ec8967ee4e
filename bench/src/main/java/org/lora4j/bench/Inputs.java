package org.lora4j.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Fresh random data of an item, the same for all contenders, in as many sets as it takes that going round them no cache
 * still holds the first one when its turn comes again. Matrices are row-major.
 */
final class Inputs {
    private static final int MOST_SETS = 64;
    private static final int REFLECTORS = 4;

    /** One set; null where the work doesn't take it. W (m, n), A (r, n), B (m, r), X (b, n), dY (b, m), G (m, n). */
    record Set(float[] w, float[] a, float[] b, float[] x, float[] dy, float[] g) {}

    private final List<Set> sets = new ArrayList<>();

    Inputs(Item item, long seed, long cacheBytes) {
        SplittableRandom random = new SplittableRandom(seed);
        int count = (int) Math.clamp(Math.ceil(2 * cacheBytes / item.bytes()), 1, MOST_SETS);
        int m = item.m();
        int n = item.n();
        float[] gradient = item.work() == Work.INIT ? decaying(m, n, random) : null;
        boolean pass = item.work().isPass();
        for (int i = 0; i < count; i++) {
            sets.add(new Set(uniform(m, n, Math.sqrt(3.0 / n), random),
                    gradient == null ? uniform(item.r(), n, Math.sqrt(3.0 / n), random) : null,
                    gradient == null ? uniform(m, item.r(), Math.sqrt(1.0 / m), random) : null,
                    pass ? uniform(item.b(), n, 1, random) : null, pass ? uniform(item.b(), m, 1, random) : null,
                    gradient == null ? null : i == 0 ? gradient : shuffled(gradient, m, n, random)));
        }
    }

    int count() {
        return sets.size();
    }

    Set get(int i) {
        return sets.get(i % sets.size());
    }

    /** Writes every matrix of every set as little-endian float32 to {@code folder}/name.set, for a process of its own. */
    void write(Path folder) throws IOException {
        Files.createDirectories(folder);
        for (int i = 0; i < sets.size(); i++) {
            Set s = sets.get(i);
            write(folder, "w." + i, s.w);
            write(folder, "a." + i, s.a);
            write(folder, "b." + i, s.b);
            write(folder, "x." + i, s.x);
            write(folder, "dy." + i, s.dy);
            write(folder, "g." + i, s.g);
        }
    }

    private static void write(Path folder, String name, float[] values) throws IOException {
        if (values != null) {
            try (FileChannel file = FileChannel.open(folder.resolve(name), StandardOpenOption.CREATE, StandardOpenOption.READ,
                    StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
                file.map(FileChannel.MapMode.READ_WRITE, 0, 4L * values.length).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(values);
            }
        }
    }

    /** The float32 values of a file as {@link #write} writes them. */
    static float[] read(Path file) throws IOException {
        FloatBuffer values = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        float[] array = new float[values.remaining()];
        values.get(array);
        return array;
    }

    private static float[] uniform(int rows, int cols, double bound, SplittableRandom random) {
        float[] a = new float[Math.multiplyExact(rows, cols)];
        long seed = random.nextLong();
        IntStream.range(0, rows).parallel().forEach(i -> {
            SplittableRandom row = new SplittableRandom(seed + i * 0x9E3779B97F4A7C15L);
            for (int j = 0; j < cols; j++) {
                a[i * cols + j] = (float) (bound * (2 * row.nextDouble() - 1));
            }
        });
        return a;
    }

    /** H₁…H₄·diag(σ)·H₅…H₈ with random reflections H: a full matrix whose singular values are known exactly. */
    static float[] decaying(int m, int n, SplittableRandom random) {
        double[] g = new double[Math.multiplyExact(m, n)];
        for (int i = 0; i < Math.min(m, n); i++) {
            g[i * n + i] = Item.singularValue(i);
        }
        for (int i = 0; i < REFLECTORS; i++) {
            double[] v = unit(n, random);
            IntStream.range(0, m).parallel().forEach(row -> {
                double dot = 0;
                for (int j = 0; j < n; j++) {
                    dot += g[row * n + j] * v[j];
                }
                for (int j = 0; j < n; j++) {
                    g[row * n + j] -= 2 * dot * v[j];
                }
            });
            double[] u = unit(m, random);
            double[] ug = new double[n]; // uᵀ·G
            for (int row = 0; row < m; row++) {
                for (int j = 0; j < n; j++) {
                    ug[j] += u[row] * g[row * n + j];
                }
            }
            IntStream.range(0, m).parallel().forEach(row -> {
                for (int j = 0; j < n; j++) {
                    g[row * n + j] -= 2 * u[row] * ug[j];
                }
            });
        }
        float[] rounded = new float[g.length];
        for (int i = 0; i < g.length; i++) {
            rounded[i] = (float) g[i];
        }
        return rounded;
    }

    private static double[] unit(int n, SplittableRandom random) {
        double[] v = random.doubles(n, -1, 1).toArray();
        double norm = Math.sqrt(IntStream.range(0, n).mapToDouble(i -> v[i] * v[i]).sum());
        return IntStream.range(0, n).mapToDouble(i -> v[i] / norm).toArray();
    }

    /** Another matrix with the same singular values: rows in another order, some columns negated. */
    private static float[] shuffled(float[] g, int m, int n, SplittableRandom random) {
        int[] order = IntStream.range(0, m).toArray();
        for (int i = m - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int row = order[i];
            order[i] = order[j];
            order[j] = row;
        }
        boolean[] negate = new boolean[n];
        for (int j = 0; j < n; j++) {
            negate[j] = random.nextBoolean();
        }
        float[] other = new float[g.length];
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                float value = g[order[i] * n + j];
                other[i * n + j] = negate[j] ? -value : value;
            }
        }
        return other;
    }
}
