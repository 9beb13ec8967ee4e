package org.lora4j.gradient;

import java.util.Arrays;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** A matrix of some ten or hundred rows and columns in float64 on the heap: the size at which a device has nothing to gain. */
record SmallMatrix(int rows, int cols, double[] data) {
    static SmallMatrix of(Matrix a) {
        return new SmallMatrix((int) a.rows(), (int) a.cols(), a.read());
    }

    /** α·aᵀ·b of two tall matrices, computed on their device. */
    static SmallMatrix product(double alpha, Matrix a, Matrix b) {
        try (Matrix c = a.device().allocate(a.type(), a.cols(), b.cols())) {
            a.device().gemm(alpha, a, Op.TRANSPOSE, b, Op.NONE, 0, c);
            return of(c);
        }
    }

    Matrix on(Device device) {
        Matrix a = device.allocate(DataType.FLOAT64, rows, cols);
        a.write(data);
        return a;
    }

    double at(int i, int j) {
        return data[i * cols + j];
    }

    SmallMatrix times(SmallMatrix b) {
        double[] c = new double[rows * b.cols];
        for (int i = 0; i < rows; i++) {
            for (int k = 0; k < cols; k++) {
                double x = at(i, k);
                for (int j = 0; j < b.cols; j++) {
                    c[i * b.cols + j] += x * b.data[k * b.cols + j];
                }
            }
        }
        return new SmallMatrix(rows, b.cols, c);
    }

    SmallMatrix transpose() {
        double[] t = new double[data.length];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < cols; j++) {
                t[j * rows + i] = at(i, j);
            }
        }
        return new SmallMatrix(cols, rows, t);
    }

    /** A copy of the rows {@code from} (included) to {@code to} (excluded). */
    SmallMatrix rows(int from, int to) {
        return new SmallMatrix(to - from, cols, Arrays.copyOfRange(data, from * cols, to * cols));
    }

    /** A copy of the columns {@code from} (included) to {@code to} (excluded). */
    SmallMatrix columns(int from, int to) {
        return transpose().rows(from, to).transpose();
    }

    /** This with {@code b} below it. */
    SmallMatrix above(SmallMatrix b) {
        double[] both = Arrays.copyOf(data, data.length + b.data.length);
        System.arraycopy(b.data, 0, both, data.length, b.data.length);
        return new SmallMatrix(rows + b.rows, cols, both);
    }

    SmallMatrix plus(SmallMatrix b) {
        double[] sum = data.clone();
        for (int i = 0; i < sum.length; i++) {
            sum[i] += b.data[i];
        }
        return new SmallMatrix(rows, cols, sum);
    }

    /** diag(d)·this − b. */
    SmallMatrix scaledMinus(double[] d, SmallMatrix b) {
        double[] difference = new double[data.length];
        for (int i = 0; i < difference.length; i++) {
            difference[i] = d[i / cols] * data[i] - b.data[i];
        }
        return new SmallMatrix(rows, cols, difference);
    }

    /** The mean square of row i. */
    double meanSquare(int i) {
        double sum = 0;
        for (int j = 0; j < cols; j++) {
            sum += at(i, j) * at(i, j);
        }
        return sum / cols;
    }

    double norm2() {
        double sum = 0;
        for (double x : data) {
            sum += x * x;
        }
        return sum;
    }
}
