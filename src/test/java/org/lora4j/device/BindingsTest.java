package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The generated classes, the lists they are generated from and the libraries agree. NVIDIA's own: {@link NvidiaLibrariesTest}. */
class BindingsTest {
    @Test
    void everySymbolIsInTheLibrary() throws IOException {
        Path library = NativeCache.extract(ForkedJvm.openblas(), new ArrayList<>());
        assertEquals(List.of(), missing(library, "MKL_"));
    }

    @Test
    void everySymbolIsInTheSimulatedCuda() throws IOException {
        assumeTrue(SimCuda.isBuilt(), "the simulated CUDA device was not built: it needs a C compiler and CMake");
        assertEquals(List.of(), missing(Path.of(SimCuda.path()), symbols("cuda")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"openblas", "kernels", "cuda"})
    void oneClassIsGeneratedForEachSymbol(String name) throws IOException {
        Set<String> expected = symbols(name);
        expected.add(name + "_h");
        Set<String> classes = generated(name).stream().map(file -> file.getFileName().toString().replace(".java", ""))
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(expected, classes);
    }

    @ParameterizedTest
    @CsvSource({"openblas, OpenBLAS [\\d.]+ \\(openblas-[\\w.-]+\\.jar\\)", "kernels, lora4j kernels .*", "cuda, CUDA 13\\.\\d.*cuBLAS 13.*cuSOLVER 12.*"})
    void everyFileNamesWhatItWasMadeFrom(String name, String from) throws IOException {
        for (Path file : generated(name)) {
            String header = Files.readAllLines(file).getFirst();
            assertTrue(header.matches("// " + from + "; jextract \\S+; made by native/bindings/generate\\.sh"), file + ": " + header);
        }
    }

    /** The functions of OpenBLAS's list that a library lacks, but for those that only another library is asked for. */
    static List<String> missing(Path library, String prefixOfTheOther) throws IOException {
        return missing(library, symbols("openblas")).stream().filter(s -> !s.startsWith(prefixOfTheOther)).toList();
    }

    @SuppressWarnings("restricted")
    private static List<String> missing(Path library, Set<String> symbols) {
        SymbolLookup lookup = SymbolLookup.libraryLookup(library, Arena.global());
        return symbols.stream().filter(s -> lookup.find(s).isEmpty()).toList();
    }

    /** The functions of a list, without its comments and constants. */
    private static Set<String> symbols(String name) throws IOException {
        return Files.readAllLines(Path.of("native/bindings", name + ".symbols")).stream().map(line -> line.replaceAll("#.*", "").strip())
                .filter(line -> !line.isEmpty() && !line.startsWith("constant ")).collect(Collectors.toCollection(TreeSet::new));
    }

    private static List<Path> generated(String name) throws IOException {
        try (var files = Files.list(Path.of("bindings/org/lora4j/bindings", name))) {
            return files.toList();
        }
    }
}
