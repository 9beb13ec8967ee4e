package org.lora4j.device;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
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
            } else if (to == DataType.FLOAT64 && from == DataType.FLOAT32) {
                for (long j = 0; j < cols; j++) {
                    target.setAtIndex(JAVA_DOUBLE_UNALIGNED, q + j, source.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j));
                }
            } else if (to == DataType.FLOAT32 && from == DataType.FLOAT64) {
                for (long j = 0; j < cols; j++) {
                    target.setAtIndex(JAVA_FLOAT_UNALIGNED, q + j, (float) source.getAtIndex(JAVA_DOUBLE_UNALIGNED, p + j));
                }
            } else {
                for (long j = 0; j < cols; j++) {
                    to.set(target, q + j, from.get(source, p + j));
                }
            }
        }
    }

    /** Rows {@code from} to {@code to} of {@link Device#uniform}, into memory that begins with the first of them. */
    static void uniform(long seed, DataType type, MemorySegment target, long targetLd, long from, long to, long cols) {
        for (long i = from; i < to; i++) {
            long first = (i - from) * targetLd;
            if (type == DataType.FLOAT32) {
                for (long j = 0; j < cols; j++) {
                    target.setAtIndex(JAVA_FLOAT_UNALIGNED, first + j, (float) uniform(seed, i * cols + j));
                }
            } else {
                for (long j = 0; j < cols; j++) {
                    type.set(target, first + j, uniform(seed, i * cols + j));
                }
            }
        }
    }

    /** Element {@code index} of what {@link Device#uniform} makes: half of a number of SplitMix64. */
    private static double uniform(long seed, long index) {
        long bits = seed + (index / 2 + 1) * 0x9e3779b97f4a7c15L;
        bits = (bits ^ bits >>> 30) * 0xbf58476d1ce4e5b9L;
        bits = (bits ^ bits >>> 27) * 0x94d049bb133111ebL;
        bits ^= bits >>> 31;
        return (int) (index % 2 == 0 ? bits : bits >>> 32) * 0x1p-31;
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

    /** Summed by rows, so that rounding grows with rows + cols and not with their product, and in eight lanes for speed. */
    static double dot(Matrix a, Matrix b) {
        MemorySegment x = a.segment();
        MemorySegment y = b.segment();
        double sum = 0;
        for (long i = 0; i < a.rows(); i++) {
            long p = i * a.leadingDimension();
            long q = i * b.leadingDimension();
            sum += a.type() == DataType.FLOAT32 ? dotFloats(x, p, y, q, a.cols()) : dot(a.type(), x, p, y, q, a.cols());
        }
        return sum;
    }

    private static double dotFloats(MemorySegment x, long p, MemorySegment y, long q, long count) {
        double s0 = 0;
        double s1 = 0;
        double s2 = 0;
        double s3 = 0;
        double s4 = 0;
        double s5 = 0;
        double s6 = 0;
        double s7 = 0;
        long j = 0;
        for (; j < count - 7; j += 8) {
            s0 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j);
            s1 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j + 1) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j + 1);
            s2 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j + 2) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j + 2);
            s3 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j + 3) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j + 3);
            s4 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j + 4) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j + 4);
            s5 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j + 5) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j + 5);
            s6 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j + 6) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j + 6);
            s7 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j + 7) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j + 7);
        }
        for (; j < count; j++) {
            s0 += (double) x.getAtIndex(JAVA_FLOAT_UNALIGNED, p + j) * y.getAtIndex(JAVA_FLOAT_UNALIGNED, q + j);
        }
        return s0 + s1 + (s2 + s3) + (s4 + s5 + (s6 + s7));
    }

    private static double dot(DataType type, MemorySegment x, long p, MemorySegment y, long q, long count) {
        double even = 0;
        double odd = 0;
        long j = 0;
        for (; j < count - 1; j += 2) {
            even += type.get(x, p + j) * type.get(y, q + j);
            odd += type.get(x, p + j + 1) * type.get(y, q + j + 1);
        }
        return j < count ? even + odd + type.get(x, p + j) * type.get(y, q + j) : even + odd;
    }

    static double largest(Matrix a) {
        if (a.type() == DataType.FLOAT32) {
            return largestFloat(a);
        }
        double largest = 0;
        for (long i = 0; i < lines(a); i++) {
            double ofLine = largest(a.type(), a.segment(), i * a.leadingDimension(), lineLength(a));
            if (Double.isNaN(ofLine)) {
                return ofLine;
            }
            largest = Math.abs(ofLine) > Math.abs(largest) ? ofLine : largest;
        }
        return largest;
    }

    private static double largest(DataType type, MemorySegment s, long from, long length) {
        double largest = 0;
        for (long j = from; j < from + length; j++) {
            double x = type.get(s, j);
            largest = Math.abs(x) > Math.abs(largest) || Double.isNaN(x) ? x : largest; // nothing is larger than NaN
        }
        return largest;
    }

    /**
     * First the magnitude, in loops that the JVM makes vectors of, then the element that has it. A loop that did both had an exit that depends on the data:
     * the JVM (25) assumed that it would not be taken, and compiled the method anew each time that it was, for as long as the program ran.
     */
    private static float largestFloat(Matrix a) {
        MemorySegment s = a.segment();
        int most = 0;
        long at = 0;
        for (long i = 0; i < lines(a); i++) {
            int magnitude = magnitude(s, i * a.leadingDimension(), lineLength(a));
            if (magnitude > most) {
                most = magnitude;
                at = i * a.leadingDimension();
            }
        }
        while (most > 0 && (s.getAtIndex(JAVA_INT_UNALIGNED, at) & Integer.MAX_VALUE) != most) {
            at++;
        }
        return most == 0 ? 0 : s.getAtIndex(JAVA_FLOAT_UNALIGNED, at);
    }

    /** The bits of the largest magnitude, or of a NaN: without their signs, floats are in the order of their bits, and NaN is the last. */
    private static int magnitude(MemorySegment s, long from, long length) {
        int largest = 0;
        for (long j = from; j < from + length; j++) {
            largest = Math.max(largest, s.getAtIndex(JAVA_INT_UNALIGNED, j) & Integer.MAX_VALUE);
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
