package org.lora4j.examples;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

import org.lora4j.LoraLinear;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** A trainer whose data are direct {@link ByteBuffer}s: they are used where they stand, and so are A, B and their gradients. */
final class ByteBufferTraining {
    private ByteBufferTraining() {}

    /** The matrix that a buffer holds from its position on. Nothing is copied; the buffer must stay reachable. */
    static Matrix matrix(Device device, ByteBuffer buffer, long rows, long cols) {
        if (!buffer.isDirect() || buffer.order() != ByteOrder.nativeOrder()) {
            throw new IllegalArgumentException(buffer + ", " + buffer.order() + ": it must be direct and in the machine's byte order");
        }
        return device.borrow(MemorySegment.ofBuffer(buffer), DataType.FLOAT32, rows, cols, cols);
    }

    /**
     * Trains a layer that has its weight and its start.
     *
     * @param x (b,n), without gaps, as all of these
     * @param target (b,m)
     * @param y (b,m), overwritten
     * @param dy (b,m), overwritten
     * @param dx (b,n), overwritten
     */
    static void train(LoraLinear layer, ByteBuffer x, ByteBuffer target, ByteBuffer y, ByteBuffer dy, ByteBuffer dx, long batch) {
        Device device = layer.device();
        Matrix input = matrix(device, x, batch, layer.inFeatures());
        Matrix output = matrix(device, y, batch, layer.outFeatures());
        Matrix outputGradient = matrix(device, dy, batch, layer.outFeatures());
        Matrix inputGradient = matrix(device, dx, batch, layer.inFeatures());
        FloatBuffer wanted = target.asFloatBuffer();
        FloatBuffer result = y.asFloatBuffer();
        FloatBuffer slope = dy.asFloatBuffer();
        for (int step = 0; step < Regression.STEPS; step++) {
            layer.forward(input, output);
            for (int i = 0; i < result.limit(); i++) {
                slope.put(i, (result.get(i) - wanted.get(i)) / batch);
            }
            layer.zeroGradients();
            layer.backward(input, outputGradient, inputGradient);
            descend(layer.loraA(), layer.gradA());
            descend(layer.loraB(), layer.gradB());
        }
    }

    /** parameter ← parameter − λ·gradient, row by row, for the layer's rows have gaps. */
    private static void descend(Matrix parameter, Matrix gradient) {
        for (int i = 0; i < parameter.rows(); i++) {
            FloatBuffer p = buffer(parameter.rows(i, i + 1));
            FloatBuffer g = buffer(gradient.rows(i, i + 1));
            for (int j = 0; j < p.limit(); j++) {
                p.put(j, p.get(j) - Regression.RATE * g.get(j));
            }
        }
    }

    /** A row of a matrix of the host device, as a buffer of its memory. */
    private static FloatBuffer buffer(Matrix row) {
        return row.segment().asByteBuffer().order(ByteOrder.nativeOrder()).asFloatBuffer();
    }
}
