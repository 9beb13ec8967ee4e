package org.lora4j.init;

import java.lang.foreign.MemorySegment;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Copies between host memory without gaps and matrices of another type; a panel of rows at a time where they must be converted. */
final class Transfers {
    private static final long PANEL = 1L << 20; // elements
    private static final double LARGEST_FLOAT16 = 65504;

    private Transfers() {}

    /** target ← source, rounded to the target's type. */
    static void in(MemorySegment source, DataType type, Matrix target) {
        Device device = target.device();
        if (type == target.type()) {
            device.copyIn(source, target.cols(), target);
            return;
        }
        panels(target, type, (rows, panel, offset) -> {
            device.copyIn(source.asSlice(offset), rows.cols(), panel);
            device.convert(panel, rows);
        });
    }

    /**
     * target ← source, rounded to {@code type}.
     *
     * @throws IllegalArgumentException naming {@code what} where a number is beyond that type
     */
    static void out(String what, Matrix source, MemorySegment target, DataType type) {
        Device device = source.device();
        if (type == source.type()) {
            device.copyOut(source, target, source.cols());
            return;
        }
        checkRange(what, source, type);
        panels(source, type, (rows, panel, offset) -> {
            device.convert(rows, panel);
            device.copyOut(panel, target.asSlice(offset), rows.cols());
        });
    }

    /** Refuses numbers that are infinite in {@code type}. Only float16 has fewer sizes of them than a start can have. */
    static void checkRange(String what, Matrix a, DataType type) {
        double largest = type == DataType.FLOAT16 && a.type() != type ? a.device().largest(a) : 0;
        if (Math.abs(largest) > LARGEST_FLOAT16) {
            throw new IllegalArgumentException(what + " contains " + largest + "; FLOAT16 has numbers up to " + LARGEST_FLOAT16);
        }
    }

    private interface Move {
        /**
         * @param rows some rows of the matrix
         * @param panel as large, of the other type
         * @param offset of those rows in host memory, in bytes
         */
        void rows(Matrix rows, Matrix panel, long offset);
    }

    private static void panels(Matrix a, DataType type, Move move) {
        long most = Math.clamp(PANEL / a.cols(), 1, a.rows());
        try (Matrix panel = a.device().temporary(type, most, a.cols())) {
            for (long i = 0; i < a.rows(); i += most) {
                long end = Math.min(a.rows(), i + most);
                move.rows(a.rows(i, end), panel.rows(0, end - i), i * a.cols() * type.bytes());
            }
        }
    }
}
