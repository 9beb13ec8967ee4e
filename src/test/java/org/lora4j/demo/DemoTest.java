package org.lora4j.demo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;

import javax.imageio.ImageIO;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.analysis.ScaleStability;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** The demonstration's parts: its data, its network's gradients, its optimiser, its report. */
class DemoTest {
    @Test
    void theDigitsAreAllThere() {
        Digits all = Digits.load();
        assertEquals(1797, all.size());
        int[] counts = new int[10];
        for (int label : all.labels()) {
            counts[label]++;
        }
        assertArrayEquals(new int[] {178, 182, 177, 183, 181, 182, 181, 179, 174, 180}, counts);
        for (float p : all.pixels()) {
            assertTrue(p >= 0 && p <= 1);
        }
        Digits shuffled = all.shuffled(1);
        int[] sorted = shuffled.labels().clone();
        Arrays.sort(sorted);
        int[] labels = all.labels().clone();
        Arrays.sort(labels);
        assertArrayEquals(labels, sorted, "shuffling keeps every digit");
    }

    /** Central differences of the loss in a few entries of each factor; float32 leaves about three digits. */
    @Test
    void theNetworksGradientsAreFiniteDifferencesOfItsLoss() {
        Digits some = Digits.load().range(0, 32);
        Random random = new Random(1);
        try (Device device = Device.open(); Network network = new Network(device, 32)) {
            float[][] weights = new float[Network.LAYERS][];
            for (int i = 0; i < Network.LAYERS; i++) {
                weights[i] = new float[Network.WIDTHS[i] * Network.WIDTHS[i + 1]];
                for (int j = 0; j < weights[i].length; j++) {
                    weights[i][j] = (float) (random.nextGaussian() * Math.sqrt(2.0 / Network.WIDTHS[i]));
                }
            }
            network.load(weights);
            List<Matrix> factors = new ArrayList<>();
            List<Matrix> gradients = new ArrayList<>();
            for (int i = 0; i < Network.LAYERS; i++) {
                LoraLinear layer = network.layer(i);
                for (Matrix factor : List.of(layer.loraA(), layer.loraB())) {
                    factor.write(random.doubles(factor.rows() * factor.cols(), -0.05, 0.05).toArray());
                    factors.add(factor);
                }
                gradients.addAll(List.of(layer.gradA(), layer.gradB()));
                layer.zeroGradients();
            }
            network.forward(some.pixels(), some.size());
            network.backward(some.labels(), null);
            for (int f = 0; f < factors.size(); f++) {
                Reference direction = Reference.of(gradients.get(f));
                double norm = direction.norm();
                Reference at = Reference.of(factors.get(f));
                double step = 1e-2 / norm; // along the gradient the slope is its norm
                double up = loss(network, factors.get(f), at.plus(step, direction), some);
                double down = loss(network, factors.get(f), at.plus(-step, direction), some);
                factors.get(f).write(at.data());
                assertEquals(1, (up - down) / (2 * step) / (norm * norm), 0.02, "factor " + f);
            }
        }
    }

    private static double loss(Network network, Matrix factor, Reference value, Digits digits) {
        factor.write(value.data());
        network.forward(digits.pixels(), digits.size());
        return network.loss(digits.labels());
    }

    /** Values of torch.optim.AdamW 2.13 with its defaults and lr = 0.1: parameter (1, −2), gradients (0.5, −1), (0.25, 2), (0, 0). */
    @Test
    void adamWIsPyTorchs() {
        AdamW adam = new AdamW(2);
        float[] p = {1, -2};
        float[][] gradients = {{0.5f, -1}, {0.25f, 2}, {0, 0}};
        double[][] torch = ADAMW;
        for (int i = 0; i < gradients.length; i++) {
            adam.step(p, gradients[i], 0.1f);
            assertEquals(torch[i][0], p[0], 1e-6);
            assertEquals(torch[i][1], p[1], 1e-6);
        }
    }

    private static final double[][] ADAMW = {{0.899000002, -1.898000001}, {0.8048830404754623, -1.9327123534710748}, {0.7320204034136635, -1.9590795496464593}};

    @Test
    void theReportHasTheFieldsAndThePictureIsOne(@TempDir Path folder) throws Exception {
        double[] loss = new double[Adaptation.Plan.DEMONSTRATION.steps()];
        Arrays.setAll(loss, i -> 1.0 / (i + 1));
        Adaptation.Outcome outcome = new Adaptation.Outcome(0.01, loss, 0.9, 0.5);
        Path file = folder.resolve("report.json");
        new Report("host", "a library", 3, Map.of("full", outcome, "lora", outcome, "loraGa", outcome),
                List.of(new ScaleStability(4, 5, 2, 1.1, 1, 0.9, 0.8)), List.of(new KernelTiming(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))).write(file);
        JsonNode report = new ObjectMapper().readTree(file.toFile());
        assertEquals("[device, library, seed, methods, stability, kernels]", names(report));
        for (String method : List.of("full", "lora", "loraGa")) {
            assertEquals("[learningRate, loss, accuracy, firstStepAlignment]", names(report.get("methods").get(method)));
            assertEquals(120, report.get("methods").get(method).get("loss").size());
        }
        assertEquals("[m, n, r, forward, forwardPredicted, backward, backwardPredicted]", names(report.get("stability").get(0)));
        assertTrue(names(report.get("kernels").get(0)).startsWith("[b, m, n, r, frozenGemmMs, "));
        assertTrue(report.get("kernels").get(0).has("forwardMs") && report.get("kernels").get(0).has("backwardMs"));

        Path picture = folder.resolve("convergence.png");
        ConvergencePlot.draw(Map.of("LoRA", outcome), picture);
        assertTrue(Files.size(picture) > 1000);
        assertEquals(1000, ImageIO.read(picture.toFile()).getWidth());
    }

    @Test
    void theReportTellsWhereLoraCatchesUp() {
        double[] loraGa = new double[20];
        double[] lora = new double[20];
        Arrays.fill(loraGa, 1);
        Arrays.setAll(lora, i -> i < 10 ? 2 : 0.5);
        assertEquals("Averaged over 5 steps, LoRA first catches up at step 14; LoRA-GA is ahead at 9 of 16 steps.", Main.comparison(loraGa, lora));
        Arrays.fill(lora, 2);
        assertEquals("Averaged over 5 steps, LoRA doesn't catch up within these steps; LoRA-GA is ahead at 16 of 16 steps.", Main.comparison(loraGa, lora));
    }

    private static String names(JsonNode object) {
        List<String> names = new ArrayList<>();
        object.fieldNames().forEachRemaining(names::add);
        return names.toString();
    }
}
