package org.lora4j.demo;

import java.lang.foreign.MemorySegment;

import org.lora4j.LoraLinear;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** What is trained of a network, and by which steps of AdamW. */
interface Tuning extends AutoCloseable {
    /** One step on the mean log-loss of the network's last forward. */
    void step(int[] labels, float learningRate);

    @Override
    void close();

    /** A parameter on the device, its gradient, and AdamW's state in host memory. */
    final class Parameter {
        private final Matrix values;
        private final Matrix gradient;
        private final float[] hostValues;
        private final float[] hostGradient;
        private final AdamW adam;

        Parameter(Matrix values, Matrix gradient) {
            this.values = values;
            this.gradient = gradient;
            int size = Math.toIntExact(values.rows() * values.cols());
            hostValues = new float[size];
            hostGradient = new float[size];
            adam = new AdamW(size);
            values.device().copyOut(values, MemorySegment.ofArray(hostValues), values.cols());
        }

        void step(float learningRate) {
            Device device = values.device();
            device.copyOut(gradient, MemorySegment.ofArray(hostGradient), gradient.cols());
            adam.step(hostValues, hostGradient, learningRate);
            device.copyIn(MemorySegment.ofArray(hostValues), values.cols(), values);
        }
    }

    /** Every weight matrix itself; the adapters stay zero. */
    final class Full implements Tuning {
        private final Network network;
        private final Matrix[] gradients = new Matrix[Network.LAYERS];
        private final Parameter[] parameters = new Parameter[Network.LAYERS];

        Full(Network network) {
            this.network = network;
            for (int i = 0; i < Network.LAYERS; i++) {
                LoraLinear layer = network.layer(i);
                gradients[i] = layer.device().allocate(DataType.FLOAT32, layer.outFeatures(), layer.inFeatures());
                parameters[i] = new Parameter(layer.weight(), gradients[i]);
            }
        }

        @Override
        public void step(int[] labels, float learningRate) {
            network.backward(labels, gradients);
            for (Parameter p : parameters) {
                p.step(learningRate);
            }
        }

        /** What the last step, or {@link #measure}, found. */
        Matrix[] gradients() {
            return gradients;
        }

        /** Finds the gradients of the network's last forward without a step. */
        void measure(int[] labels) {
            network.backward(labels, gradients);
        }

        /** The weights as they are now. */
        float[][] weights() {
            float[][] weights = new float[Network.LAYERS][];
            for (int i = 0; i < Network.LAYERS; i++) {
                weights[i] = parameters[i].hostValues.clone();
            }
            return weights;
        }

        @Override
        public void close() {
            for (Matrix g : gradients) {
                g.close();
            }
        }
    }

    /** The adapters' A and B. */
    final class Adapters implements Tuning {
        private final Network network;
        private final Parameter[] parameters = new Parameter[2 * Network.LAYERS];

        Adapters(Network network) {
            this.network = network;
            for (int i = 0; i < Network.LAYERS; i++) {
                LoraLinear layer = network.layer(i);
                parameters[2 * i] = new Parameter(layer.loraA(), layer.gradA());
                parameters[2 * i + 1] = new Parameter(layer.loraB(), layer.gradB());
            }
        }

        @Override
        public void step(int[] labels, float learningRate) {
            for (int i = 0; i < Network.LAYERS; i++) {
                network.layer(i).zeroGradients();
            }
            network.backward(labels, null);
            for (Parameter p : parameters) {
                p.step(learningRate);
            }
        }

        @Override
        public void close() {}
    }
}
