package org.lora4j.io;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

import org.lora4j.device.Matrix;

/** Copies between tensors and the matrices of a device, in blocks of the tensor's rows, as they are or transposed. */
final class MatrixBlocks implements AutoCloseable {
    private static final long BLOCK_BYTES = 4 << 20;

    private final Matrix matrix;
    private final boolean transposed;
    private final long rows; // of the tensor
    private final long cols;
    private final int width; // of the matrix's elements
    private final long blockRows;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment block; // (blockRows, cols)
    private final MemorySegment turned; // (cols, blockRows); null where nothing is transposed

    private MatrixBlocks(Matrix matrix, boolean transposed) {
        this.matrix = matrix;
        this.transposed = transposed;
        this.rows = transposed ? matrix.cols() : matrix.rows();
        this.cols = transposed ? matrix.rows() : matrix.cols();
        this.width = matrix.type().bytes();
        this.blockRows = Math.clamp(BLOCK_BYTES / Math.max(1, cols * width), 1, Math.max(1, rows));
        this.block = arena.allocate(blockRows * cols * width, 8);
        this.turned = transposed ? arena.allocate(blockRows * cols * width, 8) : null;
    }

    /** matrix ← data, or its transpose. */
    static void copy(TensorData data, Matrix matrix, boolean transposed) throws IOException {
        checkShape(data, matrix, transposed);
        Conversion conversion = new Conversion(data.type(), TensorType.of(matrix.type()));
        try (MatrixBlocks blocks = new MatrixBlocks(matrix, transposed)) {
            long[] row = {0};
            long[] filled = {0};
            data.writeTo(piece -> {
                long sourceWidth = data.type().bytes();
                for (long at = 0; at < piece.byteSize();) {
                    long room = (Math.min(blocks.blockRows, blocks.rows - row[0]) * blocks.cols * blocks.width - filled[0]) / blocks.width;
                    long bytes = Math.min(room * sourceWidth, piece.byteSize() - at);
                    if (bytes == 0) {
                        throw new IllegalStateException("the source writes more than its type and shape take");
                    }
                    filled[0] += conversion.convert(piece.asSlice(at, bytes), blocks.block.asSlice(filled[0]));
                    at += bytes;
                    long whole = Math.min(blocks.blockRows, blocks.rows - row[0]);
                    if (filled[0] == whole * blocks.cols * blocks.width) {
                        blocks.load(row[0], whole);
                        row[0] += whole;
                        filled[0] = 0;
                    }
                }
            });
            Conversion.checkComplete((row[0] * blocks.cols * blocks.width) + filled[0], blocks.rows * blocks.cols * blocks.width);
        }
    }

    private static void checkShape(TensorData data, Matrix matrix, boolean transposed) {
        long[] shape = data.shape();
        long rows = transposed ? matrix.cols() : matrix.rows();
        long cols = transposed ? matrix.rows() : matrix.cols();
        boolean vector = shape.length == 1 && Math.min(rows, cols) == 1 && shape[0] == Math.max(rows, cols);
        if (!vector && (shape.length != 2 || shape[0] != rows || shape[1] != cols)) {
            throw new IllegalArgumentException("a tensor of shape " + TensorHeader.shown(shape) + " for a matrix of " + matrix.rows() + "×" + matrix.cols()
                    + (transposed ? ", transposed" : ""));
        }
    }

    /** The elements of a matrix, or of its transpose. */
    static TensorData of(Matrix matrix, boolean transposed) {
        TensorData.Source source = sink -> {
            try (MatrixBlocks blocks = new MatrixBlocks(matrix, transposed)) {
                for (long row = 0; row < blocks.rows && blocks.cols > 0; row += blocks.blockRows) {
                    sink.write(blocks.store(row, Math.min(blocks.blockRows, blocks.rows - row)));
                }
            }
        };
        TensorType type = TensorType.of(matrix.type());
        return transposed ? TensorData.of(type, source, matrix.cols(), matrix.rows()) : TensorData.of(type, source, matrix.rows(), matrix.cols());
    }

    /** The tensor's rows from {@code row} on, which fill the block, to the device. */
    private void load(long row, long count) {
        if (transposed) {
            transpose(block, count, cols, turned);
            matrix.device().copyIn(turned, count, matrix.columns(row, row + count));
        } else {
            matrix.device().copyIn(block, Math.max(1, cols), matrix.rows(row, row + count));
        }
    }

    private MemorySegment store(long row, long count) {
        if (transposed) {
            matrix.device().copyOut(matrix.columns(row, row + count), turned, count);
            transpose(turned, cols, count, block);
        } else {
            matrix.device().copyOut(matrix.rows(row, row + count), block, Math.max(1, cols));
        }
        return block.asSlice(0, count * cols * width);
    }

    /** b (cols,rows) = aᵀ, a (rows,cols). */
    private void transpose(MemorySegment a, long rows, long cols, MemorySegment b) {
        for (long i = 0; i < rows; i++) {
            for (long j = 0; j < cols; j++) {
                switch (width) {
                    case 2 -> b.setAtIndex(ValueLayout.JAVA_SHORT, j * rows + i, a.getAtIndex(ValueLayout.JAVA_SHORT, i * cols + j));
                    case 4 -> b.setAtIndex(ValueLayout.JAVA_INT, j * rows + i, a.getAtIndex(ValueLayout.JAVA_INT, i * cols + j));
                    default -> b.setAtIndex(ValueLayout.JAVA_LONG, j * rows + i, a.getAtIndex(ValueLayout.JAVA_LONG, i * cols + j));
                }
            }
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
