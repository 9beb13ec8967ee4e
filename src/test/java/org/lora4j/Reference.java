package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

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
            double x = random.nextGaussian();
            a.data[i] = type == DataType.FLOAT32 ? (float) x : x;
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
     * Asserts |actual − this| ≤ 4·ε·√k·scale for every element, the error that k roundings of random sign leave in a sum
     * of k terms whose magnitudes add up to {@code scale} (oracle O5); ε is the distance of 1 to the next number.
     */
    public void assertClose(String what, Reference actual, DataType type, double k, Reference scale) {
        assertEquals(rows, actual.rows, what);
        assertEquals(cols, actual.cols, what);
        double relative = 4 * 2 * type.unitRoundoff() * Math.sqrt(k);
        for (int i = 0; i < data.length; i++) {
            double allowed = relative * scale.data[i];
            if (!(Math.abs(actual.data[i] - data[i]) <= allowed)) {
                fail(what + ": element (" + i / cols + ", " + i % cols + ") is " + actual.data[i] + ", should be " + data[i] + " ± " + allowed);
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
