package org.lora4j.examples;

import java.lang.foreign.MemorySegment;

import org.lora4j.LoraLinear;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * A trainer whose data are {@code float[]}, on any device. What is on the heap is copied, each once: X and dY go straight into
 * the layer's own input and output gradient, which spares a product each.
 */
final class FloatArrayTraining {
    private FloatArrayTraining() {}

    /**
     * Trains a layer that has its weight and its start.
     *
     * @param x (b,n)
     * @param target (b,m)
     * @param a A (r,n), overwritten
     * @param b B (m,r), overwritten
     * @param dx (b,n), overwritten
     */
    static void train(LoraLinear layer, float[] x, float[] target, float[] a, float[] b, float[] dx, int batch) {
        Device device = layer.device();
        int m = (int) layer.outFeatures();
        int n = (int) layer.inFeatures();
        int r = layer.config().rank();
        float[] y = new float[batch * m];
        float[] gradA = new float[r * n];
        float[] gradB = new float[m * r];
        device.copyOut(layer.loraA(), MemorySegment.ofArray(a), n);
        device.copyOut(layer.loraB(), MemorySegment.ofArray(b), r);
        Matrix input = layer.input(batch);
        Matrix outputGradient = layer.outputGradient(batch);
        try (Matrix output = device.allocate(layer.type(), batch, m); Matrix inputGradient = device.allocate(layer.type(), batch, n)) {
            for (int step = 0; step < Regression.STEPS; step++) {
                device.copyIn(MemorySegment.ofArray(x), n, input);
                layer.forward(input, output);
                device.copyOut(output, MemorySegment.ofArray(y), m);
                for (int i = 0; i < y.length; i++) {
                    y[i] = (y[i] - target[i]) / batch;
                }
                device.copyIn(MemorySegment.ofArray(y), m, outputGradient);
                layer.zeroGradients();
                layer.backward(input, outputGradient, inputGradient);
                device.copyOut(layer.gradA(), MemorySegment.ofArray(gradA), n);
                device.copyOut(layer.gradB(), MemorySegment.ofArray(gradB), r);
                descend(a, gradA);
                descend(b, gradB);
                device.copyIn(MemorySegment.ofArray(a), n, layer.loraA());
                device.copyIn(MemorySegment.ofArray(b), r, layer.loraB());
            }
            device.copyOut(inputGradient, MemorySegment.ofArray(dx), n);
        }
    }

    private static void descend(float[] parameter, float[] gradient) {
        for (int i = 0; i < parameter.length; i++) {
            parameter[i] -= Regression.RATE * gradient[i];
        }
    }
}
