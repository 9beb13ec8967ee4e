package org.lora4j.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.lora4j.demo.Adaptation.Method;
import org.lora4j.demo.Adaptation.Outcome;
import org.lora4j.demo.Adaptation.Plan;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;
import org.lora4j.device.Matrix;
import org.lora4j.device.SimCuda;

/** The demonstration's trainings, shortened, on the simulated GPU. */
@Tag("cuda")
class CudaDemoTest {
    private static final Plan SHORT = new Plan(new double[] {5e-3}, 30, 1, 100);

    /**
     * Full fine-tuning and LoRA use nothing but products and copies, and the simulated GPU multiplies by the host's library: the
     * losses are the same bits. LoRA-GA starts from singular vectors, by other methods than the host's: rounding turns
     * them by u·σ₁ over the distance of neighbouring singular values, and each step of training multiplies the difference. So
     * its losses are the host's to rounding: no further off than those that the host itself has when its gradients are
     * rounded otherwise in the last place, times four, because the largest of five differences is not the largest there is. In the
     * first half of the steps that must explain less than a twentieth; where it explains a fifth (Haswell's BLAS kernels come to a tenth, others
     * to a third of that), the rest is left out.
     */
    @Test
    void theLossesAreTheHosts() {
        assumeTrue(SimCuda.isBuilt(), "the simulated CUDA device was not built: it needs a C compiler and CMake");
        Map<Method, List<Outcome>> host;
        Map<Method, List<Outcome>> gpu;
        List<double[]> rounded = new ArrayList<>();
        String kernels = System.setProperty("lora4j.kernels", "off"); // else the SVD's products are not the library's
        try (Device device = HostDevice.open()) {
            host = new Adaptation(device, SHORT, 0, () -> {}).run();
            for (int i = 0; i < 5; i++) {
                Random random = new Random(i);
                Map<Method, List<Outcome>> other = new Adaptation(device, SHORT, 0, () -> {}, g -> lastPlace(g, random)).run();
                rounded.add(other.get(Method.LORA_GA).getFirst().loss());
            }
        } finally {
            if (kernels == null) {
                System.clearProperty("lora4j.kernels");
            } else {
                System.setProperty("lora4j.kernels", kernels);
            }
        }
        try (Device device = SimCuda.open()) {
            gpu = new Adaptation(device, SHORT, 0, () -> {}).run();
        }
        for (Method method : Method.values()) {
            Outcome h = host.get(method).getFirst();
            Outcome g = gpu.get(method).getFirst();
            double spread = 0;
            for (int i = 0; i < SHORT.steps(); i++) {
                if (method == Method.LORA_GA) {
                    for (double[] loss : rounded) {
                        spread = Math.max(spread, Math.abs(loss[i] - h.loss()[i]) / h.loss()[i]);
                    }
                }
                assertTrue(4 * spread < 0.05 || i >= SHORT.steps() / 2, "rounding explains no more at step " + i + ": " + spread);
                if (4 * spread >= 0.2) {
                    break;
                }
                assertEquals(h.loss()[i], g.loss()[i], 4 * spread * h.loss()[i], method + ", step " + i);
            }
            double summing = 4 * DataType.FLOAT32.unitRoundoff() * Math.sqrt(512 * 512); // over a layer's elements
            assertEquals(h.firstStepAlignment(), g.firstStepAlignment(), summing, method.toString());
        }
    }

    /** Each element goes up or down by the last place. */
    private static void lastPlace(Matrix g, Random random) {
        double[] values = g.read();
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextBoolean() ? Math.nextUp((float) values[i]) : Math.nextDown((float) values[i]);
        }
        g.write(values);
    }

    /** A GPU's clock would else stop when the work is queued. */
    @Test
    void kernelsAreTimedUntilTheyAreDone() {
        assumeTrue(SimCuda.isBuilt(), "the simulated CUDA device was not built: it needs a C compiler and CMake");
        try (Device device = SimCuda.open()) {
            long before = SimCuda.synchronisations();
            KernelTiming.measure(device, 2, 4, 4, 1, 20, () -> {});
            assertTrue(SimCuda.synchronisations() - before >= 20 * 6, "six works a round");
        }
    }
}
