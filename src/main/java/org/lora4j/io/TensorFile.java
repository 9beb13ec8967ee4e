package org.lora4j.io;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** One safetensors file, open and mapped. */
final class TensorFile implements AutoCloseable {
    private static final long PIECE = 1 << 20;

    final Path path;
    final TensorHeader header;
    private final FileChannel channel;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment mapping;

    private TensorFile(Path path, FileChannel channel) throws IOException {
        this.path = path;
        this.channel = channel;
        try {
            long size = channel.size();
            header = TensorHeader.read(path, channel, size);
            mapping = channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
        } catch (IOException | RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    static TensorFile open(Path path) throws IOException {
        checkRegular(path);
        return new TensorFile(path, FileChannel.open(path, StandardOpenOption.READ));
    }

    /** Refuses a folder and what reading could wait on for ever. */
    static void checkRegular(Path path) throws IOException {
        if (!Files.exists(path)) {
            throw new NoSuchFileException(path.toString());
        }
        if (!Files.isRegularFile(path)) {
            throw new SafeTensorsException(path, null, "it is not a regular file");
        }
    }

    /** The mapped bytes of a tensor. */
    MemorySegment segment(TensorHeader.Entry entry) {
        return mapping.asSlice(header.dataStart() + entry.begin(), entry.end() - entry.begin());
    }

    /** Reads a tensor through the file, not the mapping, piece by piece: a file that was cut meanwhile is an exception. */
    void read(TensorHeader.Entry entry, TensorData.Sink sink) throws IOException {
        long bytes = entry.end() - entry.begin();
        try (Arena staging = Arena.ofConfined()) {
            MemorySegment piece = staging.allocate(Math.min(bytes, PIECE), 8);
            for (long done = 0; done < bytes;) {
                MemorySegment part = piece.asSlice(0, Math.min(PIECE, bytes - done));
                ByteBuffer buffer = part.asByteBuffer();
                while (buffer.hasRemaining()) {
                    if (channel.read(buffer, header.dataStart() + entry.begin() + done + buffer.position()) < 0) {
                        throw new SafeTensorsException(path, entry.name(), "the file was cut to " + channel.size() + " bytes after it was opened with "
                                + mapping.byteSize());
                    }
                }
                sink.write(part);
                done += part.byteSize();
            }
        }
    }

    /** Ends the mapping and closes the file. Closing again does nothing. */
    @Override
    public void close() throws IOException {
        if (arena.scope().isAlive()) {
            arena.close();
        }
        channel.close();
    }
}
