package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.lora4j.linked.Multiply;

/** Which BLAS is loaded, and what is said when it can't be. Every load is in a JVM of its own; failed ones share one. */
class BlasLibraryTest {
    private static final String NO_CHOICE = "";

    @TempDir
    private static Path folder;
    private static Path garbage;
    private static Path openblas;
    /** What each of a series of attempts in one JVM came to, the last of which is the first that can succeed. */
    private static Map<String, String> attempts;

    @BeforeAll
    static void attempt() throws Exception {
        garbage = Files.writeString(folder.resolve("garbage.so"), "this is no library, however long it may be ".repeat(100));
        openblas = NativeCache.extract(ForkedJvm.openblas(), new ArrayList<>());
        attempts = attempts(ForkedJvm.command(AttemptsMain.class, "lora4j.blas=/no/such/file", "lora4j.blas=" + garbage,
                "lora4j.blas=" + openblas.resolveSibling("libgfortran.so.5"), "lora4j.blas=mkl", "lora4j.blas=atlas", "lora4j.threads=0",
                "lora4j.threads=-3", "lora4j.threads=x", "lora4j.cache=" + garbage.resolve("below"), NO_CHOICE)
                .classPath(ForkedJvm.openblasJar()));
    }

    @Test
    void aPathThatDoesNotExist() {
        assertSays("lora4j.blas=/no/such/file", "-Dlora4j.blas=/no/such/file", "/no/such/file: there is no such file");
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void aFileThatIsNoLibraryIsReportedInTheLoadersWords() {
        assertSays("lora4j.blas=" + garbage, garbage.toString(), "invalid ELF header");
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void aLibraryWithoutBlasIsReportedWithEverythingItLacks() {
        assertSays("lora4j.blas=" + openblas.resolveSibling("libgfortran.so.5"), "does not export", "cblas_sgemm",
                "LAPACKE_dsyevd_work");
    }

    @Test
    void mklThatIsNotOnTheClassPath() {
        assertSays("lora4j.blas=mkl", "org.bytedeco:mkl for " + NativeArtifact.platform(), "neither on the class path nor on the module path");
    }

    @Test
    void anUnknownChoice() {
        assertSays("lora4j.blas=atlas", "-Dlora4j.blas=atlas (openblas, mkl or the path of a library)");
    }

    @Test
    void aNumberOfThreadsThatIsNone() {
        for (String value : List.of("0", "-3", "x")) {
            assertSays("lora4j.threads=" + value, "IllegalArgumentException", "-Dlora4j.threads=" + value);
        }
    }

    @Test
    void aCacheThatCannotBeWritten() {
        assertSays("lora4j.cache=" + garbage.resolve("below"), "UnsatisfiedLinkError", garbage.resolve("below").toString(),
                ForkedJvm.openblasJar().toString());
    }

    @Test
    void failedAttemptsDoNotStandInTheWayOfTheNext() {
        assertTrue(attempts.get(NO_CHOICE).startsWith("host, OpenBLAS"), attempts.get(NO_CHOICE));
    }

    @Test
    void withoutAnyArtifact() throws Exception {
        String said = attempts(ForkedJvm.command(AttemptsMain.class, NO_CHOICE).classPath()).get(NO_CHOICE);
        assertTrue(said.contains("org.bytedeco:openblas for " + NativeArtifact.platform()), said);
        assertTrue(said.contains("neither on the class path nor on the module path"), said);
    }

    @Test
    void threadsOfTheProperty() throws Exception {
        String one = ForkedJvm.command(Multiply.class).flags("-Dlora4j.threads=1").classPath(ForkedJvm.openblasJar())
                .run().assertSuccess().output();
        assertTrue(one.contains(", 1 thread,"), one);
    }

    @Test
    void theLibraryOfAPathWithThreads() throws Exception {
        String two = ForkedJvm.command(Multiply.class).flags("-Dlora4j.blas=" + openblas, "-Dlora4j.threads=2").classPath()
                .run().assertSuccess().output();
        assertTrue(two.contains(", 2 threads, " + openblas), two);
        assertFalse(two.contains(".jar"), two);
    }

    @Test
    void threadsOfTheEnvironment() throws Exception {
        String one = ForkedJvm.command(Multiply.class).environment("OPENBLAS_NUM_THREADS", 1)
                .classPath(ForkedJvm.openblasJar()).run().assertSuccess().output();
        assertTrue(one.contains(", 1 thread,"), one);
    }

    @Test
    @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
    void needsNoLibraryOfTheSystem() throws Exception {
        Path unusable = Files.createDirectory(folder.resolve("unusable"));
        Files.copy(garbage, unusable.resolve("libquadmath.so.0"));
        ForkedJvm.command(Multiply.class).environment("LD_LIBRARY_PATH", unusable)
                .classPath(ForkedJvm.openblasJar()).run().assertSuccess();
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void theTemporaryFolderServesWhereTheUsersCannotBeWritten() throws Exception {
        String unwritable = "java.io.tmpdir=" + garbage.resolve("temporary");
        String writable = "java.io.tmpdir=" + folder.resolve("temporary");
        Map<String, String> said = attempts(ForkedJvm.command(AttemptsMain.class, unwritable, writable)
                .environment("XDG_CACHE_HOME", garbage.resolve("user")).classPath(ForkedJvm.openblasJar()));
        assertTrue(said.get(unwritable).contains(garbage.resolve("user").toString()), said.get(unwritable));
        assertTrue(said.get(unwritable).contains(garbage.resolve("temporary").toString()), said.get(unwritable));
        assertTrue(said.get(writable).contains(folder.resolve("temporary").toString()), said.get(writable));
    }

    @Test
    void versionsAreComparedAsNumbers() {
        assertTrue(NativeArtifact.compareVersions("0.3.31-1.5.13", "0.3.9-1.5.13") > 0);
        assertTrue(NativeArtifact.compareVersions("0.3.31-1.5.13", "0.3.31-1.5.9") > 0);
        assertTrue(NativeArtifact.compareVersions("0.3.31", "unknown") > 0);
        assertEquals(0, NativeArtifact.compareVersions("0.3.31-1.5.13", "0.3.31-1.5.13"));
    }

    private static void assertSays(String attempt, String... parts) {
        for (String part : parts) {
            assertTrue(attempts.get(attempt).contains(part), () -> attempt + ": no \"" + part + "\" in " + attempts.get(attempt));
        }
    }

    private static Map<String, String> attempts(ForkedJvm.Command command) throws Exception {
        Map<String, String> said = new LinkedHashMap<>();
        String attempt = "before the first";
        for (String line : command.run().assertSuccess().output().lines().toList()) {
            if (line.startsWith(AttemptsMain.ATTEMPT)) {
                attempt = line.substring(AttemptsMain.ATTEMPT.length());
            } else {
                said.merge(attempt, line, (a, b) -> a + "\n" + b);
            }
        }
        return said;
    }
}
