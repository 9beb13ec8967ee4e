package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.init.LoraGa;

/** The example of README.md, line by line. */
class ExampleTest {
    @Test
    void theReadmesExampleRuns() {
        int outFeatures = 48;
        int inFeatures = 40;
        int maxBatch = 8;
        int batch = 5;
        MemorySegment weight = random(outFeatures * inFeatures, 1);
        MemorySegment weightGradient = random(outFeatures * inFeatures, 2);
        MemorySegment activations = random(batch * inFeatures, 3);
        MemorySegment lossGradient = random(batch * outFeatures, 4);

        try (Device device = Device.open();
                LoraLinear layer = new LoraLinear(device, new LoraConfig(16, 16, Scaling.RANK_STABILISED),
                        DataType.FLOAT32, outFeatures, inFeatures, false, maxBatch);
                Matrix gradient = device.allocate(DataType.FLOAT32, outFeatures, inFeatures);
                Matrix y = device.allocate(DataType.FLOAT32, maxBatch, outFeatures);
                Matrix dx = device.allocate(DataType.FLOAT32, maxBatch, inFeatures)) {
            layer.load(weight, inFeatures);
            device.copyIn(weightGradient, inFeatures, gradient);
            LoraGa.of(gradient).initialize(layer);

            Matrix x = layer.input(batch);
            Matrix dy = layer.outputGradient(batch);
            device.copyIn(activations, inFeatures, x);
            layer.forward(x, y.rows(0, batch));
            device.copyIn(lossGradient, outFeatures, dy);
            layer.zeroGradients();
            layer.backward(x, dy, dx.rows(0, batch));
            double[] before = y.rows(0, batch).read();
            layer.merge();

            layer.forward(x, y.rows(0, batch));
            assertArrayEquals(before, y.rows(0, batch).read(), 1e-3, "merged and unmerged agree");
            assertTrue(Reference.of(layer.gradA()).norm() > 0 && Reference.of(layer.gradB()).norm() > 0);
        }
    }

    private static MemorySegment random(int size, long seed) {
        Random random = new Random(seed);
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return MemorySegment.ofArray(values);
    }
}
