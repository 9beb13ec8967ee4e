package org.lora4j.bench;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** What the machine can do at most: the best of a few tries each. */
final class Ceilings {
    static final int SIZE = 3072;
    private static final int TRIES = 2;

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

    /** GB/s read from memory by all threads together. */
    static double readGBs(Device device, int threads) {
        return new ReadingMemory(device, threads).bestGBs(5 * TRIES);
    }
}
