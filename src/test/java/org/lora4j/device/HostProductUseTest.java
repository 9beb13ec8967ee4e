package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;

import org.junit.jupiter.api.Test;
import org.lora4j.Reference;

/** Which of the device's products the kernels make. */
class HostProductUseTest extends KernelsTest {
    @Test
    void theDeviceUsesThemFromALeastSize() {
        HostKernels kernels = open("portable", 1);
        long least = HostKernels.LEAST_PRODUCTS;
        assertTrue(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, 1, 1, least, 1));
        assertTrue(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, 2, least / 6 + 1, 3, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, 2, least / 6, 3, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, least, 1, 0, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, least, 1, 1, 0), "alpha is 0: nothing to multiply, NaN or not");
        assertFalse(kernels.suitProduct(DataType.FLOAT64, Op.NONE, Op.NONE, least, 1, 1, 1));
        long inner = HostKernels.LEAST_INNER;
        assertTrue(kernels.suitProduct(TYPE, Op.TRANSPOSE, Op.NONE, 8, 16, inner / 128, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.TRANSPOSE, Op.NONE, 8, 16, inner / 128 - 1, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.TRANSPOSE, Op.TRANSPOSE, 8, 16, inner / 128, 1));
        long thin = HostKernels.LEAST_THIN;
        assertTrue(kernels.suitProduct(TYPE, Op.NONE, Op.TRANSPOSE, thin / 128, 8, 16, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.NONE, Op.TRANSPOSE, thin / 128 - 1, 8, 16, 1));
    }

    /** In one pass where the kernels do it, whose type is float32: not where A and B have 16 bits. */
    @Test
    void addmmMakesNoCopyWhereTheKernelsDoIt() {
        needsThemInUse();
        Matrix c = random(64, 64);
        for (DataType type : new DataType[] {TYPE, DataType.BFLOAT16}) {
            Reference a = Reference.random(64, 16, type, random);
            Reference b = Reference.random(16, 64, type, random);
            Counters before = device.counters();
            Matrix d = device.addmm(c, 1, a.on(device, type), Op.NONE, b.on(device, type), Op.NONE);
            assertEquals(type == TYPE ? 0 : 1, device.counters().since(before).calls(Counters.Call.COPY));
            a.times(b).plus(1, Reference.of(c)).assertClose(type.toString(), Reference.of(d), TYPE, 18, a.magnitudes().times(b.magnitudes()).plus(1, Reference.of(c).magnitudes()));
        }
    }

    /** The kernels' order of sums is not BLAS's: that the bits are the kernels' tells who multiplied. */
    @Test
    void theDevicesProductsAreTheKernels() {
        needsThemInUse();
        HostKernels kernels = open(device.kernels().substring("kernels ".length()), 1);
        Matrix a = random(40, 1500);
        Matrix b = random(1500, 50);
        Matrix c = device.allocate(TYPE, 40, 50);
        device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c);
        double[] devices = c.read();
        device.fill(c, Double.NaN);
        multiply(kernels, 40, 50, 1500, 1, a, Op.NONE, b, Op.NONE, 0, c);
        assertArrayEquals(devices, c.read());
        int none = HostDevice.transpose(Op.NONE);
        BlasLibrary.load().blas().gemm(TYPE, none, none, 40, 50, 1500, 1, a.segment(), 1500, b.segment(), 50, 0, c.segment(), 50);
        assertFalse(Arrays.equals(devices, c.read()), "BLAS has other bits");
    }
}
