package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lora4j.linked.Multiply;

/** Which variant is chosen, what is said when there is none, and what is bound. */
class KernelLibraryTest extends KernelsTest {
    @Test
    void choices() {
        assertEquals("no native kernels: -Dlora4j.kernels is off", HostKernels.open("off", library, () -> 1, device).description());
        assertEquals("kernels portable", HostKernels.open("portable", library, () -> 1, device).description());
        String auto = HostKernels.open("auto", library, () -> 1, device).description();
        String expected = library.functions().runs("amx") ? "kernels amx" : library.functions().runs("avx512") ? "kernels avx512"
                : library.functions().runs("avx2") ? "kernels avx2" : "no native kernels: this processor has neither AVX-512 nor AVX2 with FMA";
        assertEquals(expected, auto);
        String unknown = assertThrows(IllegalArgumentException.class, () -> HostKernels.open("sse", library, () -> 1, device)).getMessage();
        assertEquals("-Dlora4j.kernels=sse: it must be auto, off or one of amx, avx512, avx2, portable", unknown);
        assertFalse(library.functions().runs("sse"));
    }

    @Test
    void aVariantThatTheProcessorLacksIsAnError() {
        for (String variant : VARIANTS) {
            if (!library.functions().runs(variant)) {
                assertThrows(IllegalArgumentException.class, () -> HostKernels.open(variant, library, () -> 1, device));
            }
        }
    }

    @Test
    void withoutTheLibraryBlasDoesItAndTheReasonIsTold() {
        KernelLibrary.Attempt none = KernelLibrary.load("some-platform/liblora4j_kernels.so");
        assertNull(none.functions());
        HostKernels kernels = HostKernels.open("auto", none, () -> 1, device);
        assertEquals("no native kernels: this build of lora4j has none for " + NativeArtifact.platform(), kernels.description());
        assertFalse(suits(kernels, TYPE, 64, 64, 8));
        kernels.close();
        String message = assertThrows(UnsatisfiedLinkError.class, () -> HostKernels.open("avx2", none, () -> 1, device)).getMessage();
        assertTrue(message.startsWith("-Dlora4j.kernels=avx2: this build"), message);
    }

    @Test
    void aFileThatIsNoLibraryIsReportedInTheLoadersWords(@TempDir Path folder) throws IOException {
        Path garbage = Files.writeString(folder.resolve("liblora4j_kernels.so"), "no library");
        KernelLibrary.Attempt attempt = KernelLibrary.open(garbage);
        assertNull(attempt.functions());
        assertTrue(attempt.failure().contains(garbage.toString()) && attempt.failure().contains("file too short"), attempt.failure());
    }

    @Test
    void aLibraryWithoutThemIsReportedWithWhatItLacks() throws IOException {
        Path openblas = NativeCache.extract(ForkedJvm.openblas(), new ArrayList<>());
        KernelLibrary.Attempt attempt = KernelLibrary.open(openblas.resolveSibling("libgcc_s.so.1"));
        assertNull(attempt.functions());
        assertTrue(attempt.failure().contains("does not export lora4j_kernels_runs, ") && attempt.failure().endsWith("lora4j_ssyev"),
                attempt.failure());
    }

    @Test
    void theChoiceOfTheProperty() throws Exception {
        String byDefault = ForkedJvm.command(Multiply.class).classPath(ForkedJvm.openblasJar()).run().assertSuccess().output();
        assertTrue(byDefault.contains(", " + HostKernels.open("auto", library, () -> 1, device).description() + ", "), byDefault);
        String off = ForkedJvm.command(Multiply.class).flags("-Dlora4j.kernels=off").classPath(ForkedJvm.openblasJar()).run().assertSuccess().output();
        assertTrue(off.contains(", no native kernels: -Dlora4j.kernels is off, "), off);
        String portable = ForkedJvm.command(Multiply.class).flags("-Dlora4j.kernels=portable").classPath(ForkedJvm.openblasJar()).run()
                .assertSuccess().output();
        assertTrue(portable.contains(", kernels portable, "), portable);
        ForkedJvm.Result wrong = ForkedJvm.command(Multiply.class).flags("-Dlora4j.kernels=sse").classPath(ForkedJvm.openblasJar()).run();
        assertTrue(wrong.exitCode() != 0 && wrong.output().contains("-Dlora4j.kernels=sse"), wrong.output());
    }

    @Test
    void oneClassIsGeneratedForEachSymbol() throws IOException {
        Set<String> expected = Files.readAllLines(Path.of("native/bindings/kernels.symbols")).stream().map(line -> line.replaceAll("#.*", "").strip())
                .filter(line -> !line.isEmpty()).collect(Collectors.toCollection(TreeSet::new));
        expected.add("kernels_h");
        try (var files = Files.list(Path.of("bindings/org/lora4j/bindings/kernels"))) {
            assertEquals(expected, files.map(file -> file.getFileName().toString().replace(".java", "")).collect(Collectors.toCollection(TreeSet::new)));
        }
    }
}
