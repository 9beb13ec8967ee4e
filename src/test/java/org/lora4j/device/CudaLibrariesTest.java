package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Where CUDA's libraries are looked for, and what is said when they are not there. */
class CudaLibrariesTest extends SimCudaTest {
    private Path folder; // not JUnit's, which warns of links that lead out of it

    @BeforeEach
    void makeFolder() throws IOException {
        folder = Files.createTempDirectory(Path.of("target").toAbsolutePath(), "cuda");
    }

    @AfterEach
    void deleteFolder() throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }

    private static String failure(String property, Map<String, String> environment) {
        return assertThrows(DeviceUnavailableException.class, () -> CudaLibraries.load(property, environment::get)).getMessage();
    }

    @Test
    void everyPathThatWasTriedIsNamedWithTheLoadersWords() throws IOException {
        Path broken = Files.writeString(folder.resolve("libcudart.so.13"), "not a library");
        Path none = folder.resolve("none");
        String message = failure(folder + File.pathSeparator + none, Map.of());
        for (String part : List.of(broken + ": ", "too short", none + ": there is no such file or folder", folder.resolve("libcudart.so.12") + ": there is no such file",
                "-Dlora4j.cuda=" + folder)) {
            assertTrue(message.contains(part), message);
        }
        assertFalse(message.contains("\n  libcudart.so.13: "), "where the property says where, the loader is not asked: " + message);
    }

    @Test
    void theToolkitOfTheEnvironmentComesBeforeTheLoader() throws IOException {
        Path lib64 = Files.createDirectories(folder.resolve("lib64"));
        Files.writeString(lib64.resolve("libcudart.so.12"), "not a library");
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            try {
                CudaLibraries.load(null, Map.of(variable, folder.toString())::get);
            } catch (DeviceUnavailableException e) { // where the loader finds no CUDA either
                String message = e.getMessage();
                assertTrue(message.contains(lib64.resolve("libcudart.so.13") + ": there is no such file"), message);
                assertTrue(message.contains(lib64.resolve("libcudart.so.12") + ": ") && message.indexOf("lib64") < message.indexOf("\n  libcudart.so.12: "), message);
            }
        }
    }

    @Test
    void aLibraryThatIsNoCudaIsRefusedByWhatItLacks() {
        Path kernels = Path.of("target/classes/org/lora4j/device/linux-x86_64/liblora4j_kernels.so").toAbsolutePath();
        String message = failure(kernels.toString(), Map.of());
        if (Files.exists(kernels)) {
            assertTrue(message.contains("it does not export cudaRuntimeGetVersion, ") && message.contains("cudaEventDestroy"), message);
        }
    }

    @Test
    void oneLibraryMayHaveItAll() {
        CudaLibraries libraries = SimCuda.libraries();
        assertEquals(SimCuda.path(), libraries.origin());
        assertTrue(libraries.versions().matches("CUDA 1[23]\\.\\d, driver for up to 1[23]\\.\\d"), libraries.versions());
        assertSame(libraries, SimCuda.libraries());
    }

    /** The same JVM finds what was not there before. */
    @Test
    void askingAgainAfterInstallingItWorks() throws IOException {
        Path library = folder.resolve("libcudart.so.13");
        String property = folder.toString();
        failure(property, Map.of());
        Files.writeString(library, "not a library");
        failure(property, Map.of());
        Files.delete(library);
        for (String name : List.of("libcudart.so.13", "libcublas.so.13", "libcusolver.so.12")) {
            Files.createSymbolicLink(folder.resolve(name), Path.of(SimCuda.path()));
        }
        CudaLibraries libraries = CudaLibraries.load(property, variable -> null);
        assertEquals(library.toString(), libraries.origin());
        try (CudaDevice device = CudaDevice.open(libraries, CudaOptions.defaults())) {
            assertTrue(device.description().startsWith("cuda:0, "), device.description());
        }
    }

    @Test
    void aVersionThatIsTooNewForTheDriverIsPassedOver() throws IOException {
        Files.createSymbolicLink(folder.resolve("libcudart.so.13"), Path.of(SimCuda.path()));
        SimCuda.driver(12040);
        String message = failure(folder.toString(), Map.of());
        assertTrue(message.contains("libcudart.so.13: it is CUDA 13.0; the driver is for up to 12.4"), message);
        assertTrue(message.contains("libcudart.so.12: there is no such file"), "the next was tried: " + message);
        SimCuda.driver(13010);
        CudaLibraries.load(folder.toString(), variable -> null);
    }

    @Test
    void whatIsMissingBesideTheRuntimeIsNamed() throws IOException {
        Files.createSymbolicLink(folder.resolve("libcudart.so.13"), Path.of(SimCuda.path()));
        CudaLibraries libraries = CudaLibraries.load(folder.toString(), variable -> null);
        String message = assertThrows(DeviceUnavailableException.class, () -> CudaDevice.open(libraries, CudaOptions.defaults())).getMessage();
        assertTrue(message.contains("libcublas.so.13"), message);
        Files.createSymbolicLink(folder.resolve("libcublas.so.13"), Path.of(SimCuda.path()));
        message = assertThrows(DeviceUnavailableException.class, () -> CudaDevice.open(CudaLibraries.load(folder.toString(), v -> null), CudaOptions.defaults()))
                .getMessage();
        assertTrue(message.contains("libcusolver.so.12") || message.contains("libcublas.so.13"), message);
    }
}
