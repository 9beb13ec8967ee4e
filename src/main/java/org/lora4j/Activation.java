package org.lora4j;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * The rows that one side of a layer works on, with spare columns behind them: [values | 1 | T] or [values | T].
 *
 * <p>The bordered rows are allocated when they are first asked for. For values that stand in the caller's own memory
 * there is a border alone, [1 | T], from the start.
 */
final class Activation implements AutoCloseable {
    private final Device device;
    private final DataType type;
    private final long maxBatch;
    private final long features;
    private final long tColumn;
    private final long rank;
    private final boolean ones;

    /** [1 | T] for values that stand elsewhere (maxBatch, tColumn − features + r). */
    final Matrix border;
    private final Matrix borderT; // (maxBatch, r)
    private Matrix bordered; // [values | 1 | T] (maxBatch, tColumn + r), null until asked for
    private Matrix borderedT; // (maxBatch, r)

    /** @param ones whether the first spare column is all ones, as the bias needs it */
    Activation(Device device, DataType type, long maxBatch, long features, long tColumn, long rank, boolean ones) {
        this.device = device;
        this.type = type;
        this.maxBatch = maxBatch;
        this.features = features;
        this.tColumn = tColumn;
        this.rank = rank;
        this.ones = ones;
        border = device.allocate(type, maxBatch, tColumn - features + rank, device.aligned(type, tColumn - features + rank));
        borderT = border.columns(tColumn - features, tColumn - features + rank);
        if (ones) {
            device.fill(border.columns(0, 1), 1);
        }
    }

    /** The first {@code batch} rows of values, bordered. */
    Matrix values(long batch) {
        if (bordered == null) {
            bordered = device.allocate(type, maxBatch, tColumn + rank, device.aligned(type, tColumn + rank));
            borderedT = bordered.columns(tColumn, tColumn + rank);
            if (ones) {
                device.fill(bordered.columns(features, features + 1), 1);
            }
        }
        return bordered.view(0, batch, 0, features);
    }

    /** Whether {@code x} stands at the start of the bordered rows. */
    boolean holds(Matrix x) {
        return bordered != null && x.sharesMemoryWith(bordered) && x.segment().address() == bordered.segment().address();
    }

    /** [values | 1 | T]. */
    Matrix bordered() {
        return bordered;
    }

    /** T, beside the values or alone. */
    Matrix t(boolean beside) {
        return beside ? borderedT : borderT;
    }

    @Override
    public void close() {
        border.close();
        if (bordered != null) {
            bordered.close();
        }
    }
}
