package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.lora4j.Reference;

/** Power steps of every variant of the kernels that this processor runs, for every shape, and where the device uses them. */
class HostKernelsTest extends KernelsTest {
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void everyVariantAgreesWithTripleLoops(String variant) {
        HostKernels kernels = open(variant, 2);
        for (int[] s : PowerStepTest.SHAPES) {
            for (int k : PowerStepTest.COLUMNS) {
                PowerStepTest.compare(device, TYPE, s[0], s[1], k, random, kernels::powerStep);
            }
        }
    }

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void nanAndInfinityReachWhatTheyBelongTo(String variant) {
        HostKernels kernels = open(variant, 2);
        PowerStepTest.nanAndInfinity(device, TYPE, random, kernels::powerStep);
        PowerStepTest.infinityStaysInfinity(device, TYPE, random, kernels::powerStep);
    }

    /** Larger than the triple loops can do: many blocks, panels that are fetched ahead, sums of several threads, rows for which there is no room among a product's operands. */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void everyVariantAgreesWithBlas(String variant) {
        for (int threads : new int[] {1, 2, 3, 5}) {
            HostKernels kernels = open(variant, threads);
            for (int[] s : new int[][] {{1031, 769, 16}, {515, 1443, 33}, {2048, 480, 64}, {97, 3001, 7}, {7, 140003, 5}}) {
                String what = variant + ", " + threads + " threads, m=" + s[0] + " n=" + s[1] + " k=" + s[2];
                Reference g = Reference.random(s[0], s[1], TYPE, random);
                Reference v = Reference.random(s[1], s[2], TYPE, random);
                Matrix dg = g.on(device, TYPE);
                Matrix dv = v.on(device, TYPE);
                Matrix y = device.allocate(TYPE, s[0], s[2]);
                Matrix z = device.allocate(TYPE, s[1], s[2]);
                Matrix blasY = device.allocate(TYPE, s[0], s[2]);
                Matrix blasZ = device.allocate(TYPE, s[1], s[2]);
                device.fill(y, Double.NaN);
                device.fill(z, Double.NaN);
                kernels.powerStep(dg, dv, y, z);
                device.gemm(1, dg, Op.NONE, dv, Op.NONE, 0, blasY);
                device.gemm(1, dg, Op.TRANSPOSE, y, Op.NONE, 0, blasZ);
                // two float32 sums of terms of unit variance, each as wrong as assertClose allows: 4·ε·√k·Σ|terms|
                assertNear(what + " Y", blasY, y, 2 * 4 * 0x1p-23 * Math.sqrt(s[1]) * s[1] * 4);
                assertNear(what + " Z", blasZ, z, 2 * 4 * 0x1p-23 * Math.sqrt(s[0]) * s[0] * 4 * Math.sqrt(s[1]));
                double[] first = z.read();
                double norm2 = kernels.powerStepAndNorm(dg, dv, y, z);
                assertArrayEquals(first, z.read(), what + ": the same bits");
                assertEquals(1, norm2 / PowerStepTest.norm2(g), s[0] * s[1] * 0x1p-52, what + " ‖G‖²");
                for (Matrix a : new Matrix[] {dg, dv, y, z, blasY, blasZ}) {
                    a.close();
                }
            }
        }
    }

    private static void assertNear(String what, Matrix expected, Matrix actual, double tolerance) {
        assertArrayEquals(expected.read(), actual.read(), tolerance, what);
    }

    @Test
    void theDeviceUsesThem() {
        Matrix g = device.allocate(TYPE, 1024, 512);
        Matrix v = device.allocate(TYPE, 512, 16);
        Matrix y = device.allocate(TYPE, 1024, 16);
        long before = device.counters().currentBytes();
        device.powerStep(g, v, y, null);
        boolean used = device.counters().currentBytes() > before;
        assertEquals(device.kernels().startsWith("kernels "), used, device.kernels());
        assertTrue(device.description().contains(device.kernels()), device.description());
    }

    @Test
    void theDeviceUsesThemUpToTheLimits() {
        needsThemInUse();
        HostKernels kernels = open("portable", 1);
        long side = HostKernels.LEAST_SIDE;
        long other = HostKernels.LEAST_ELEMENTS / side;
        assertTrue(suits(kernels, TYPE, side, other, HostKernels.MOST_COLUMNS));
        assertTrue(suits(kernels, TYPE, other, side, 1));
        assertFalse(suits(kernels, TYPE, side, other, HostKernels.MOST_COLUMNS + 1));
        assertFalse(suits(kernels, TYPE, side, other - 1, 8));
        assertFalse(suits(kernels, TYPE, side - 1, 2 * other, 8));
        assertFalse(suits(kernels, TYPE, 2 * other, side - 1, 8));
        assertFalse(suits(kernels, TYPE, side, other, 0));
        assertFalse(suits(kernels, DataType.FLOAT64, side, other, 8));
    }

    /** BLAS has one thread between power steps, whoever else makes some, and then what it had; the description doesn't flicker. */
    @Test
    void blasHasOneThreadBetweenPowerSteps() {
        needsThemInUse();
        Blas blas = BlasLibrary.load().blas();
        int before = blas.threads();
        blas.setThreads(3);
        try (HostDevice other = HostDevice.open(); Matrix g = device.allocate(TYPE, 256, 256); Matrix g2 = other.allocate(TYPE, 256, 256)) {
            String description = device.description();
            Device.PowerSteps first = device.powerSteps(g, 8);
            Device.PowerSteps second = other.powerSteps(g2, 8);
            assertEquals(1, blas.libraryThreads());
            first.close();
            assertEquals(1, blas.libraryThreads());
            assertEquals(description, device.description());
            first.close();
            assertEquals(1, blas.libraryThreads(), "closing again does nothing");
            second.close();
            assertEquals(3, blas.libraryThreads());
            try (Matrix small = device.allocate(TYPE, 8, 8); Device.PowerSteps none = device.powerSteps(small, 8)) {
                assertEquals(3, blas.libraryThreads(), "by BLAS itself");
            }
        } finally {
            blas.setThreads(before);
        }
    }
}
