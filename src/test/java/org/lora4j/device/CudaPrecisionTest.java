package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.Reference;

/** Float32 means float32: TF32 is used where it is asked for and nowhere else. */
class CudaPrecisionTest extends SimCudaTest {
    @Test
    void factorsAreRoundedTo10BitsOnlyWhenAskedFor() {
        Reference a = Reference.random(40, 60, DataType.FLOAT32, new Random(1));
        Reference b = Reference.random(60, 30, DataType.FLOAT32, new Random(2));
        double full = product(DataType.FLOAT32, a, b, false).plus(-1, a.times(b)).norm() / a.times(b).norm();
        double tf32 = product(DataType.FLOAT32, a, b, true).plus(-1, a.times(b)).norm() / a.times(b).norm();
        assertTrue(full < 1e-6, "float32: " + full);
        assertTrue(tf32 > 1e-4 && tf32 < 1e-3, "TF32: " + tf32);
    }

    /** Products of 16 bits are rounded once, to the nearest, whether or not those of float32 may use TF32. */
    @ParameterizedTest
    @EnumSource(value = DataType.class, names = {"BFLOAT16", "FLOAT16"})
    void tf32LeavesSumsOf16BitsInFloat32(DataType type) {
        Reference a = Reference.random(20, 60, type, new Random(3));
        Reference b = Reference.random(60, 30, type, new Random(4));
        Reference exact = a.times(b);
        Reference sizes = magnitudes(a).times(magnitudes(b));
        for (boolean tf32 : new boolean[] {false, true}) {
            Reference c = product(type, a, b, tf32);
            for (int i = 0; i < c.data().length; i++) {
                double summing = 60 * DataType.FLOAT32.unitRoundoff() * sizes.data()[i];
                assertEquals(exact.data()[i], c.data()[i], Math.abs(exact.data()[i]) * type.unitRoundoff() + summing, "TF32 " + tf32 + ", element " + i);
            }
        }
    }

    private static Reference magnitudes(Reference a) {
        return new Reference(a.rows(), a.cols(), Arrays.stream(a.data()).map(Math::abs).toArray());
    }

    private static Reference product(DataType type, Reference a, Reference b, boolean tf32) {
        try (Device device = SimCuda.open(CudaOptions.defaults().withTf32(tf32))) {
            Matrix c = device.allocate(type, a.rows(), b.cols());
            device.gemm(1, a.on(device, type), Op.NONE, b.on(device, type), Op.NONE, 0, c);
            return Reference.of(c);
        }
    }
}
