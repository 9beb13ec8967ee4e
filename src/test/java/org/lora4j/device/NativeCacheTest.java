package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.linked.Multiply;

/** Libraries taken out of a small jar made here; four processes take the real ones, and files of a given content go to the user's own cache. */
class NativeCacheTest {
    private static final String FOLDER = "org/bytedeco/openblas/some-platform/";
    private static final String LIBRARY = "libopenblas.so.0";
    private static final String COMPANION = "libgfortran.so.5";
    private static final List<String> NOT_NEEDED = List.of("libjniopenblas.so", "jniopenblas.dll", "openblas.h", "lib/deeper.so");

    @TempDir
    private Path base;
    private Path folder;
    private NativeArtifact artifact;

    @BeforeEach
    void makeArtifact() throws IOException {
        Path jar = base.resolve("openblas.jar");
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            for (String name : Stream.concat(Stream.of(LIBRARY, COMPANION), NOT_NEEDED.stream()).toList()) {
                out.putNextEntry(new JarEntry(FOLDER + name));
                out.write(content(name));
            }
        }
        folder = base.resolve("cache").resolve("openblas");
        artifact = new NativeArtifact(jar.toString(), FOLDER, LIBRARY, "0.3.31");
    }

    @Test
    void takesOutTheLibrariesAndNothingElse() throws IOException {
        assertEquals(folder.resolve(LIBRARY), NativeCache.extract(artifact, folder));
        assertWhole();
        assertEquals(List.of(), NOT_NEEDED.stream().filter(name -> Files.exists(folder.resolve(name))).toList());
    }

    @Test
    void theNextStartRewritesNothing() throws IOException {
        NativeCache.extract(artifact, folder);
        Map<String, List<Object>> before = files();
        NativeCache.extract(artifact, folder);
        assertEquals(before, files());
    }

    /** What may befall a cache between two starts. */
    enum Damage {
        TRUNCATED {
            @Override
            void to(Path folder) throws IOException {
                Files.write(folder.resolve(COMPANION), Arrays.copyOf(content(COMPANION), 10));
            }
        },
        FLIPPED_BYTE {
            @Override
            void to(Path folder) throws IOException {
                byte[] bytes = content(COMPANION);
                bytes[bytes.length / 2] ^= 1;
                Files.write(folder.resolve(COMPANION), bytes);
            }
        },
        MISSING_COMPANION {
            @Override
            void to(Path folder) throws IOException {
                Files.delete(folder.resolve(COMPANION));
            }
        },
        MISSING_LIBRARY {
            @Override
            void to(Path folder) throws IOException {
                Files.delete(folder.resolve(LIBRARY));
            }
        },
        MISSING_NOTES {
            @Override
            void to(Path folder) throws IOException {
                Files.write(folder.resolve(LIBRARY), new byte[3]);
                for (Path note : notes(folder)) {
                    Files.delete(note);
                }
            }
        },
        EMPTY_NOTES {
            @Override
            void to(Path folder) throws IOException {
                Files.write(folder.resolve(LIBRARY), new byte[3]);
                for (Path note : notes(folder)) {
                    Files.write(note, new byte[0]);
                }
            }
        },
        GARBLED_NOTES {
            @Override
            void to(Path folder) throws IOException {
                Files.write(folder.resolve(LIBRARY), new byte[3]);
                for (Path note : notes(folder)) {
                    Files.write(note, new byte[] {(byte) 0xFF, 0, (byte) 0xC0, '\n', ' ', ' ', ' ', '\n'});
                }
            }
        },
        NOTES_OF_ONE_FILE {
            @Override
            void to(Path folder) throws IOException {
                Files.delete(folder.resolve(LIBRARY));
                for (Path note : notes(folder)) {
                    Files.write(note, Files.readAllLines(note).stream().filter(line -> line.endsWith(COMPANION)).toList());
                }
            }
        },
        EMPTY_FOLDER {
            @Override
            void to(Path folder) throws IOException {
                Files.delete(folder.resolve(LIBRARY));
                Files.delete(folder.resolve(COMPANION));
                for (Path note : notes(folder)) {
                    Files.delete(note);
                }
            }
        };

        abstract void to(Path folder) throws IOException;

        /** Whatever the cache wrote beside the libraries for itself. */
        private static List<Path> notes(Path folder) throws IOException {
            try (var files = Files.list(folder)) {
                return files.filter(f -> !f.endsWith(LIBRARY) && !f.endsWith(COMPANION)).toList();
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void whatIsDamagedIsTakenOutAgain(Damage damage) throws IOException {
        NativeCache.extract(artifact, folder);
        damage.to(folder);
        NativeCache.extract(artifact, folder);
        assertWhole();
    }

    @Test
    void leftoversOfAKilledStartDoNotMatter() throws IOException {
        Files.createDirectories(folder);
        Files.write(folder.resolve(LIBRARY + "123.tmp"), new byte[5]);
        Files.write(folder.resolve(COMPANION), content(COMPANION));
        NativeCache.extract(artifact, folder);
        assertWhole();
    }

    @Test
    void anotherArtifactOfTheSameVersionIsNotMistakenForThis() throws IOException {
        NativeCache.extract(artifact, folder);
        Path jar = base.resolve("other.jar");
        try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar))) {
            out.putNextEntry(new JarEntry(FOLDER + LIBRARY));
            out.write(content("another build"));
        }
        NativeCache.extract(new NativeArtifact(jar.toString(), FOLDER, LIBRARY, "0.3.31"), folder);
        assertArrayEquals(content("another build"), Files.readAllBytes(folder.resolve(LIBRARY)));
    }

    @Test
    void aFolderThatCannotBeMadeIsAnError() throws IOException {
        Path file = Files.createFile(base.resolve("file"));
        assertThrows(IOException.class, () -> NativeCache.extract(artifact, file.resolve("below")));
    }

    @Test
    void fourProcessesAtOnceShareAnEmptyFolder() throws Exception {
        List<ForkedJvm> processes = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            processes.add(ForkedJvm.command(Multiply.class).flags("-Dlora4j.cache=" + base.resolve("shared"))
                    .classPath(ForkedJvm.openblasJar()).start());
        }
        List<ForkedJvm.Result> results = new ArrayList<>();
        for (ForkedJvm process : processes) {
            results.add(process.result());
        }
        for (ForkedJvm.Result result : results) {
            String output = result.assertSuccess().output();
            assertTrue(output.contains(base.resolve("shared").toString()), output);
        }
        try (var files = Files.walk(base.resolve("shared"))) {
            assertEquals(List.of(), files.filter(f -> f.toString().endsWith(".tmp")).toList());
        }
    }

    private void assertWhole() throws IOException {
        assertArrayEquals(content(LIBRARY), Files.readAllBytes(folder.resolve(LIBRARY)));
        assertArrayEquals(content(COMPANION), Files.readAllBytes(folder.resolve(COMPANION)));
    }

    private static byte[] content(String name) {
        return ("the content of " + name + "\n").repeat(50).getBytes(StandardCharsets.UTF_8);
    }

    /** Every file of the cache with what changes when it is written. */
    private Map<String, List<Object>> files() throws IOException {
        Map<String, List<Object>> files = new TreeMap<>();
        try (var all = Files.list(folder)) {
            for (Path file : all.toList()) {
                BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
                files.put(file.getFileName().toString(),
                        Arrays.asList(attributes.fileKey(), attributes.lastModifiedTime(), attributes.size()));
            }
        }
        return files;
    }

    @Test
    void aFolderThatOthersCouldHaveFilledIsNotTrusted() throws IOException {
        Path fresh = base.resolve("fresh");
        assertTrue(NativeCache.isPrivate(fresh), "made here");
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(fresh)));
        assertTrue(NativeCache.isPrivate(fresh), "found again");
        for (String open : List.of("rwxrwx---", "rwx---rwx", "rwxr-x-w-")) {
            Files.setPosixFilePermissions(fresh, PosixFilePermissions.fromString(open));
            assertFalse(NativeCache.isPrivate(fresh), open);
        }
        Path link = Files.createSymbolicLink(base.resolve("link"), Files.createDirectory(base.resolve("elsewhere")));
        assertFalse(NativeCache.isPrivate(link), "a link may lead anywhere");
    }

    @Test
    void anotherContentIsAnotherFile() throws IOException {
        List<String> tried = new ArrayList<>();
        Path one = NativeCache.extract("test_of_lora4j.so", new byte[] {1, 2, 3}, tried);
        Path two = NativeCache.extract("test_of_lora4j.so", new byte[] {1, 2, 4}, tried);
        try {
            assertFalse(one.equals(two));
            assertEquals("test_of_lora4j.so", one.getFileName().toString());
            Files.write(one, new byte[] {9, 9, 9});
            assertEquals(one, NativeCache.extract("test_of_lora4j.so", new byte[] {1, 2, 3}, tried));
            assertArrayEquals(new byte[] {1, 2, 3}, Files.readAllBytes(one), "what was changed is written again");
        } finally {
            for (Path file : List.of(one, two)) {
                Files.deleteIfExists(file);
                Files.deleteIfExists(file.getParent());
            }
        }
    }
}
