package org.lora4j.gradient;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.gradient.ThinColumns.Part;

/**
 * P·Qᵀ (m×n), the best approximation so far of a sum of products dYᵀ·X, as the gradient of some s rows: P (m×s) holds dYᵀ and
 * Q (n×s) holds Xᵀ of those that were added; see {@link GradientSketch}. What runs out of memory in an addition is half done.
 */
final class RunningProduct implements AutoCloseable {
    private final Device device;
    private final Matrix left; // P (m,s), of which the first `used` columns count
    private final Matrix right; // Q (n,s)
    private final Matrix identity;
    private int used;

    /** Of 0. */
    RunningProduct(Device device, DataType type, long m, long n, int s) {
        this.device = device;
        int step = Math.min(s, 64);
        Matrix[] made = Allocations.all(device, type, new long[][] {{m, s}, {n, s}, {step, step}});
        left = made[0];
        right = made[1];
        identity = made[2];
        try {
            identity.write(SmallMatrix.identity(step).data());
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** How many triplets are kept when P and Q are full: seven eighths of s. */
    int kept() {
        int s = (int) left.cols();
        return s - Math.max(1, s / 8);
    }

    /** Adds dYᵀ·X: behind what is there where there is room, else the sum is replaced by its leading triplets. */
    void add(Matrix x, Matrix dy, long seed) {
        if (x.rows() > left.cols()) {
            used = new GradientSum(columns(left), columns(right), dy, x).replace(left, right, kept(), seed);
        } else if (x.rows() > left.cols() - used) {
            replace(new Part(dy, Op.TRANSPOSE), new Part(x, Op.TRANSPOSE));
        } else {
            for (long i = 0; i < x.rows(); i += identity.rows()) { // transposed by products with the identity
                long to = Math.min(i + identity.rows(), x.rows());
                Matrix ones = identity.view(0, to - i, 0, to - i);
                device.gemm(1, dy.rows(i, to), Op.TRANSPOSE, ones, Op.NONE, 0, left.columns(used, used + to - i));
                device.gemm(1, x.rows(i, to), Op.TRANSPOSE, ones, Op.NONE, 0, right.columns(used, used + to - i));
                used += (int) (to - i);
            }
        }
    }

    /** Adds another's P·Qᵀ, as the gradient of some rows. */
    void add(RunningProduct other) {
        Matrix p = other.columns(other.left);
        Matrix q = other.columns(other.right);
        if (other.used > left.cols() - used) {
            replace(new Part(p), new Part(q));
        } else {
            device.copy(p, left.columns(used, used + other.used));
            device.copy(q, right.columns(used, used + other.used));
            used += other.used;
        }
    }

    /** P·Qᵀ becomes the best approximation of P·Qᵀ + p·qᵀ, U·√S and V·√S of its leading triplets. */
    private void replace(Part p, Part q) {
        ThinProduct sum = ThinProduct.of(new Part[] {new Part(columns(left)), p}, new Part[] {new Part(columns(right)), q});
        ProductSvd t = sum.svd(kept());
        double[] root = new double[t.values().length];
        for (int i = 0; i < root.length; i++) {
            root[i] = Math.sqrt(t.values()[i]);
        }
        ThinColumns.combine(t.left().transpose().scaledRows(root).transpose(), left.columns(0, root.length), sum.left());
        ThinColumns.combine(t.right().transpose().scaledRows(root).transpose(), right.columns(0, root.length), sum.right());
        used = root.length;
    }

    private Matrix columns(Matrix a) {
        return a.columns(0, used);
    }

    /** P·Qᵀ, for its triplets. */
    ThinProduct product() {
        return ThinProduct.of(new Part[] {new Part(columns(left))}, new Part[] {new Part(columns(right))});
    }

    /** P, all columns. */
    Matrix left() {
        return left;
    }

    /** Q, all columns. */
    Matrix right() {
        return right;
    }

    /** How many columns of P and Q count. */
    int used() {
        return used;
    }

    /** Called when P and Q were filled from a file. */
    void use(int columns) {
        used = columns;
    }

    @Override
    public void close() {
        Allocations.close(left, right, identity);
    }
}
