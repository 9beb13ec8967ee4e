package org.lora4j.demo;

import java.util.Arrays;
import java.util.Random;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * How long a layer's passes take beside the frozen products. Medians over rounds; the ratios are taken round by round,
 * since a shared machine's speed drifts.
 *
 * <p>The frozen products are timed twice: with weight and activations without gaps between their rows, as a trainer
 * without adapters has them, and in the layer's own buffers, whose rows are longer by the border. A leading dimension
 * that is a large power of two can cost more than an adapter does, so the second is the stricter measure.
 *
 * @param frozenGemmMs Y = X·Wᵀ
 * @param frozenBackwardMs dX = dY·W
 * @param forwardMs {@link LoraLinear#forward}
 * @param backwardMs {@link LoraLinear#backward} with dX
 * @param forwardRatio forward over Y = X·Wᵀ
 * @param totalRatio forward and backward over both frozen products
 * @param forwardRatioInPlace forward over Y = X·Wᵀ in the layer's own buffers
 * @param totalRatioInPlace forward and backward over both frozen products in the layer's own buffers
 */
record KernelTiming(long b, long m, long n, int r, double frozenGemmMs, double frozenBackwardMs, double forwardMs, double backwardMs,
        double forwardRatio, double totalRatio, double forwardRatioInPlace, double totalRatioInPlace) {
    private static final int WARM_UP = 3;

    /** @param progress called after each of the rounds */
    static KernelTiming measure(Device device, int b, int m, int n, int r, int rounds, Runnable progress) {
        Random random = new Random(1);
        DataType type = DataType.FLOAT32;
        LoraConfig config = new LoraConfig(r, 16, Scaling.RANK_STABILISED);
        try (LoraLinear layer = new LoraLinear(device, config, type, m, n, false, b);
                Matrix w = device.allocate(type, m, n); Matrix x = device.allocate(type, b, n); Matrix y = device.allocate(type, b, m);
                Matrix dy = device.allocate(type, b, m); Matrix dx = device.allocate(type, b, n)) {
            for (Matrix a : new Matrix[] {w, x, dy, layer.loraA(), layer.loraB()}) {
                randomise(a, random);
            }
            device.copy(w, layer.weight());
            Matrix input = layer.input(b);
            Matrix outputGradient = layer.outputGradient(b);
            device.copy(x, input);
            device.copy(dy, outputGradient);

            Runnable[] work = {
                () -> device.gemm(1, x, Op.NONE, w, Op.TRANSPOSE, 0, y),
                () -> layer.forward(input, y),
                () -> device.gemm(1, input, Op.NONE, layer.weight(), Op.TRANSPOSE, 0, y),
                () -> device.gemm(1, dy, Op.NONE, w, Op.NONE, 0, dx),
                () -> layer.backward(input, outputGradient, dx),
                () -> device.gemm(1, outputGradient, Op.NONE, layer.weight(), Op.NONE, 0, dx)};
            layer.forward(input, y);
            double[][] ms = new double[work.length][rounds];
            for (int i = -WARM_UP; i < rounds; i++) {
                for (int three = 0; three < work.length; three += 3) {
                    for (int j = 0; j < 3; j++) { // each three in another order every round
                        int which = three + Math.floorMod(i + j, 3);
                        double elapsed = time(device, work[which]);
                        if (i >= 0) {
                            ms[which][i] = elapsed;
                        }
                    }
                }
                if (i >= 0) {
                    progress.run();
                }
            }
            double[][] ratios = new double[4][rounds];
            for (int i = 0; i < rounds; i++) {
                ratios[0][i] = ms[1][i] / ms[0][i];
                ratios[1][i] = (ms[1][i] + ms[4][i]) / (ms[0][i] + ms[3][i]);
                ratios[2][i] = ms[1][i] / ms[2][i];
                ratios[3][i] = (ms[1][i] + ms[4][i]) / (ms[2][i] + ms[5][i]);
            }
            return new KernelTiming(b, m, n, r, median(ms[0]), median(ms[3]), median(ms[1]), median(ms[4]), median(ratios[0]), median(ratios[1]),
                    median(ratios[2]), median(ratios[3]));
        }
    }

    private static double time(Device device, Runnable work) {
        device.synchronize();
        long start = System.nanoTime();
        work.run();
        device.synchronize();
        return (System.nanoTime() - start) / 1e6;
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    private static void randomise(Matrix a, Random random) {
        double[] row = new double[Math.toIntExact(a.cols())];
        for (long i = 0; i < a.rows(); i++) {
            for (int j = 0; j < row.length; j++) {
                row[j] = 2 * random.nextDouble() - 1;
            }
            a.rows(i, i + 1).write(row);
        }
    }
}
