package org.lora4j.device;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * Native libraries taken out of their jar, kept in one folder per version and reused by the next start.
 *
 * <p>The folder is {@code -Dlora4j.cache=}, else the user's cache folder, else one under the temporary folder. Each
 * file is written under a temporary name and renamed, so that two processes may do this at once and one killed half-way
 * leaves nothing that looks whole. A list of sizes and SHA-256 digests is written last; what doesn't match it when a
 * later process starts is taken out of the jar again.
 */
final class NativeCache {
    private static final String LIST = "lora4j.sha256";

    private NativeCache() {}

    /** The file of the artifact's library, beside the other libraries of its folder, in the first folder that can be had. */
    static Path extract(NativeArtifact artifact, List<String> tried) throws IOException {
        IOException last = null;
        for (Path base : folders()) {
            Path folder = base.resolve(Path.of(artifact.folder()).getName(2) + "-" + artifact.version() + "-" + NativeArtifact.platform());
            try {
                return extract(artifact, folder);
            } catch (IOException e) {
                tried.add(folder + ": " + e);
                last = e;
            }
        }
        throw last;
    }

    private static List<Path> folders() {
        String chosen = System.getProperty("lora4j.cache");
        if (chosen != null) {
            return List.of(Path.of(chosen).toAbsolutePath());
        }
        String cache = System.getenv("XDG_CACHE_HOME") != null ? System.getenv("XDG_CACHE_HOME") : System.getenv("LOCALAPPDATA");
        Path user = cache != null && !cache.isBlank() ? Path.of(cache) : Path.of(System.getProperty("user.home"), ".cache");
        Path temporary = Path.of(System.getProperty("java.io.tmpdir"), "lora4j-" + System.getProperty("user.name"));
        return List.of(user.resolve("lora4j").toAbsolutePath(), temporary.toAbsolutePath());
    }

    static Path extract(NativeArtifact artifact, Path folder) throws IOException {
        Path library = folder.resolve(artifact.library());
        if (isWhole(folder)) {
            return library;
        }
        Files.createDirectories(folder);
        List<String> list = new ArrayList<>();
        try (JarFile jar = new JarFile(artifact.location())) {
            for (JarEntry entry : jar.stream().filter(e -> isLibrary(e, artifact.folder())).toList()) {
                String name = entry.getName().substring(artifact.folder().length());
                try (InputStream in = jar.getInputStream(entry)) {
                    list.add(write(in, folder.resolve(name)) + " " + entry.getSize() + " " + name);
                }
            }
        }
        write(new java.io.ByteArrayInputStream(String.join("\n", list).getBytes(java.nio.charset.StandardCharsets.UTF_8)), folder.resolve(LIST));
        if (!isWhole(folder)) {
            throw new IOException("what was written to " + folder + " reads back otherwise");
        }
        return library;
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

    /** Whether every file of the list is there with its size and digest. */
    private static boolean isWhole(Path folder) throws IOException {
        Path list = folder.resolve(LIST);
        if (!Files.isRegularFile(list)) {
            return false;
        }
        List<String> lines = Files.readAllLines(list);
        for (String line : lines) {
            String[] parts = line.split(" ", 3);
            Path file = parts.length == 3 ? folder.resolve(parts[2]) : null;
            if (file == null || !Files.isRegularFile(file) || !parts[1].equals(Long.toString(Files.size(file)))) {
                return false;
            }
            try (InputStream in = Files.newInputStream(file)) {
                if (!parts[0].equals(digest(in, java.io.OutputStream.nullOutputStream()))) {
                    return false;
                }
            }
        }
        return !lines.isEmpty();
    }

    /** Writes a file under a temporary name, renames it, and returns its digest. */
    private static String write(InputStream in, Path file) throws IOException {
        Path temporary = Files.createTempFile(file.getParent(), file.getFileName().toString(), ".tmp");
        try {
            String digest;
            try (var out = Files.newOutputStream(temporary)) {
                digest = digest(in, out);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            return digest;
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static String digest(InputStream in, java.io.OutputStream out) throws IOException {
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            new DigestInputStream(in, sha).transferTo(out);
            return HexFormat.of().formatHex(sha.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
