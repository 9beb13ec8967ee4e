package org.lora4j.gradient;

import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * Gram matrices and combinations of the columns of tall matrices, panel by panel.
 *
 * <p>A Householder QR would need a copy of them. The Gram matrix of float32 numbers summed in float64 loses nothing of
 * them and needs none; a QR of the few vectors that are kept then makes them orthonormal to rounding.
 */
final class ThinColumns {
    private static final int PANEL = 64;

    private ThinColumns() {}

    /** [T, Y]ᵀ·[T, Y] (2l×2l) of the test matrix T and the image Y = image/unit, both of l columns. */
    static SmallMatrix gram(TestMatrix test, Matrix image, double unit) {
        Device device = image.device();
        long l = image.cols();
        try (Matrix gram = device.allocate(DataType.FLOAT64, 2 * l, 2 * l); Matrix panel = device.allocate(DataType.FLOAT64, PANEL, 2 * l)) {
            for (long i = 0; i < image.rows(); i += PANEL) {
                Matrix rows = panel.rows(0, Math.min(PANEL, image.rows() - i));
                read(test, image, i, unit, rows);
                device.gemm(1, rows, Op.TRANSPOSE, rows, Op.NONE, 1, gram);
            }
            return SmallMatrix.of(gram);
        }
    }

    /** [T, Y]·map made orthonormal; behind it random columns up to those of {@code target}, which is overwritten. */
    static void combine(TestMatrix test, Matrix image, double unit, SmallMatrix map, long seed, Matrix target) {
        Device device = image.device();
        int found = map.cols();
        int k = (int) target.cols();
        try (Matrix panel = device.allocate(DataType.FLOAT64, PANEL, map.rows());
                Matrix part = device.allocate(DataType.FLOAT64, PANEL, found);
                Matrix on = map.on(device);
                Matrix r = device.allocate(target.type(), k, k)) {
            for (long i = 0; i < image.rows() && found > 0; i += PANEL) {
                Matrix rows = panel.rows(0, Math.min(PANEL, image.rows() - i));
                Matrix combined = part.rows(0, rows.rows());
                read(test, image, i, unit, rows);
                device.gemm(1, rows, Op.NONE, on, Op.NONE, 0, combined);
                device.convert(combined, target.view(i, i + rows.rows(), 0, found));
            }
            Matrix rest = target.columns(found, k);
            rest.write(new Random(seed).doubles(rest.rows() * rest.cols(), -1, 1).toArray());
            device.qr(target, r);
        }
    }

    /** The power of two at or below |x|, by which dividing is exact; 1 for 0. */
    static double powerOfTwo(double x) {
        return x == 0 ? 1 : Math.scalb(1.0, Math.max(Math.getExponent(x), Double.MIN_EXPONENT));
    }

    /** Overwrites {@code panel} with rows of [T, Y] from {@code first} on. */
    private static void read(TestMatrix test, Matrix image, long first, double unit, Matrix panel) {
        Matrix y = panel.columns(panel.cols() - image.cols(), panel.cols());
        test.rows(first, panel.columns(0, panel.cols() - image.cols()));
        image.device().convert(image.rows(first, first + panel.rows()), y);
        image.device().scale(1 / unit, y);
    }
}
