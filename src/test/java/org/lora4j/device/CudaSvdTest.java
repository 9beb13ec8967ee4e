package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;

import org.junit.jupiter.api.Test;
import org.lora4j.Reference;

/** What a GPU's SVD does when the library doesn't converge, or is wrong. On the simulated one. */
class CudaSvdTest extends SimCudaTest {
    private static final DataType TYPE = DataType.FLOAT32;

    @Test
    void anSvdThatDoesNotConvergeTellsSweepsAndResidualAndLeavesTheDeviceUsable() {
        try (Device device = SimCuda.open(CudaOptions.defaults().withSvd(1e-6, 15))) {
            for (int n : new int[] {48, 16}) { // by gesvdj, and by its batched form
                Reference values = Reference.random(n, n, TYPE, new Random(n));
                Matrix a = values.on(device, TYPE);
                Matrix u = device.allocate(TYPE, n, n);
                Matrix s = device.allocate(TYPE, 1, n);
                Matrix vt = device.allocate(TYPE, n, n);
                SimCuda.noConvergence(1);
                SvdNotConvergedException e = assertThrows(SvdNotConvergedException.class, () -> device.svd(a, u, s, vt));
                assertEquals(n + 1, e.code());
                assertTrue(e.sweeps() > 0 && e.getMessage().contains("sweeps"), e.getMessage());
                assertEquals(n == 16, Double.isNaN(e.residual()), "the batched form has no residual");
                assertArrayEquals(values.data(), a.read(), "A is not modified");
                device.svd(a, u, s, vt);
                values.assertNear("A = U·S·Vᵀ", Reference.of(u).times(diagonal(s.read())).times(Reference.of(vt)), 1e-5);
            }
        }
    }

    private static Reference diagonal(double[] values) {
        Reference d = Reference.zeros(values.length, values.length);
        for (int i = 0; i < values.length; i++) {
            d.data()[i * values.length + i] = values[i];
        }
        return d;
    }

    @Test
    void aWrongSvdIsNotBelieved() {
        for (int[] shape : new int[][] {{48, 48}, {16, 16}, {9, 40}, {40, 9}}) {
            try (Device device = SimCuda.open()) {
                int k = Math.min(shape[0], shape[1]);
                Matrix a = Reference.random(shape[0], shape[1], TYPE, new Random(4)).on(device, TYPE);
                Matrix u = device.allocate(TYPE, shape[0], k);
                Matrix s = device.allocate(TYPE, 1, k);
                Matrix vt = device.allocate(TYPE, k, shape[1]);
                SimCuda.wrongSvd(1);
                NativeException e = assertThrows(NativeException.class, () -> device.svd(a, u, s, vt));
                assertFalse(e instanceof SvdNotConvergedException);
                assertTrue(e.getMessage().contains("gesvdj") && e.getMessage().contains("exceeds"), e.getMessage());
                device.svd(a, u, s, vt);
            }
        }
    }

    /** What was asked for is not refused. */
    @Test
    void coarseToleranceAndTf32AreAllowedFor() {
        try (Device device = SimCuda.open(CudaOptions.defaults().withTf32(true).withSvd(1e-3, 50))) {
            Matrix a = Reference.random(60, 50, TYPE, new Random(4)).on(device, TYPE);
            device.svd(a, device.allocate(TYPE, 60, 50), device.allocate(TYPE, 1, 50), device.allocate(TYPE, 50, 50));
        }
    }
}
