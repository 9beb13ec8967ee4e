package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * lora4j beside ND4J, which brings JavaCPP 1.5.7 and OpenBLAS 0.3.19, in one JVM. The build's profile {@code nd4j} puts
 * ND4J's jars into target/nd4j; without them this is skipped, or fails with {@code -Dlora4j.requireNd4j=true}.
 */
class Nd4jCoexistenceTest {
    private static final Path FOLDER = Path.of("target", "nd4j");

    @BeforeEach
    void needsNd4j() {
        if (!Files.isDirectory(FOLDER)) {
            String reason = FOLDER.toAbsolutePath() + " is absent; mvn verify -Pnd4j makes it";
            if (Boolean.getBoolean("lora4j.requireNd4j")) {
                fail(reason);
            }
            abort(reason);
        }
    }

    @ParameterizedTest
    @CsvSource({"lora4j, nd4j", "nd4j, lora4j"})
    void lora4jUsesItsOwnOpenBlas(String first, String second) throws Exception {
        assertComputes("host, OpenBLAS 0.3.31", first, second, List.of(ForkedJvm.openblasJar()));
    }

    @ParameterizedTest
    @CsvSource({"lora4j, nd4j", "nd4j, lora4j"})
    void theOpenBlasOfNd4jServesBoth(String first, String second) throws Exception {
        assertComputes("host, OpenBLAS 0.3.19", first, second, List.of());
    }

    /** Its dtrsm is wrong on processors with AVX-512, which is seen at once. */
    @Test
    void theOpenBlasOfNd4jWithKernelsThatAreWrong() throws Exception {
        assumeTrue(Files.readString(Path.of("/proc/cpuinfo")).contains("avx512vl"), "no processor for kernels of SkylakeX");
        String output = command("lora4j", "nd4j", List.of()).environment("OPENBLAS_CORETYPE", "SkylakeX").run().assertSuccess().output();
        assertTrue(output.contains("SkylakeX kernels, whose dtrsm is wrong: float64 solves in Java"), output);
    }

    private static void assertComputes(String library, String first, String second, List<Path> openblas) throws Exception {
        String output = command(first, second, openblas).run().assertSuccess().output();
        List<String> devices = output.lines().filter(line -> line.startsWith("host, ")).toList();
        assertEquals(2, devices.size(), output);
        assertTrue(devices.stream().allMatch(line -> line.startsWith(library + " ")), output);
    }

    private static ForkedJvm.Command command(String first, String second, List<Path> openblas) {
        List<Path> classPath = new ArrayList<>(ForkedJvm.junit());
        classPath.add(FOLDER.resolve("*"));
        classPath.addAll(openblas);
        return ForkedJvm.command(Nd4jMain.class, first, second).flags("-Dorg.bytedeco.javacpp.cachedir=" + FOLDER.resolve("cache"))
                .classPath(classPath);
    }
}
