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

    /** One set; null where the work doesn't take it. W (m, n), A (r, n), B (m, r), X (b, n), dY (b, m), G (m, n), V (n, r), or (m, r) for Gᵀ·V. */
    record Set(float[] w, float[] a, float[] b, float[] x, float[] dy, float[] g, float[] v) {}

    private final List<Set> sets = new ArrayList<>();

    Inputs(Item item, long seed, long cacheBytes) {
        SplittableRandom random = new SplittableRandom(seed);
        int count = (int) Math.clamp(Math.ceil(2 * cacheBytes / item.bytes()), 1, MOST_SETS);
        int m = item.m();
        int n = item.n();
        float[] gradient = item.work() == Work.INIT ? new SyntheticGradient(m, n, Spectrum.INVERSE, random).values() : null;
        boolean pass = item.work().isPass();
        double bound = Math.sqrt(3.0 / n); // such that a product with W keeps the size of what it is multiplied with
        for (int i = 0; i < count; i++) {
            sets.add(switch (item.work()) {
                case POWER_STEP, PRODUCT, TRANSPOSED_PRODUCT, SQUARES -> new Set(null, null, null, null, null, uniform(m, n, bound, random),
                        uniform(item.work() == Work.TRANSPOSED_PRODUCT ? m : n, item.r(), 1, random));
                case INIT -> new Set(uniform(m, n, bound, random), null, null, null, null, i == 0 ? gradient : shuffled(gradient, m, n, random), null);
                default -> new Set(uniform(m, n, bound, random), uniform(item.r(), n, bound, random), uniform(m, item.r(), Math.sqrt(1.0 / m), random),
                        pass ? uniform(item.b(), n, 1, random) : null, pass ? uniform(item.b(), m, 1, random) : null, null, null);
            });
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

    /** Writes one matrix, if there is one. */
    static void write(Path folder, String name, float[] values) throws IOException {
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
            SplittableRandom row = ofRow(seed, i);
            for (int j = 0; j < cols; j++) {
                a[i * cols + j] = (float) (bound * (2 * row.nextDouble() - 1));
            }
        });
        return a;
    }

    /** Each row's own numbers, so that rows can be made by several threads. */
    static SplittableRandom ofRow(long seed, int row) {
        return new SplittableRandom(seed + row * 0x9E3779B97F4A7C15L);
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
