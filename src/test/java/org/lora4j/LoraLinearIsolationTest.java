package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;

import org.junit.jupiter.api.Test;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Several layers on one device, and several devices in several threads, give bit for bit the numbers of one alone. */
class LoraLinearIsolationTest extends DeviceTest {
    @Test
    void layersOfOneDeviceDoNotDisturbEachOther() {
        int[] ranks = {1, 4, 3};
        double[][] alone = new double[ranks.length][];
        for (int i = 0; i < ranks.length; i++) {
            alone[i] = train(ranks[i], 20, 12, 8);
        }
        try (Device device = opener.get()) {
            List<Training> together = Arrays.stream(ranks).mapToObj(r -> new Training(device, r, 20, 12, 8)).toList();
            for (int step = 0; step < Training.STEPS; step++) {
                together.forEach(Training::forward);
                together.forEach(Training::backward);
            }
            for (int i = 0; i < ranks.length; i++) {
                assertArrayEquals(alone[i], together.get(i).results(), "rank " + ranks[i]);
            }
        }
    }

    @Test
    void devicesInTwoThreadsGiveTheSameNumbersAsAlone() {
        double[] alone = train(5, 96, 160, 64);
        for (int round = 0; round < 5; round++) {
            var one = CompletableFuture.supplyAsync(() -> train(5, 96, 160, 64), task -> new Thread(task).start());
            var two = CompletableFuture.supplyAsync(() -> train(5, 96, 160, 64), task -> new Thread(task).start());
            assertArrayEquals(alone, one.join());
            assertArrayEquals(alone, two.join());
        }
    }

    private double[] train(int rank, int m, int n, int b) {
        try (Device own = opener.get()) {
            Training training = new Training(own, rank, m, n, b);
            for (int step = 0; step < Training.STEPS; step++) {
                training.forward();
                training.backward();
            }
            return training.results();
        }
    }

    /** A layer whose factors follow their gradients. */
    private static final class Training {
        static final int STEPS = 4;
        final LoraLinear layer;
        final Matrix x;
        final Matrix dy;
        final Matrix y;
        final Matrix dx;

        Training(Device device, int rank, int m, int n, int b) {
            DataType type = DataType.FLOAT32;
            Random random = new Random(rank);
            layer = LayerReference.random(new LoraConfig(rank, 1, Scaling.STANDARD), m, n, true, type, random).on(device, type, b);
            x = layer.input(b);
            x.write(Reference.random(b, n, type, random).data());
            dy = layer.outputGradient(b);
            dy.write(Reference.random(b, m, type, random).data());
            y = device.allocate(type, b, m);
            dx = device.allocate(type, b, n);
        }

        void forward() {
            layer.forward(x, y);
        }

        void backward() {
            layer.backward(x, dy, dx);
            layer.loraA().write(Reference.of(layer.loraA()).plus(-0x1p-12, Reference.of(layer.gradA())).data());
            layer.loraB().write(Reference.of(layer.loraB()).plus(-0x1p-12, Reference.of(layer.gradB())).data());
        }

        double[] results() {
            return List.of(y, dx, layer.gradA(), layer.gradB(), layer.loraA()).stream().flatMapToDouble(m -> Arrays.stream(m.read())).toArray();
        }
    }
}
