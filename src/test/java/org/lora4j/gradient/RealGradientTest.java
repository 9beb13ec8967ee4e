package org.lora4j.gradient;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;
import org.lora4j.device.Matrix;
import org.lora4j.io.SafeTensors;

/**
 * Starts made from a sketch of l = 8r columns of a real model's gradients, against the best ones: in
 * {@code -Dlora4j.test.gradients=}, safetensors files of float32 matrices, separated as in a path.
 */
class RealGradientTest {
    private static final String FILES = System.getProperty("lora4j.test.gradients");

    private final Device device = HostDevice.open();
    private final List<StreamedGradient> gradients = new ArrayList<>();

    @BeforeEach
    void read() throws IOException {
        assumeTrue(FILES != null, "-Dlora4j.test.gradients doesn't say where a model's gradients are");
        for (String file : FILES.split(File.pathSeparator)) {
            gradients.addAll(read(device, Path.of(file)));
        }
    }

    @AfterEach
    void close() {
        device.close();
    }

    static List<StreamedGradient> read(Device device, Path file) throws IOException {
        List<StreamedGradient> gradients = new ArrayList<>();
        try (SafeTensors tensors = SafeTensors.open(file)) {
            for (var tensor : tensors.tensors()) {
                if (tensor.shape().length == 2) {
                    Matrix g = device.allocate(DataType.FLOAT32, tensor.shape()[0], tensor.shape()[1]);
                    device.copyIn(tensor.segment(), g.cols(), g);
                    gradients.add(StreamedGradient.of(tensor.name(), g));
                }
            }
        }
        return gradients;
    }

    private void assertAlignment(int step, double noise, double... least) {
        for (int r : new int[] {4, 8, 16}) {
            for (StreamedGradient g : gradients) {
                double[] found = g.passes(r, 8, step, noise, least.length);
                for (int i = 0; i < least.length; i++) {
                    assertTrue(found[i] >= least[i], g.name() + ", r " + r + ": " + Arrays.toString(found));
                }
            }
        }
    }

    @Test
    void everyLayersStartIsNearTheOptimum() {
        assertAlignment(16, 0, 0.99, 0.9999);
    }

    /** What cancels, added up at random, has three tenths of the norm of G. */
    @Test
    void whatCancelsHidesLittle() {
        assertAlignment(16, 0.3, 0.99, 0.9999);
    }
}
