package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

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

/** The generated classes, the list they are generated from and the library agree. */
class BindingsTest {
    private static final Path SYMBOLS = Path.of("native/bindings/openblas.symbols");
    private static final Path GENERATED = Path.of("bindings/org/lora4j/bindings/openblas");

    @Test
    void everySymbolIsInTheLibrary() throws IOException {
        Path library = NativeCache.extract(ForkedJvm.openblas(), new ArrayList<>());
        assertEquals(List.of(), missing(library, "MKL_"));
    }

    @Test
    void oneClassIsGeneratedForEachSymbol() throws IOException {
        Set<String> expected = symbols();
        expected.add("openblas_h");
        Set<String> classes = generated().stream().map(file -> file.getFileName().toString().replace(".java", ""))
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(expected, classes);
    }

    @Test
    void everyFileNamesWhatItWasMadeFrom() throws IOException {
        for (Path file : generated()) {
            String header = Files.readAllLines(file).getFirst();
            String expected = "// OpenBLAS [\\d.]+ \\(openblas-[\\w.-]+\\.jar\\); jextract \\S+; made by native/bindings/generate\\.sh";
            assertTrue(header.matches(expected), file + ": " + header);
        }
    }

    /** The functions of the list that a library lacks, but for those that only another library is asked for. */
    @SuppressWarnings("restricted")
    static List<String> missing(Path library, String prefixOfTheOther) throws IOException {
        SymbolLookup lookup = SymbolLookup.libraryLookup(library, Arena.global());
        return symbols().stream().filter(s -> !s.startsWith(prefixOfTheOther) && lookup.find(s).isEmpty()).toList();
    }

    /** The functions of the list, without its comments and constants. */
    static Set<String> symbols() throws IOException {
        return Files.readAllLines(SYMBOLS).stream().map(line -> line.replaceAll("#.*", "").strip())
                .filter(line -> !line.isEmpty() && !line.startsWith("constant ")).collect(Collectors.toCollection(TreeSet::new));
    }

    private static List<Path> generated() throws IOException {
        try (var files = Files.list(GENERATED)) {
            return files.toList();
        }
    }
}
