package org.lora4j.file;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ThreadLocalRandom;

/** A file that is written beside its target and takes its place in one step, when it is complete and on the disk. */
public final class AtomicFile implements AutoCloseable {
    private static final int BUFFER = 1 << 20;

    private final Path target;
    private final Path temporary;
    private final FileChannel channel;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment buffer = arena.allocate(BUFFER, 8);
    private long buffered;
    private boolean finished;
    private boolean committed;

    private AtomicFile(Path target, Path temporary, FileChannel channel) {
        this.target = target;
        this.temporary = temporary;
        this.channel = channel;
    }

    /**
     * A file that is to take the place of {@code file}, or of what a link of that name points to. It gets the permissions that
     * any new file gets.
     *
     * @throws IOException when it can't be made, or {@code file} is a link that points nowhere
     */
    public static AtomicFile create(Path file) throws IOException {
        Path target = Files.isSymbolicLink(file) ? file.toRealPath() : file.toAbsolutePath();
        // Made here and not by Files.createTempFile, whose files nobody else may read.
        Path temporary = target.resolveSibling("." + target.getFileName() + "." + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".part");
        return new AtomicFile(target, temporary, FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
    }

    /** Appends bytes of any memory. */
    public void write(MemorySegment bytes) throws IOException {
        for (long done = 0; done < bytes.byteSize();) {
            long n = Math.min(BUFFER - buffered, bytes.byteSize() - done);
            MemorySegment.copy(bytes, done, buffer, buffered, n);
            buffered += n;
            done += n;
            if (buffered == BUFFER) {
                flush();
            }
        }
    }

    private void flush() throws IOException {
        ByteBuffer bytes = buffer.asSlice(0, buffered).asByteBuffer();
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
        buffered = 0;
    }

    /** Brings all bytes to the disk; after that nothing is written any more. */
    public void finish() throws IOException {
        if (!finished) {
            flush();
            channel.force(true);
            channel.close();
            finished = true;
        }
    }

    /** Puts the file in the target's place. */
    public void commit() throws IOException {
        finish();
        Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        committed = true;
        sync(target.getParent());
    }

    /** Brings a folder's names to the disk, where the system lets a folder be opened. */
    public static void sync(Path folder) throws IOException {
        if (!System.getProperty("os.name").startsWith("Windows")) {
            try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
                channel.force(true);
            }
        }
    }

    /** Deletes what was written unless it was committed. */
    @Override
    public void close() throws IOException {
        if (arena.scope().isAlive()) {
            arena.close();
        }
        channel.close();
        if (!committed) {
            Files.deleteIfExists(temporary);
            committed = true;
        }
    }
}
