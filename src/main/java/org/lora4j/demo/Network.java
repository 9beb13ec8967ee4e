package org.lora4j.demo;

import java.lang.foreign.MemorySegment;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * A classifier 64–512–512–10 with ReLU between its layers; every weight matrix is a {@link LoraLinear}. Each layer
 * writes into the next one's bordered input, so no pass has a product more than it needs. The element-wise parts are
 * done in host memory: that is the trainer's work, and small here.
 */
final class Network implements AutoCloseable {
    static final int[] WIDTHS = {Digits.PIXELS, 512, 512, 10};
    static final int LAYERS = WIDTHS.length - 1;
    static final double ALPHA = 16;
    private static final int RANK = 8;

    private final Device device;
    private final LoraLinear[] layers = new LoraLinear[LAYERS];
    private final Matrix[] inputs = new Matrix[LAYERS]; // of the last forward
    private final float[][] hidden = new float[LAYERS][]; // each layer's output after its ReLU
    private final Matrix logits;
    private final int classes = WIDTHS[LAYERS];

    Network(Device device, int maxBatch) {
        this.device = device;
        for (int i = 0; i < LAYERS; i++) {
            int rank = Math.min(RANK, Math.min(WIDTHS[i], WIDTHS[i + 1]) / 2);
            LoraConfig config = new LoraConfig(rank, ALPHA, Scaling.RANK_STABILISED);
            layers[i] = new LoraLinear(device, config, DataType.FLOAT32, WIDTHS[i + 1], WIDTHS[i], false, maxBatch);
            hidden[i] = new float[maxBatch * WIDTHS[i + 1]];
        }
        logits = device.allocate(DataType.FLOAT32, maxBatch, classes);
    }

    LoraLinear layer(int i) {
        return layers[i];
    }

    /** Sets every layer's weight; the adapters become zero. */
    void load(float[][] weights) {
        for (int i = 0; i < LAYERS; i++) {
            layers[i].load(MemorySegment.ofArray(weights[i]), WIDTHS[i]);
        }
    }

    /** Sends the first rows of {@code x} through the layers; what comes out is {@link #logits}. */
    void forward(float[] x, int batch) {
        inputs[0] = layers[0].input(batch);
        device.copyIn(MemorySegment.ofArray(x), WIDTHS[0], inputs[0]);
        for (int i = 0; i < LAYERS; i++) {
            boolean last = i == LAYERS - 1;
            Matrix y = last ? logits.rows(0, batch) : layers[i + 1].input(batch);
            layers[i].forward(inputs[i], y);
            MemorySegment host = MemorySegment.ofArray(hidden[i]);
            device.copyOut(y, host, WIDTHS[i + 1]);
            if (!last) {
                for (int j = 0; j < batch * WIDTHS[i + 1]; j++) {
                    hidden[i][j] = Math.max(0, hidden[i][j]);
                }
                device.copyIn(host, WIDTHS[i + 1], y);
                inputs[i + 1] = y;
            }
        }
    }

    /** The last layer's output, {@code classes} a row. */
    float[] logits() {
        return hidden[LAYERS - 1];
    }

    /**
     * Accumulates the gradients of the mean log-loss of the last forward into the adapters and, where wanted, writes
     * the gradients of the full weights.
     *
     * @param weightGradients one matrix a layer, m×n, overwritten; null if they are not wanted
     */
    void backward(int[] labels, Matrix[] weightGradients) {
        int batch = labels.length;
        float[] gradient = new float[batch * classes];
        for (int i = 0; i < batch; i++) {
            double logSum = logSumExp(i);
            for (int j = 0; j < classes; j++) {
                double p = Math.exp(logits()[i * classes + j] - logSum);
                gradient[i * classes + j] = (float) ((p - (j == labels[i] ? 1 : 0)) / batch);
            }
        }
        Matrix dy = layers[LAYERS - 1].outputGradient(batch);
        device.copyIn(MemorySegment.ofArray(gradient), classes, dy);
        for (int i = LAYERS - 1; i >= 0; i--) {
            Matrix dx = i == 0 ? null : layers[i - 1].outputGradient(batch);
            layers[i].backward(inputs[i], dy, dx);
            if (weightGradients != null) {
                device.gemm(1, dy, Op.TRANSPOSE, inputs[i], Op.NONE, 0, weightGradients[i]);
            }
            if (i > 0) {
                float[] below = new float[batch * WIDTHS[i]];
                device.copyOut(dx, MemorySegment.ofArray(below), WIDTHS[i]);
                for (int j = 0; j < below.length; j++) {
                    below[j] = hidden[i - 1][j] > 0 ? below[j] : 0;
                }
                device.copyIn(MemorySegment.ofArray(below), WIDTHS[i], dx);
                dy = dx;
            }
        }
    }

    /** The mean log-loss of the last forward. */
    double loss(int[] labels) {
        double sum = 0;
        for (int i = 0; i < labels.length; i++) {
            sum += logSumExp(i) - logits()[i * classes + labels[i]];
        }
        return sum / labels.length;
    }

    /** The share of rows of the last forward whose largest logit is their label's. */
    double accuracy(int[] labels) {
        int right = 0;
        for (int i = 0; i < labels.length; i++) {
            int best = 0;
            for (int j = 1; j < classes; j++) {
                best = logits()[i * classes + j] > logits()[i * classes + best] ? j : best;
            }
            right += best == labels[i] ? 1 : 0;
        }
        return (double) right / labels.length;
    }

    private double logSumExp(int row) {
        double max = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < classes; j++) {
            max = Math.max(max, logits()[row * classes + j]);
        }
        double sum = 0;
        for (int j = 0; j < classes; j++) {
            sum += Math.exp(logits()[row * classes + j] - max);
        }
        return max + Math.log(sum);
    }

    @Override
    public void close() {
        for (LoraLinear layer : layers) {
            layer.close();
        }
        logits.close();
    }
}
