package org.lora4j.examples;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.MemorySegment;

import org.lora4j.LoraLinear;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * A trainer whose data are {@link MemorySegment}s off the heap, here with gaps between the rows: X, Y, dY and dX are used where
 * they stand, and A and B are moved where they stand. On a GPU the same takes segments of its own memory.
 */
final class SegmentTraining {
    private SegmentTraining() {}

    /**
     * Trains a layer that has its weight and its start.
     *
     * @param x (b,n), rows {@code stride} elements apart, as all of these
     * @param target (b,m)
     * @param y (b,m), overwritten
     * @param dy (b,m), overwritten
     * @param dx (b,n), overwritten
     */
    static void train(LoraLinear layer, MemorySegment x, MemorySegment target, MemorySegment y, MemorySegment dy, MemorySegment dx, long batch, long stride) {
        Device device = layer.device();
        long m = layer.outFeatures();
        long n = layer.inFeatures();
        Matrix input = device.borrow(x, DataType.FLOAT32, batch, n, stride); // no copy: x must outlive it
        Matrix output = device.borrow(y, DataType.FLOAT32, batch, m, stride);
        Matrix outputGradient = device.borrow(dy, DataType.FLOAT32, batch, m, stride);
        Matrix inputGradient = device.borrow(dx, DataType.FLOAT32, batch, n, stride);
        for (int step = 0; step < Regression.STEPS; step++) {
            layer.forward(input, output);
            for (long i = 0; i < batch; i++) {
                for (long j = 0; j < m; j++) {
                    long at = i * stride + j;
                    dy.setAtIndex(JAVA_FLOAT, at, (y.getAtIndex(JAVA_FLOAT, at) - target.getAtIndex(JAVA_FLOAT, at)) / batch);
                }
            }
            layer.zeroGradients();
            layer.backward(input, outputGradient, inputGradient);
            descend(layer.loraA(), layer.gradA());
            descend(layer.loraB(), layer.gradB());
        }
    }

    /** parameter ← parameter − λ·gradient, on the host, where a matrix's segment is its memory. */
    private static void descend(Matrix parameter, Matrix gradient) {
        for (long i = 0; i < parameter.rows(); i++) {
            for (long j = 0; j < parameter.cols(); j++) {
                long at = i * parameter.leadingDimension() + j;
                float slope = gradient.segment().getAtIndex(JAVA_FLOAT, i * gradient.leadingDimension() + j);
                parameter.segment().setAtIndex(JAVA_FLOAT, at, parameter.segment().getAtIndex(JAVA_FLOAT, at) - Regression.RATE * slope);
            }
        }
    }
}
