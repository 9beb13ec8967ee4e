package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;

import org.junit.jupiter.api.Test;
import org.lora4j.Reference;

/** Float32 means float32: TF32 is used where it is asked for and nowhere else. */
class CudaPrecisionTest extends SimCudaTest {
    @Test
    void factorsAreRoundedTo10BitsOnlyWhenAskedFor() {
        Reference a = Reference.random(40, 60, DataType.FLOAT32, new Random(1));
        Reference b = Reference.random(60, 30, DataType.FLOAT32, new Random(2));
        double full = error(a, b, false);
        double tf32 = error(a, b, true);
        assertTrue(full < 1e-6, "float32: " + full);
        assertTrue(tf32 > 1e-4 && tf32 < 1e-3, "TF32: " + tf32);
    }

    private static double error(Reference a, Reference b, boolean tf32) {
        try (Device device = SimCuda.open(CudaOptions.defaults().withTf32(tf32))) {
            Matrix c = device.allocate(DataType.FLOAT32, a.rows(), b.cols());
            device.gemm(1, a.on(device, DataType.FLOAT32), Op.NONE, b.on(device, DataType.FLOAT32), Op.NONE, 0, c);
            Reference exact = a.times(b);
            return Reference.of(c).plus(-1, exact).norm() / exact.norm();
        }
    }
}
