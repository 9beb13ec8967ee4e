package org.lora4j.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** What the machine can do at most: the best of a few tries each. */
final class Ceilings {
    static final int SIZE = 3072;
    private static final int TRIES = 2;
    /** Many times any last-level cache but the very largest. */
    private static final int LONGS = 64 << 20;

    private Ceilings() {}

    /** GFLOP/s of a large square product in float32. */
    static double gemmGflops(Device device) {
        double best = Double.MAX_VALUE;
        try (Matrix a = device.allocate(DataType.FLOAT32, SIZE, SIZE, SIZE + 16); Matrix b = device.allocate(DataType.FLOAT32, SIZE, SIZE, SIZE + 16);
                Matrix c = device.allocate(DataType.FLOAT32, SIZE, SIZE, SIZE + 16)) {
            device.fill(a, 0.5);
            device.fill(b, 0.25);
            for (int i = 0; i < TRIES; i++) {
                long start = System.nanoTime();
                device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c);
                best = Math.min(best, System.nanoTime() - start);
            }
        }
        return 2 * Math.pow(SIZE, 3) / best;
    }

    /** GB/s read from memory by all threads together, each of which sums its part of an array of half a gigabyte. */
    static double readGBs(int threads) {
        long[] values = new long[LONGS];
        Arrays.fill(values, 1);
        try (ExecutorService pool = Executors.newFixedThreadPool(threads)) {
            double best = Double.MAX_VALUE;
            for (int i = 0; i < 5 * TRIES; i++) {
                long start = System.nanoTime();
                List<Future<Long>> parts = new ArrayList<>();
                for (int t = 0; t < threads; t++) {
                    int from = (int) ((long) LONGS * t / threads);
                    int to = (int) ((long) LONGS * (t + 1) / threads);
                    parts.add(pool.submit(() -> sum(values, from, to)));
                }
                long total = 0;
                for (Future<Long> part : parts) {
                    total += part.get();
                }
                if (total != LONGS) {
                    throw new ArithmeticException("a sum of " + LONGS + " ones is " + total);
                }
                best = Math.min(best, System.nanoTime() - start);
            }
            return 8.0 * LONGS / best;
        } catch (InterruptedException | ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    private static long sum(long[] values, int from, int to) {
        long sum = 0;
        for (int start = from; start < to; start += 1 << 16) { // short loops, which are compiled soon
            sum += block(values, start, Math.min(to, start + (1 << 16)));
        }
        return sum;
    }

    private static long block(long[] values, int from, int to) {
        long sum = 0;
        for (int i = from; i < to; i++) {
            sum += values[i];
        }
        return sum;
    }
}
