package org.lora4j.gradient;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.file.AtomicFile;

/**
 * The file of a {@link GradientSketch}, little-endian:
 * <pre>
 *     8 bytes  "lora4jGS"         4  version, 2            4  bytes of an element: 4 (float32) or 8 (float64)
 *     8        m                  8  n                     8  l                8  seed
 *     8        micro-batches      8  their rows        8  columns of P and Q that count
 *     m·(l−p) elements of P, n·(l−p) of Q, m·p of G·Θ, n·p of Gᵀ·Ξ, row after row
 *     8 bytes  CRC-32C of all before
 * </pre>
 */
final class SketchFile {
    private static final long MAGIC = 0x5347_6a34_6172_6f6cL; // "lora4jGS" read as little-endian
    private static final int VERSION = 2;
    private static final int HEADER = 72;
    private static final int CHECKSUM = 8;
    private static final int PIECE = 1 << 16;

    private SketchFile() {}

    static void save(Path file, GradientSketch sketch) throws IOException {
        try (AtomicFile target = AtomicFile.create(file)) {
            CRC32C checksum = new CRC32C();
            ByteBuffer header = buffer(HEADER);
            header.putLong(MAGIC).putInt(VERSION).putInt(sketch.type().bytes()).putLong(sketch.rows()).putLong(sketch.cols())
                    .putLong(sketch.columns()).putLong(sketch.seed()).putLong(sketch.batches()).putLong(sketch.batchRows())
                    .putLong(sketch.used());
            write(target, header.flip(), checksum);
            for (Matrix a : sketch.state()) {
                for (long i = 0; i < a.rows(); i++) {
                    ByteBuffer row = buffer((int) a.cols() * a.type().bytes());
                    for (double x : a.rows(i, i + 1).read()) {
                        if (a.type() == DataType.FLOAT32) {
                            row.putFloat((float) x);
                        } else {
                            row.putDouble(x);
                        }
                    }
                    write(target, row.flip(), checksum);
                }
            }
            write(target, buffer(CHECKSUM).putLong(checksum.getValue()).flip(), checksum);
            target.commit();
        }
    }

    static GradientSketch load(Device device, Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            if (channel.size() < HEADER + CHECKSUM) {
                throw new IOException(file + ": " + channel.size() + " bytes are too few for a gradient sketch");
            }
            ByteBuffer header = read(channel, buffer(HEADER), file);
            if (header.getLong() != MAGIC) {
                throw new IOException(file + " is not a gradient sketch");
            }
            int version = header.getInt();
            if (version != VERSION) {
                throw new IOException(file + " is a gradient sketch of version " + version + "; this library reads version " + VERSION);
            }
            int bytes = header.getInt();
            long m = header.getLong();
            long n = header.getLong();
            long l = header.getLong();
            checkSize(file, channel.size(), bytes, m, n, l);
            long seed = header.getLong();
            long batches = header.getLong();
            long rows = header.getLong();
            long used = header.getLong();
            checkChecksum(channel, file);
            if (batches < 0 || rows < 0 || used < 0 || used > l - GradientSketch.probes(l)) {
                throw new IOException(file + " claims " + batches + " micro-batches of " + rows + " rows in " + used + " columns");
            }
            GradientSketch sketch = new GradientSketch(device, bytes == 4 ? DataType.FLOAT32 : DataType.FLOAT64, m, n, (int) l, seed);
            try {
                channel.position(HEADER);
                for (Matrix a : sketch.state()) {
                    fill(channel, a, file);
                }
                sketch.count(batches, rows, (int) used);
                return sketch;
            } catch (IOException | RuntimeException e) {
                sketch.close();
                throw e;
            }
        }
    }

    private static void checkSize(Path file, long size, int bytes, long m, long n, long l) throws IOException {
        String claim = file + " claims " + m + "×" + n + ", l = " + l + ", elements of " + bytes + " bytes";
        if ((bytes != 4 && bytes != 8) || m < 1 || n < 1 || l < 8 || l > Math.min(m, n) || l > Integer.MAX_VALUE / 8) {
            throw new IOException(claim + ", which no gradient sketch has: it is damaged");
        }
        long elements = (size - HEADER - CHECKSUM) / bytes;
        if ((size - HEADER - CHECKSUM) % (bytes * l) != 0 || m > elements || n > elements || m + n != elements / l) {
            throw new IOException(claim + ", which don't make the " + size + " bytes that it has: it is damaged or not complete");
        }
    }

    private static void checkChecksum(FileChannel channel, Path file) throws IOException {
        CRC32C checksum = new CRC32C();
        channel.position(0);
        for (long left = channel.size() - CHECKSUM; left > 0;) {
            ByteBuffer piece = read(channel, buffer((int) Math.min(left, PIECE)), file);
            left -= piece.remaining();
            checksum.update(piece);
        }
        if (read(channel, buffer(CHECKSUM), file).getLong() != checksum.getValue()) {
            throw new IOException(file + " is damaged: its checksum is wrong");
        }
    }

    private static void fill(FileChannel channel, Matrix a, Path file) throws IOException {
        double[] values = new double[(int) a.cols()];
        for (long i = 0; i < a.rows(); i++) {
            ByteBuffer row = read(channel, buffer(values.length * a.type().bytes()), file);
            for (int j = 0; j < values.length; j++) {
                values[j] = a.type() == DataType.FLOAT32 ? row.getFloat() : row.getDouble();
            }
            a.rows(i, i + 1).write(values);
        }
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static void write(AtomicFile target, ByteBuffer bytes, CRC32C checksum) throws IOException {
        checksum.update(bytes.duplicate());
        target.write(MemorySegment.ofBuffer(bytes));
    }

    /** Fills {@code bytes} and flips it. */
    private static ByteBuffer read(FileChannel channel, ByteBuffer bytes, Path file) throws IOException {
        while (bytes.hasRemaining()) {
            if (channel.read(bytes) < 0) {
                throw new EOFException(file + " ended early");
            }
        }
        return bytes.flip();
    }
}
