package org.lora4j.gradient;

import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * Gram matrices and combinations of columns that stand side by side, panel by panel.
 *
 * <p>A Householder QR would need a copy of them. The Gram matrix of float32 numbers summed in float64 loses nothing of
 * them and needs none; a QR of the few vectors that are kept then makes them orthonormal to rounding.
 */
final class ThinColumns {
    private static final int PANEL = 256;

    private ThinColumns() {}

    /** The columns of op(matrix), which is tall. */
    record Part(Matrix matrix, Op op) {
        Part(Matrix matrix) {
            this(matrix, Op.NONE);
        }

        long rows() {
            return op == Op.NONE ? matrix.rows() : matrix.cols();
        }

        long cols() {
            return op == Op.NONE ? matrix.cols() : matrix.rows();
        }

        /** {@code panel} ← rows from {@code first} on. */
        private void read(long first, Matrix panel) {
            Device device = matrix.device();
            if (op == Op.NONE) {
                device.convert(matrix.rows(first, first + panel.rows()), panel);
                return;
            }
            try (Matrix across = device.allocate(DataType.FLOAT64, matrix.rows(), panel.rows());
                    Matrix identity = SmallMatrix.identity(Math.toIntExact(matrix.rows())).on(device)) {
                device.convert(matrix.columns(first, first + panel.rows()), across);
                device.gemm(1, across, Op.TRANSPOSE, identity, Op.NONE, 0, panel);
            }
        }
    }

    /** AᵀA of A = [parts]. */
    static SmallMatrix gram(Part... parts) {
        Device device = parts[0].matrix().device();
        int columns = columns(parts);
        try (Matrix gram = device.allocate(DataType.FLOAT64, columns, columns); Matrix panel = panel(parts, columns)) {
            for (long i = 0; i < parts[0].rows(); i += panel.rows()) {
                Matrix rows = panel.rows(0, Math.min(panel.rows(), parts[0].rows() - i));
                read(i, rows, parts);
                device.gemm(1, rows, Op.TRANSPOSE, rows, Op.NONE, 1, gram);
            }
            return SmallMatrix.of(gram);
        }
    }

    /** {@code target} ← [parts]·map. Target may be columns of a part: its rows are read before they are written. */
    static void combine(SmallMatrix map, Matrix target, Part... parts) {
        Device device = target.device();
        if (map.cols() == 0) {
            return;
        }
        try (Matrix panel = panel(parts, map.rows()); Matrix part = device.allocate(DataType.FLOAT64, panel.rows(), map.cols()); Matrix on = map.on(device)) {
            for (long i = 0; i < target.rows(); i += panel.rows()) {
                Matrix rows = panel.rows(0, Math.min(panel.rows(), target.rows() - i));
                Matrix combined = part.rows(0, rows.rows());
                read(i, rows, parts);
                device.gemm(1, rows, Op.NONE, on, Op.NONE, 0, combined);
                device.convert(combined, target.rows(i, i + rows.rows()));
            }
        }
    }

    /** [parts]·map made orthonormal; behind it random columns up to those of {@code target}, which is overwritten. */
    static void orthonormal(SmallMatrix map, long seed, Matrix target, Part... parts) {
        combine(map, target.columns(0, map.cols()), parts);
        Matrix rest = target.columns(map.cols(), target.cols());
        rest.write(new Random(seed).doubles(rest.rows() * rest.cols(), -1, 1).toArray());
        try (Matrix r = target.device().allocate(target.type(), target.cols(), target.cols())) {
            target.device().qr(target, r);
        }
    }

    /** The power of two at or below |x|, by which dividing is exact; 1 for 0. */
    static double powerOfTwo(double x) {
        return x == 0 ? 1 : Math.scalb(1.0, Math.max(Math.getExponent(x), Double.MIN_EXPONENT));
    }

    private static int columns(Part... parts) {
        long columns = 0;
        for (Part part : parts) {
            columns += part.cols();
        }
        return Math.toIntExact(columns);
    }

    private static Matrix panel(Part[] parts, int columns) {
        return parts[0].matrix().device().allocate(DataType.FLOAT64, Math.min(PANEL, parts[0].rows()), columns);
    }

    /** Overwrites {@code panel} with rows of [parts] from {@code first} on. */
    private static void read(long first, Matrix panel, Part... parts) {
        long column = 0;
        for (Part part : parts) {
            part.read(first, panel.columns(column, column + part.cols()));
            column += part.cols();
        }
    }
}
