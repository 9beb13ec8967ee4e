package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import org.junit.jupiter.api.Test;

/** MKL in place of OpenBLAS, where {@code -Dlora4j.test.mkl=} names the jar org.bytedeco:mkl of this platform, ending in -redist. */
class MklTest {
    @Test
    void everyOperationRunsOnMkl() throws Exception {
        String jar = System.getProperty("lora4j.test.mkl");
        assertTrue(jar != null || !Boolean.getBoolean("lora4j.requireMkl"), "-Dlora4j.requireMkl=true without -Dlora4j.test.mkl=<jar>");
        assumeTrue(jar != null, "-Dlora4j.test.mkl=<jar of org.bytedeco:mkl, classifier ending in -redist> is not set");
        assertTrue(Files.isRegularFile(Path.of(jar)), jar + " is no file");
        List<Path> classPath = new ArrayList<>(ForkedJvm.junit());
        classPath.addAll(List.of(Path.of(jar), ForkedJvm.openblasJar()));
        String output = ForkedJvm.command(EveryOperationMain.class).flags("-Dlora4j.blas=mkl", "-Dlora4j.threads=2").classPath(classPath)
                .run().assertSuccess().output();
        List<String> said = output.lines().toList();
        assertTrue(said.getFirst().matches("host, .*Math Kernel Library.*, 2 threads"), output);
        Path library = Path.of(said.get(1).replaceFirst(" from .*", ""));
        assertEquals(List.of(), BindingsTest.missing(library, "openblas_"));
    }
}
