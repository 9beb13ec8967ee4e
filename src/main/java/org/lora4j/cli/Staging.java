package org.lora4j.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Where a command writes before all is complete: the folder {@code .NAME.part} beside the target. Only then is it put in the
 * target's place. Ctrl-C deletes it; what a killed process left is deleted by the next run for the same target. A lock keeps
 * two runs for one target apart.
 */
final class Staging implements AutoCloseable {
    /** The files of an adapter, for {@link #commitFolder}. */
    static final List<String> ADAPTER = List.of("adapter_config.json", "adapter_model.safetensors", "base.safetensors");

    /** The exit status of a command that the user stopped. */
    static final int STOPPED = 130;

    private static final String LOCK = ".lock";
    private static volatile boolean interrupted;

    private final Path target;
    private final Path folder;
    private final FileChannel lock;
    private final Thread onExit;
    private boolean ended;

    private Staging(Path target, Path folder, FileChannel lock) {
        this.target = target;
        this.folder = folder;
        this.lock = lock;
        this.onExit = new Thread(this::interrupt, "lora4j-stop");
        Runtime.getRuntime().addShutdownHook(onExit);
    }

    /** Whether the JVM is ending because the user stopped it. */
    static boolean isInterrupted() {
        return interrupted;
    }

    /** Refuses a file that exists unless it is to be overwritten, and a folder. */
    static void checkFile(Path target, boolean force) throws BadInput {
        if (Files.isDirectory(target)) {
            throw new BadInput(target + " is a folder; it must be a file");
        }
        if (!force && Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            throw new BadInput(target + " exists; --force overwrites it");
        }
    }

    /** Refuses a folder that has something in it unless that is to be overwritten, and a file. */
    static void checkFolder(Path target, boolean force) throws BadInput, IOException {
        if (Files.exists(target, LinkOption.NOFOLLOW_LINKS) && !Files.isDirectory(target)) {
            throw new BadInput(target + " exists and is no folder");
        }
        if (!force && Files.exists(target) && !isEmptyFolder(target)) {
            throw new BadInput(target + " exists and is not empty; --force overwrites what has the same name");
        }
    }

    private static boolean isEmptyFolder(Path path) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(path)) {
            return !files.iterator().hasNext();
        }
    }

    /** Makes the folder beside a target, and those above it that are missing. */
    static Staging create(Path target) throws BadInput, IOException {
        Path absolute = target.toAbsolutePath().normalize();
        if (absolute.getFileName() == null) {
            throw new BadInput(target + ": it can't be written to");
        }
        Path folder = absolute.resolveSibling("." + absolute.getFileName() + ".part");
        Files.createDirectories(folder);
        if (!Files.exists(folder.resolve(LOCK)) && !isEmptyFolder(folder)) {
            throw new BadInput(folder + " is in the way and was not made by lora4j");
        }
        FileChannel lock = FileChannel.open(folder.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            if (!isLocked(lock)) {
                throw new BadInput("another lora4j is writing " + target + " now");
            }
            for (Path left : contents(folder)) {
                if (!left.getFileName().toString().equals(LOCK)) {
                    delete(left);
                }
            }
            return new Staging(absolute, folder, lock);
        } catch (BadInput | IOException | RuntimeException e) {
            lock.close();
            throw e;
        }
    }

    private static boolean isLocked(FileChannel channel) throws IOException {
        try {
            FileLock lock = channel.tryLock();
            return lock != null;
        } catch (OverlappingFileLockException e) {
            return false;
        }
    }

    /** Where the files of a target folder are to be written. */
    Path folder() {
        return folder;
    }

    /** Where a target file is to be written. */
    Path file() {
        return folder.resolve(target.getFileName());
    }

    /**
     * Puts the files into the target folder, which is made if it is missing. What else it has stays, but for old files of
     * {@code names}. The first of these is the one without which the others are nothing: an old one goes first, the new one
     * comes last.
     */
    synchronized void commitFolder(List<String> names) throws IOException {
        checkRunning();
        Files.createDirectories(target);
        for (String name : names) {
            Files.deleteIfExists(target.resolve(name));
        }
        for (String name : names.reversed()) {
            if (Files.exists(folder.resolve(name))) {
                replace(folder.resolve(name), target.resolve(name));
            }
        }
        end();
    }

    /** Puts the one file in the target's place. */
    synchronized void commitFile() throws IOException {
        checkRunning();
        replace(file(), target);
        end();
    }

    private static void replace(Path from, Path to) throws IOException {
        Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private void checkRunning() {
        if (ended) {
            throw new IllegalStateException("the output was ended");
        }
    }

    private synchronized void interrupt() {
        if (!ended) {
            interrupted = true;
            ended = true;
            for (int attempt = 0; attempt < 5 && Files.exists(folder); attempt++) { // its writer may still make a file
                try {
                    clear();
                } catch (IOException e) {
                    // the next attempt, or the next run
                }
            }
            System.err.println("lora4j: stopped; nothing was written");
            System.err.flush();
            exit(STOPPED);
        }
    }

    /** Ends the process here and now: halt runs the libraries' exit handlers, which wait for OpenBLAS's threads in the middle of an SVD. */
    private static void exit(int status) {
        Linker.nativeLinker().defaultLookup().find("_exit").ifPresent(exit -> {
            try {
                Linker.nativeLinker().downcallHandle(exit, FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT)).invokeExact(status);
            } catch (Throwable e) {
                // then as well as may be
            }
        });
        Runtime.getRuntime().halt(status);
    }

    /** Deletes what was not put in its place. */
    @Override
    public synchronized void close() throws IOException {
        if (!ended) {
            end();
        }
    }

    private void end() throws IOException {
        ended = true;
        clear();
        try {
            Runtime.getRuntime().removeShutdownHook(onExit);
        } catch (IllegalStateException e) {
            // the JVM is ending already
        }
    }

    private void clear() throws IOException {
        lock.close(); // first: some systems don't delete open files
        delete(folder);
    }

    private static void delete(Path path) throws IOException {
        if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            for (Path inside : contents(path)) {
                delete(inside);
            }
        }
        Files.deleteIfExists(path);
    }

    private static List<Path> contents(Path folder) throws IOException {
        List<Path> contents = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            files.forEach(contents::add);
        } catch (UncheckedIOException e) {
            throw e.getCause();
        } catch (NoSuchFileException e) {
            return List.of();
        }
        return contents;
    }
}
