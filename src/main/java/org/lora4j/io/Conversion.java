package org.lora4j.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Conversion between the float types by way of float32, in loops over small arrays that the compiler turns into vector
 * instructions. Equal types are copied.
 */
final class Conversion {
    private static final int CHUNK = 4096; // elements; both arrays of a chunk stay in the first-level cache
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    private final TensorType from;
    private final TensorType to;
    private final float[] floats = new float[CHUNK];
    private final short[] halves = new short[CHUNK];
    private final double[] doubles = new double[CHUNK];
    private final int[] bits = new int[CHUNK]; // of floats

    Conversion(TensorType from, TensorType to) {
        if (from != to && !(from.isFloat() && to.isFloat())) {
            throw new IllegalArgumentException(from + " to " + to + ": only F64, F32, F16 and BF16 are converted");
        }
        this.from = from;
        this.to = to;
    }

    /** Converts the elements of {@code source} to the front of {@code target} and returns the bytes that they take there. */
    long convert(MemorySegment source, MemorySegment target) {
        if (from == to) {
            MemorySegment.copy(source, 0, target, 0, source.byteSize());
            return source.byteSize();
        }
        long count = source.byteSize() / from.bytes();
        if (count * from.bytes() != source.byteSize()) {
            throw new IllegalArgumentException("a piece of " + source.byteSize() + " bytes is no whole number of elements of " + from);
        }
        for (long i = 0; i < count; i += CHUNK) {
            int n = (int) Math.min(CHUNK, count - i);
            load(source, i * from.bytes(), n);
            store(target, i * to.bytes(), n);
        }
        return count * to.bytes();
    }

    private void load(MemorySegment source, long offset, int n) {
        switch (from) {
            case F32 -> MemorySegment.copy(source, FLOAT, offset, floats, 0, n);
            case F64 -> {
                MemorySegment.copy(source, DOUBLE, offset, doubles, 0, n);
                narrow(doubles, floats, n);
            }
            case F16 -> {
                MemorySegment.copy(source, SHORT, offset, halves, 0, n);
                fromHalf(halves, floats, n);
            }
            default -> {
                MemorySegment.copy(source, SHORT, offset, halves, 0, n);
                fromBfloat(halves, floats, n);
            }
        }
    }

    private void store(MemorySegment target, long offset, int n) {
        switch (to) {
            case F32 -> MemorySegment.copy(floats, 0, target, FLOAT, offset, n);
            case F64 -> {
                widen(floats, doubles, n);
                MemorySegment.copy(doubles, 0, target, DOUBLE, offset, n);
            }
            case F16 -> {
                toHalf(floats, halves, n);
                MemorySegment.copy(halves, 0, target, SHORT, offset, n);
            }
            default -> {
                MemorySegment.copy(MemorySegment.ofArray(floats), 0, MemorySegment.ofArray(bits), 0, 4L * n);
                toBfloat(bits, halves, n);
                MemorySegment.copy(halves, 0, target, SHORT, offset, n);
            }
        }
    }

    private static void fromHalf(short[] a, float[] b, int n) {
        for (int i = 0; i < n; i++) {
            b[i] = Float.float16ToFloat(a[i]);
        }
    }

    private static void fromBfloat(short[] a, float[] b, int n) {
        for (int i = 0; i < n; i++) {
            b[i] = Float.intBitsToFloat(a[i] << 16);
        }
    }

    private static void toHalf(float[] a, short[] b, int n) {
        for (int i = 0; i < n; i++) {
            b[i] = Float.floatToFloat16(a[i]);
        }
    }

    /**
     * Rounds to nearest, ties to even: half of a unit less its last bit is added before the lower half is cut off. On ints and in
     * two loops it is twice as fast as on floats and in one, which the compiler does not vectorise.
     */
    private static void toBfloat(int[] bits, short[] b, int n) {
        for (int i = 0; i < n; i++) {
            int x = bits[i];
            int rounded = x + 0x7fff + (x >>> 16 & 1);
            int nan = 0x7f800000 - (x & 0x7fffffff) >> 31; // all ones if x is a NaN, which stays one
            bits[i] = (rounded & ~nan | (x | 0x400000) & nan) >>> 16;
        }
        for (int i = 0; i < n; i++) {
            b[i] = (short) bits[i];
        }
    }

    private static void narrow(double[] a, float[] b, int n) {
        for (int i = 0; i < n; i++) {
            b[i] = (float) a[i];
        }
    }

    private static void widen(float[] a, double[] b, int n) {
        for (int i = 0; i < n; i++) {
            b[i] = a[i];
        }
    }

    /** Whether all elements are finite. */
    static boolean isFinite(TensorData data) throws IOException {
        Conversion conversion = new Conversion(data.type(), TensorType.F64);
        MemorySegment values = MemorySegment.ofArray(conversion.doubles);
        boolean[] finite = {true};
        long width = data.type().bytes();
        data.writeTo(piece -> {
            for (long at = 0; at < piece.byteSize(); at += CHUNK * width) {
                long bytes = conversion.convert(piece.asSlice(at, Math.min(CHUNK * width, piece.byteSize() - at)), values);
                finite[0] &= isFinite(conversion.doubles, (int) (bytes / Double.BYTES));
            }
        });
        return finite[0];
    }

    private static boolean isFinite(double[] a, int n) {
        double zero = 0;
        for (int i = 0; i < n; i++) {
            zero += a[i] * 0; // NaN from a NaN or an infinity on
        }
        return zero == 0;
    }

    /** Refuses a source that wrote another number of bytes than it should. */
    static void checkComplete(long written, long expected) {
        if (written != expected) {
            throw new IllegalStateException("the source wrote " + written + " bytes; its type and shape take " + expected);
        }
    }

    /** Data converted while they are read. */
    record Converted(TensorData data, TensorType type) implements TensorData {
        Converted {
            new Conversion(data.type(), type);
        }

        @Override
        public long[] shape() {
            return data.shape();
        }

        @Override
        public void writeTo(Sink sink) throws IOException {
            Conversion conversion = new Conversion(data.type(), type);
            MemorySegment chunk = MemorySegment.ofArray(new double[CHUNK]);
            long width = data.type().bytes();
            data.writeTo(piece -> {
                for (long at = 0; at < piece.byteSize(); at += CHUNK * width) {
                    long bytes = conversion.convert(piece.asSlice(at, Math.min(CHUNK * width, piece.byteSize() - at)), chunk);
                    sink.write(chunk.asSlice(0, bytes));
                }
            });
        }
    }
}
