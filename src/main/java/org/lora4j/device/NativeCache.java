package org.lora4j.device;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.zip.CRC32;
import java.util.zip.CheckedInputStream;

/**
 * Native libraries taken out of their jar, kept in one folder per version and reused by the next start.
 *
 * <p>The folder is {@code -Dlora4j.cache=}, else the user's cache folder, else one under the temporary folder. Each
 * file is written under a temporary name and renamed, so that two processes may do this at once and one killed half-way
 * leaves nothing that looks whole. A file whose size or CRC-32 is not the jar's when a later process starts is taken out
 * again.
 */
final class NativeCache {
    private NativeCache() {}

    /** Puts files into a folder and tells the one to load. */
    private interface Filling {
        Path into(Path folder) throws IOException;
    }

    /** The file of the artifact's library, beside the other libraries of its folder, in the first folder that can be had. */
    static Path extract(NativeArtifact artifact, List<String> tried) throws IOException {
        String name = Path.of(artifact.folder()).getName(2) + "-" + artifact.version() + "-" + NativeArtifact.platform();
        return inFirstFolder(name, folder -> extract(artifact, folder), tried);
    }

    /** A file of this content, in a folder named after its checksum: a library built anew is another file. */
    static Path extract(String file, byte[] content, List<String> tried) throws IOException {
        CRC32 crc = new CRC32();
        crc.update(content);
        String name = file.replaceAll("\\..*", "") + "-" + content.length + "-" + Long.toHexString(crc.getValue());
        return inFirstFolder(name, folder -> {
            Files.createDirectories(folder);
            Path path = folder.resolve(file);
            write(path, content.length, crc.getValue(), () -> new ByteArrayInputStream(content));
            return path;
        }, tried);
    }

    private static Path inFirstFolder(String name, Filling filling, List<String> tried) throws IOException {
        String chosen = System.getProperty("lora4j.cache");
        Path first = chosen != null ? Path.of(chosen) : userCache().resolve("lora4j");
        try {
            return filling.into(first.resolve(name).toAbsolutePath());
        } catch (IOException e) {
            if (chosen != null) {
                throw e;
            }
            tried.add(first.resolve(name) + ": " + e);
        }
        Path second = Path.of(System.getProperty("java.io.tmpdir"), "lora4j-" + System.getProperty("user.name")).toAbsolutePath();
        if (!isPrivate(second)) {
            throw new IOException(second + " belongs to another user, or others may write to it");
        }
        return filling.into(second.resolve(name));
    }

    private static Path userCache() {
        String cache = System.getenv("XDG_CACHE_HOME") != null ? System.getenv("XDG_CACHE_HOME") : System.getenv("LOCALAPPDATA");
        return cache != null && !cache.isBlank() ? Path.of(cache) : Path.of(System.getProperty("user.home"), ".cache");
    }

    /** Whether nobody else could have put a library into a folder whose name everybody can guess. Makes it if it isn't there. */
    static boolean isPrivate(Path folder) throws IOException {
        if (!folder.getFileSystem().supportedFileAttributeViews().contains("posix")) {
            return true; // the temporary folder of Windows is the user's own
        }
        if (Files.notExists(folder, LinkOption.NOFOLLOW_LINKS)) {
            try {
                Files.createDirectories(folder.getParent());
                Files.createDirectory(folder, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            } catch (FileAlreadyExistsException e) {
                // another process was first; the checks below tell whose
            }
        }
        PosixFileAttributes attributes = Files.readAttributes(folder, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        Path mine = Files.createTempFile("lora4j", null);
        try {
            return attributes.isDirectory() && attributes.owner().equals(Files.getOwner(mine))
                    && !attributes.permissions().contains(PosixFilePermission.GROUP_WRITE)
                    && !attributes.permissions().contains(PosixFilePermission.OTHERS_WRITE);
        } finally {
            Files.delete(mine);
        }
    }

    static Path extract(NativeArtifact artifact, Path folder) throws IOException {
        try (JarFile jar = new JarFile(artifact.location())) {
            Files.createDirectories(folder);
            for (JarEntry entry : jar.stream().filter(e -> isLibrary(e, artifact.folder())).toList()) {
                Path file = folder.resolve(entry.getName().substring(artifact.folder().length()));
                write(file, entry.getSize(), entry.getCrc(), () -> jar.getInputStream(entry));
            }
        }
        return folder.resolve(artifact.library());
    }

    /** The shared libraries directly in the folder, without those that only JavaCPP's classes call. */
    private static boolean isLibrary(JarEntry entry, String folder) {
        String path = entry.getName();
        if (entry.isDirectory() || !path.startsWith(folder) || path.indexOf('/', folder.length()) >= 0) {
            return false;
        }
        String name = path.substring(folder.length());
        return (name.contains(".so") || name.endsWith(".dylib") || name.endsWith(".dll")) && !name.startsWith("libjni") && !name.startsWith("jni");
    }

    private interface Source {
        InputStream open() throws IOException;
    }

    /** Writes a file unless it is there as it should be. */
    private static void write(Path file, long size, long crc, Source source) throws IOException {
        if (!isWhole(file, size, crc)) {
            try (InputStream in = source.open()) {
                write(in, file);
            }
            if (!isWhole(file, size, crc)) {
                throw new IOException("what was written to " + file + " reads back otherwise");
            }
        }
    }

    /** Whether the file has this size and checksum. */
    private static boolean isWhole(Path file, long size, long crc) throws IOException {
        if (!Files.isRegularFile(file) || Files.size(file) != size) {
            return false;
        }
        try (CheckedInputStream in = new CheckedInputStream(Files.newInputStream(file), new CRC32())) {
            in.transferTo(OutputStream.nullOutputStream());
            return in.getChecksum().getValue() == crc;
        }
    }

    /** Writes a file under a temporary name and renames it. */
    private static void write(InputStream in, Path file) throws IOException {
        Path temporary = Files.createTempFile(file.getParent(), file.getFileName().toString(), ".tmp");
        try {
            Files.copy(in, temporary, StandardCopyOption.REPLACE_EXISTING);
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }
}
