package org.lora4j.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import java.util.Map;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.lora4j.demo.Adaptation.Method;
import org.lora4j.demo.Adaptation.Outcome;
import org.lora4j.demo.Adaptation.Plan;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;
import org.lora4j.device.SimCuda;

/** The demonstration's trainings, shortened, on the simulated GPU. */
@Tag("cuda")
class CudaDemoTest {
    private static final Plan SHORT = new Plan(new double[] {5e-3}, 10, 1, 40);

    /**
     * The losses are the host's to rounding. Both sum in float32 but in another order: each step of training multiplies the
     * rounding errors u of the weights by some factor; 50 steps leave a few thousand u where an error of the device would
     * leave a share of the loss itself. LoRA-GA starts from singular vectors, which rounding turns by u·σ₁ over the distance
     * of neighbouring singular values, a thousandth or less here: its losses agree to a hundredth.
     */
    @Test
    void theLossesAreTheHosts() {
        assumeTrue(SimCuda.isBuilt(), "the simulated CUDA device was not built: it needs a C compiler and CMake");
        Map<Method, List<Outcome>> host;
        Map<Method, List<Outcome>> gpu;
        try (Device device = HostDevice.open()) {
            host = new Adaptation(device, SHORT, 0, () -> {}).run();
        }
        try (Device device = SimCuda.open()) {
            gpu = new Adaptation(device, SHORT, 0, () -> {}).run();
        }
        for (Method method : Method.values()) {
            Outcome h = host.get(method).getFirst();
            Outcome g = gpu.get(method).getFirst();
            for (int i = 0; i < SHORT.steps(); i++) {
                assertEquals(h.loss()[i], g.loss()[i], (method == Method.LORA_GA ? 1e-2 : 5e-4) * h.loss()[i], method + ", step " + i);
            }
            assertEquals(h.firstStepAlignment(), g.firstStepAlignment(), 1e-4, method.toString());
        }
    }
}
