package org.lora4j.device;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.MemorySegment;

/** The element-wise passes and reductions of the host device. A matrix without gaps between its rows is one long row. */
final class HostElements {
    private HostElements() {}

    /** Copies the rows×cols elements of {@code shape} between memories with their own leading dimensions. */
    static void copy(MemorySegment source, long sourceLd, MemorySegment target, long targetLd, Matrix shape) {
        copy(source, sourceLd, target, targetLd, shape.type().bytes(), shape.rows(), shape.cols());
    }

    /** Copies rows×cols elements of {@code size} bytes. */
    static void copy(MemorySegment source, long sourceLd, MemorySegment target, long targetLd, int size, long rows, long cols) {
        if (cols == 0) {
            return;
        }
        if (sourceLd == cols && targetLd == cols) {
            cols *= rows;
            rows = Math.min(rows, 1);
        }
        for (long i = 0; i < rows; i++) {
            MemorySegment.copy(source, i * sourceLd * size, target, i * targetLd * size, cols * size);
        }
    }

    /** Copies rows×cols elements, each rounded to the target's type. */
    static void convert(MemorySegment source, DataType from, long sourceLd, MemorySegment target, DataType to, long targetLd, long rows, long cols) {
        for (long i = 0; i < rows; i++) {
            long p = i * sourceLd;
            long q = i * targetLd;
            if (to == DataType.FLOAT32 && from == DataType.BFLOAT16) {
                for (long j = 0; j < cols; j++) {
                    target.setAtIndex(JAVA_FLOAT_UNALIGNED, q + j, DataType.widenBfloat16(source.getAtIndex(JAVA_SHORT_UNALIGNED, p + j)));
                }
            } else if (to == DataType.FLOAT32 && from == DataType.FLOAT16) {
                for (long j = 0; j < cols; j++) {
                    target.setAtIndex(JAVA_FLOAT_UNALIGNED, q + j, Float.float16ToFloat(source.getAtIndex(JAVA_SHORT_UNALIGNED, p + j)));
                }
            } else if (to == DataType.BFLOAT16 && from == DataType.FLOAT32) {
                for (long j = 0; j < cols; j++) {
                    target.setAtIndex(JAVA_SHORT_UNALIGNED, q + j, DataType.roundBfloat16(source.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j)));
                }
            } else if (to == DataType.FLOAT16 && from == DataType.FLOAT32) {
                for (long j = 0; j < cols; j++) {
                    target.setAtIndex(JAVA_SHORT_UNALIGNED, q + j, Float.floatToFloat16(source.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j)));
                }
            } else {
                for (long j = 0; j < cols; j++) {
                    to.set(target, q + j, from.get(source, p + j));
                }
            }
        }
    }

    static void fill(Matrix a, double value) {
        MemorySegment s = a.segment();
        for (long i = 0; i < lines(a); i++) {
            long from = i * a.leadingDimension();
            long to = from + lineLength(a);
            switch (a.type()) {
                case FLOAT32 -> {
                    for (long j = from; j < to; j++) {
                        s.setAtIndex(JAVA_FLOAT_UNALIGNED, j, (float) value);
                    }
                }
                case FLOAT64 -> {
                    for (long j = from; j < to; j++) {
                        s.setAtIndex(JAVA_DOUBLE_UNALIGNED, j, value);
                    }
                }
                default -> {
                    for (long j = from; j < to; j++) {
                        a.type().set(s, j, value);
                    }
                }
            }
        }
    }

    static void scale(double alpha, Matrix a) {
        MemorySegment s = a.segment();
        for (long i = 0; i < lines(a); i++) {
            long from = i * a.leadingDimension();
            long to = from + lineLength(a);
            switch (a.type()) {
                case FLOAT32 -> {
                    for (long j = from; j < to; j++) {
                        s.setAtIndex(JAVA_FLOAT_UNALIGNED, j, (float) (alpha * s.getAtIndex(JAVA_FLOAT_UNALIGNED, j)));
                    }
                }
                case FLOAT64 -> {
                    for (long j = from; j < to; j++) {
                        s.setAtIndex(JAVA_DOUBLE_UNALIGNED, j, alpha * s.getAtIndex(JAVA_DOUBLE_UNALIGNED, j));
                    }
                }
                default -> {
                    for (long j = from; j < to; j++) {
                        a.type().set(s, j, alpha * a.type().get(s, j));
                    }
                }
            }
        }
    }

    /** Summed by rows, so that rounding grows with rows + cols and not with their product, and in four lanes for speed. */
    static double dot(Matrix a, Matrix b) {
        MemorySegment x = a.segment();
        MemorySegment y = b.segment();
        double sum = 0;
        for (long i = 0; i < a.rows(); i++) {
            long p = i * a.leadingDimension();
            long q = i * b.leadingDimension();
            double row0 = 0;
            double row1 = 0;
            double row2 = 0;
            double row3 = 0;
            long j = 0;
            for (; j < a.cols() - 3; j += 4) {
                row0 += a.type().get(x, p + j) * b.type().get(y, q + j);
                row1 += a.type().get(x, p + j + 1) * b.type().get(y, q + j + 1);
                row2 += a.type().get(x, p + j + 2) * b.type().get(y, q + j + 2);
                row3 += a.type().get(x, p + j + 3) * b.type().get(y, q + j + 3);
            }
            for (; j < a.cols(); j++) {
                row0 += a.type().get(x, p + j) * b.type().get(y, q + j);
            }
            sum += row0 + row1 + (row2 + row3);
        }
        return sum;
    }

    static double largest(Matrix a) {
        MemorySegment s = a.segment();
        double largest = 0;
        for (long i = 0; i < lines(a); i++) {
            long from = i * a.leadingDimension();
            for (long j = from; j < from + lineLength(a); j++) {
                double x = a.type().get(s, j);
                if (Double.isNaN(x)) {
                    return x;
                }
                if (Math.abs(x) > Math.abs(largest)) {
                    largest = x;
                }
            }
        }
        return largest;
    }

    private static long lines(Matrix a) {
        return a.leadingDimension() == a.cols() ? Math.min(a.rows(), 1) : a.rows();
    }

    private static long lineLength(Matrix a) {
        return a.leadingDimension() == a.cols() ? a.rows() * a.cols() : a.cols();
    }
}
