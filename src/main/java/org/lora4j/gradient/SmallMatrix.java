package org.lora4j.gradient;

import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** A matrix of some hundred rows and columns in float64 on the heap. */
record SmallMatrix(int rows, int cols, double[] data) {
    static SmallMatrix of(Matrix a) {
        return new SmallMatrix((int) a.rows(), (int) a.cols(), a.read());
    }

    Matrix on(Device device) {
        Matrix a = device.allocate(DataType.FLOAT64, rows, cols);
        a.write(data);
        return a;
    }

    double at(int i, int j) {
        return data[i * cols + j];
    }

    /** This·b, multiplied by {@code device}. */
    SmallMatrix times(Device device, SmallMatrix b) {
        if (rows == 0 || b.cols == 0) {
            return zeros(rows, b.cols);
        }
        try (Matrix left = on(device); Matrix right = b.on(device); Matrix product = device.allocate(DataType.FLOAT64, rows, b.cols)) {
            device.gemm(1, left, Op.NONE, right, Op.NONE, 0, product);
            return of(product);
        }
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

    /** A copy of some rows and columns, each from the first (included) to the second (excluded). */
    SmallMatrix block(int fromRow, int toRow, int fromCol, int toCol) {
        double[] part = new double[(toRow - fromRow) * (toCol - fromCol)];
        for (int i = fromRow; i < toRow; i++) {
            System.arraycopy(data, i * cols + fromCol, part, (i - fromRow) * (toCol - fromCol), toCol - fromCol);
        }
        return new SmallMatrix(toRow - fromRow, toCol - fromCol, part);
    }

    static SmallMatrix identity(int n) {
        double[] ones = new double[n * n];
        for (int i = 0; i < n; i++) {
            ones[i * n + i] = 1;
        }
        return new SmallMatrix(n, n, ones);
    }

    static SmallMatrix zeros(int rows, int cols) {
        return new SmallMatrix(rows, cols, new double[rows * cols]);
    }

    /** This with {@code b} below it. */
    SmallMatrix above(SmallMatrix b) {
        double[] both = Arrays.copyOf(data, data.length + b.data.length);
        System.arraycopy(b.data, 0, both, data.length, b.data.length);
        return new SmallMatrix(rows + b.rows, cols, both);
    }

    /** This with {@code b} on its right. */
    SmallMatrix beside(SmallMatrix b) {
        return transpose().above(b.transpose()).transpose();
    }

    /** This + α·b. */
    SmallMatrix plus(double alpha, SmallMatrix b) {
        double[] sum = data.clone();
        for (int i = 0; i < sum.length; i++) {
            sum[i] += alpha * b.data[i];
        }
        return new SmallMatrix(rows, cols, sum);
    }

    /** α·this. */
    SmallMatrix scaled(double alpha) {
        return plus(alpha - 1, this);
    }

    /** diag(d)·this. */
    SmallMatrix scaledRows(double[] d) {
        double[] scaled = new double[data.length];
        for (int i = 0; i < scaled.length; i++) {
            scaled[i] = d[i / cols] * data[i];
        }
        return new SmallMatrix(rows, cols, scaled);
    }

    /** The mean square of row i. */
    double meanSquare(int i) {
        double sum = 0;
        for (int j = 0; j < cols; j++) {
            sum += at(i, j) * at(i, j);
        }
        return sum / cols;
    }

    /** rowsᵀ·diag(values)·rows, the values descending. */
    record Eigen(double[] values, SmallMatrix rows) {
        /** How many values are above {@code threshold} times the largest. */
        int rank(double threshold) {
            int rank = 0;
            while (rank < values.length && values[rank] > threshold * values[0]) {
                rank++;
            }
            return rank;
        }

        /** diag(f(values))·rows, of the leading {@code count}. */
        SmallMatrix scaled(int count, DoubleUnaryOperator f) {
            return rows.block(0, count, 0, rows.cols()).scaledRows(Arrays.stream(values, 0, count).map(f).toArray());
        }
    }

    /** Of this, which is symmetric. */
    Eigen eigen(Device device) {
        try (Matrix a = on(device); Matrix w = device.allocate(DataType.FLOAT64, 1, rows)) {
            device.symmetricEigen(a, w);
            double[] ascending = w.read();
            double[] values = new double[rows];
            SmallMatrix vectors = of(a);
            SmallMatrix descending = new SmallMatrix(rows, cols, new double[data.length]);
            for (int i = 0; i < rows; i++) {
                values[i] = ascending[rows - 1 - i];
                System.arraycopy(vectors.data, (rows - 1 - i) * cols, descending.data, i * cols, cols);
            }
            return new Eigen(values, descending);
        }
    }
}
