package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** A small dense matrix in float64 with operations as plain loops: what the devices are compared with. */
public record Reference(int rows, int cols, double[] data) {
    public static Reference zeros(int rows, int cols) {
        return new Reference(rows, cols, new double[rows * cols]);
    }

    public static Reference identity(int n) {
        Reference a = zeros(n, n);
        for (int i = 0; i < n; i++) {
            a.data[i * n + i] = 1;
        }
        return a;
    }

    /** Standard normal numbers, rounded to {@code type} so that a device holds exactly these. */
    public static Reference random(int rows, int cols, DataType type, Random random) {
        Reference a = zeros(rows, cols);
        for (int i = 0; i < a.data.length; i++) {
            a.data[i] = Types.round(random.nextGaussian(), type);
        }
        return a;
    }

    /** Every element rounded to {@code type}. */
    public Reference rounded(DataType type) {
        Reference a = zeros(rows, cols);
        for (int i = 0; i < data.length; i++) {
            a.data[i] = Types.round(data[i], type);
        }
        return a;
    }

    /** What a device holds in {@code m}. */
    public static Reference of(Matrix m) {
        return new Reference((int) m.rows(), (int) m.cols(), m.read());
    }

    /** This on a device, without gaps. */
    public Matrix on(Device device, DataType type) {
        Matrix m = device.allocate(type, rows, cols);
        m.write(data);
        return m;
    }

    /** This in host memory, rows {@code leadingDimension} elements apart; between them it is zero. */
    public MemorySegment inHostMemory(DataType type, long leadingDimension) {
        MemorySegment memory = MemorySegment.ofArray(new byte[Math.toIntExact(rows * leadingDimension * type.bytes())]);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                put(memory, type, i * leadingDimension + j, at(i, j));
            }
        }
        return memory;
    }

    /** Writes a number that {@code type} holds exactly. */
    public static void put(MemorySegment memory, DataType type, long index, double x) {
        switch (type) {
            case FLOAT64 -> memory.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, 8 * index, x);
            case FLOAT32 -> memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * index, (float) x);
            case FLOAT16 -> memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * index, Float.floatToFloat16((float) x));
            case BFLOAT16 -> memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * index, (short) (Float.floatToRawIntBits((float) x) >>> 16));
        }
    }

    public double at(int i, int j) {
        return data[i * cols + j];
    }

    public Reference times(Reference b) {
        assertEquals(cols, b.rows);
        Reference c = zeros(rows, b.cols);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < b.cols; j++) {
                double sum = 0;
                for (int k = 0; k < cols; k++) {
                    sum += at(i, k) * b.at(k, j);
                }
                c.data[i * b.cols + j] = sum;
            }
        }
        return c;
    }

    public Reference transpose() {
        Reference t = zeros(cols, rows);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                t.data[j * rows + i] = at(i, j);
            }
        }
        return t;
    }

    /** this + factor·b. */
    public Reference plus(double factor, Reference b) {
        assertEquals(rows, b.rows);
        assertEquals(cols, b.cols);
        Reference c = zeros(rows, cols);
        for (int i = 0; i < data.length; i++) {
            c.data[i] = data[i] + factor * b.data[i];
        }
        return c;
    }

    public Reference times(double factor) {
        return zeros(rows, cols).plus(factor, this);
    }

    /** |aᵢⱼ|. */
    public Reference magnitudes() {
        Reference c = zeros(rows, cols);
        for (int i = 0; i < data.length; i++) {
            c.data[i] = Math.abs(data[i]);
        }
        return c;
    }

    public Reference rows(int from, int to) {
        return new Reference(to - from, cols, java.util.Arrays.copyOfRange(data, from * cols, to * cols));
    }

    public Reference columns(int from, int to) {
        return transpose().rows(from, to).transpose();
    }

    /** Σ aᵢⱼ·bᵢⱼ. */
    public double dot(Reference b) {
        double sum = 0;
        for (int i = 0; i < data.length; i++) {
            sum += data[i] * b.data[i];
        }
        return sum;
    }

    /** The Frobenius norm. */
    public double norm() {
        return Math.sqrt(dot(this));
    }

    /**
     * How far from this, the true result, a device's may be.
     *
     * <p>A sum of k terms whose magnitudes add up to {@code scale} is left by k roundings of random sign within
     * <pre>
     *     E = 4·ε·√k·scale
     * </pre>
     * (oracle O5), where ε is the distance of 1 to the next number of the type that is summed in. In float32 and float64 that
     * is all: storing the result is one of the k roundings.
     *
     * <p>16 bits are summed in float32; storing the sum s then is one rounding more, to s·(1 + δ) + μ with |δ| ≤ u and, for
     * subnormal results, |μ| at most half of the least positive number. And where an operand had been stored in 16 bits before
     * (T, dT, a weight, the first of two products), within e of what it should be, the terms and so s are off by
     * {@code carried} = Σ e·|other operand|. Together
     * <pre>
     *     S = carried + 4·ε·√k·(scale + carried)      |s − this| ≤ S
     *     |result − this| ≤ S + u·(|this| + S) + μ     of 16 bits
     * </pre>
     * This holds as long as nothing overflows.
     *
     * @param type of the result
     * @param carried what {@link #stored} says of the operands, by the magnitudes they are multiplied with
     */
    public Reference allowed(DataType type, double k, Reference scale, Reference carried) {
        double relative = 4 * 2 * type.accumulation().unitRoundoff() * Math.sqrt(k);
        Reference allowed = zeros(rows, cols);
        for (int i = 0; i < data.length; i++) {
            double sum = carried.data[i] + relative * (scale.data[i] + carried.data[i]);
            allowed.data[i] = Types.isNarrow(type) ? sum + type.unitRoundoff() * (Math.abs(data[i]) + sum) + Types.least(type) / 2 : sum;
        }
        return allowed;
    }

    /**
     * How far from this an intermediate result may be, which later ones are made of: {@link #allowed} for 16 bits. Zeros for
     * float32 and float64, where the k of the later result counts the roundings of this one too.
     */
    public Reference stored(DataType type, double k, Reference scale, Reference carried) {
        return Types.isNarrow(type) ? allowed(type, k, scale, carried) : zeros(rows, cols);
    }

    /** Asserts that every element of {@code actual} is as near as {@link #allowed} without anything carried. */
    public void assertClose(String what, Reference actual, DataType type, double k, Reference scale) {
        assertClose(what, actual, type, k, scale, zeros(rows, cols));
    }

    /** Asserts that every element of {@code actual} is as near as {@link #allowed}. */
    public void assertClose(String what, Reference actual, DataType type, double k, Reference scale, Reference carried) {
        assertEquals(rows, actual.rows, what);
        assertEquals(cols, actual.cols, what);
        Reference allowed = allowed(type, k, scale, carried);
        for (int i = 0; i < data.length; i++) {
            if (!(Math.abs(actual.data[i] - data[i]) <= allowed.data[i])) {
                fail(what + ": element (" + i / cols + ", " + i % cols + ") is " + actual.data[i] + ", should be " + data[i] + " ± " + allowed.data[i]);
            }
        }
    }

    /** Asserts ‖actual − this‖ ≤ tolerance·‖this‖ (Frobenius). */
    public void assertNear(String what, Reference actual, double tolerance) {
        double error = actual.plus(-1, this).norm();
        if (!(error <= tolerance * norm())) {
            fail(what + ": relative error " + error / norm() + " exceeds " + tolerance);
        }
    }
}
