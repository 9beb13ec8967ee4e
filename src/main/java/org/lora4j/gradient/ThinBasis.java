package org.lora4j.gradient;

import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * The leading left singular vectors of a tall matrix Y (rows×l), by the eigenvectors of YᵀY.
 *
 * <p>A Householder QR would need a copy of Y. The Gram matrix of float32 numbers summed in float64, by panels of rows,
 * loses nothing of them and needs none; a QR of the few vectors that are kept then makes them orthonormal to rounding.
 */
final class ThinBasis {
    /** Singular values of Y below this times the largest one are noise: what the Gram matrix can tell in float64. */
    private static final double NEGLIGIBLE = 1e-6;
    private static final int PANEL = 64;

    private ThinBasis() {}

    /**
     * An orthonormal basis (rows×columns) of the leading left singular vectors of Y, strongest first; random vectors stand
     * where Y has none. The caller closes it.
     *
     * @param unit by which Y is divided first, a power of two
     */
    static Matrix of(Matrix y, int columns, double unit, long seed) {
        Device device = y.device();
        int l = (int) y.cols();
        Matrix q = device.allocate(y.type(), y.rows(), columns);
        try (Matrix gram = device.allocate(DataType.FLOAT64, l, l);
                Matrix w = device.allocate(DataType.FLOAT64, 1, l);
                Matrix panel = device.allocate(DataType.FLOAT64, PANEL, l);
                Matrix image = device.allocate(DataType.FLOAT64, PANEL, columns);
                Matrix map = device.allocate(DataType.FLOAT64, columns, l);
                Matrix r = device.allocate(y.type(), columns, columns)) {
            for (long i = 0; i < y.rows(); i += PANEL) {
                Matrix rows = widen(y, i, unit, panel);
                device.gemm(1, rows, Op.TRANSPOSE, rows, Op.NONE, 1, gram);
            }
            device.symmetricEigen(gram, w); // rows of gram: eigenvectors, ascending
            double[] eigenvalues = w.read();
            int found = 0;
            double floor = NEGLIGIBLE * NEGLIGIBLE * eigenvalues[l - 1];
            while (found < columns && eigenvalues[l - 1 - found] > floor) {
                Matrix row = map.rows(found, found + 1);
                device.copy(gram.rows(l - 1 - found, l - found), row);
                device.scale(1 / Math.sqrt(eigenvalues[l - 1 - found]), row);
                found++;
            }
            Random random = new Random(seed);
            for (long i = 0; i < y.rows(); i += PANEL) {
                Matrix rows = widen(y, i, unit, panel);
                Matrix part = image.rows(0, rows.rows());
                device.gemm(1, rows, Op.NONE, map, Op.TRANSPOSE, 0, part);
                double[] values = part.read();
                for (int j = 0; j < values.length; j++) {
                    values[j] = j % columns < found ? values[j] : random.nextGaussian();
                }
                q.rows(i, i + rows.rows()).write(values);
            }
            device.qr(q, r);
            return q;
        } catch (RuntimeException e) {
            q.close();
            throw e;
        }
    }

    /** The power of two at or below |x|, by which dividing is exact; 1 for 0. */
    static double powerOfTwo(double x) {
        return x == 0 ? 1 : Math.scalb(1.0, Math.max(Math.getExponent(x), Double.MIN_EXPONENT));
    }

    /** Rows of y from {@code first} on, divided by {@code unit}, in float64. */
    private static Matrix widen(Matrix y, long first, double unit, Matrix panel) {
        long count = Math.min(PANEL, y.rows() - first);
        double[] values = y.rows(first, first + count).read();
        for (int i = 0; i < values.length; i++) {
            values[i] /= unit;
        }
        Matrix rows = panel.rows(0, count);
        rows.write(values);
        return rows;
    }
}
