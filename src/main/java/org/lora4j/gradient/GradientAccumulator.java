package org.lora4j.gradient;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * The gradient of a linear layer's weight, G = Σ dYᵀ·X (m×n), summed over micro-batches in a matrix of its own.
 *
 * <p>Trainers take the loss of a micro-batch as the mean over its rows, so that {@link #mean()} divides by the number of
 * micro-batches: it is the gradient of the mean loss over all of them where they are of equal size. Where they are not,
 * or the loss is a sum, {@link #sum()} of suitably scaled dY is; LoRA-GA itself needs only G's direction.
 */
public final class GradientAccumulator implements AutoCloseable {
    private final Device device;
    private final Matrix gradient; // (m,n)
    private long batches;
    private boolean averaged;
    private boolean closed;

    /**
     * Allocates G = 0.
     *
     * @param m out features
     * @param n in features
     */
    public GradientAccumulator(Device device, DataType type, long m, long n) {
        Batches.checkShape(m, n);
        this.device = device;
        this.gradient = device.allocate(type, m, n);
    }

    /**
     * G += dYᵀ·X, one product; nothing is allocated.
     *
     * @param x the layer's input, b×n, of G's type, or of 16 bits where G is float32; not modified
     * @param dy gradient of the loss with respect to the layer's output, b×m, of {@code x}'s type, not modified
     * @throws IllegalArgumentException when shape, type or device is wrong; G is then as it was
     * @throws IllegalStateException after {@link #mean()} until {@link #reset()}, and after close
     */
    public void add(Matrix x, Matrix dy) {
        Batches.checkOpen(closed, "gradient accumulator");
        if (averaged) {
            throw new IllegalStateException("add: the gradient was averaged; reset it first");
        }
        DataType type = x.type().accumulation() == gradient.type() ? x.type() : gradient.type();
        Batches.check(device, type, gradient.rows(), gradient.cols(), x, dy);
        device.gemm(1, dy, Op.TRANSPOSE, x, Op.NONE, 1, gradient);
        batches++;
    }

    /** How many micro-batches were added. */
    public long batches() {
        return batches;
    }

    /**
     * G itself, not a copy: the sum so far.
     *
     * @throws IllegalStateException after {@link #mean()} until {@link #reset()}, and after close
     */
    public Matrix sum() {
        Batches.checkOpen(closed, "gradient accumulator");
        if (averaged) {
            throw new IllegalStateException("sum: the gradient was averaged; reset it first");
        }
        return gradient;
    }

    /**
     * G divided in place by the number of micro-batches. This ends the accumulation; asking again returns the same matrix.
     *
     * @throws IllegalStateException when nothing was added, and after close
     */
    public Matrix mean() {
        Batches.checkOpen(closed, "gradient accumulator");
        if (batches == 0) {
            throw new IllegalStateException("mean: no micro-batch was added");
        }
        if (!averaged) {
            device.scale(1.0 / batches, gradient);
            averaged = true;
        }
        return gradient;
    }

    /** G ← 0, with no micro-batch counted. */
    public void reset() {
        Batches.checkOpen(closed, "gradient accumulator");
        device.fill(gradient, 0);
        batches = 0;
        averaged = false;
    }

    /** Frees G. Closing again does nothing. */
    @Override
    public void close() {
        gradient.close();
        closed = true;
    }
}
