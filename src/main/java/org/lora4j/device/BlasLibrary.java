package org.lora4j.device;

import java.io.IOException;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The BLAS that the host device uses, loaded once a process.
 *
 * <p>{@code -Dlora4j.blas=} chooses it:
 * <ul>
 *   <li>{@code openblas} (default): from the artifact org.bytedeco:openblas,
 *   <li>{@code mkl}: from the artifact org.bytedeco:mkl with the classifier ending in {@code -redist},
 *   <li>a path: any library that exports CBLAS and LAPACKE with 32-bit integers.
 * </ul>
 * {@code -Dlora4j.threads=} sets its threads. Without it the library gets as many threads as the JVM has processors,
 * unless OPENBLAS_NUM_THREADS, MKL_NUM_THREADS or OMP_NUM_THREADS is in the environment.
 *
 * <p>Functions are looked up in this very library, never by class loader or in the whole process, so another BLAS that
 * was loaded before is neither used nor disturbed. (Where this one comes first, native code loaded later that asks for a
 * library of the same SONAME, as ND4J's does, is given this one by the system's loader, and shares its threads.)
 */
final class BlasLibrary {
    private static BlasLibrary loaded;

    private final Blas blas;
    private final String origin;

    private BlasLibrary(Blas blas, String origin) {
        this.blas = blas;
        this.origin = origin;
    }

    Blas blas() {
        return blas;
    }

    /** The file it was loaded from and where that came from. */
    String origin() {
        return origin;
    }

    /**
     * The library, loaded at the first call. A failed attempt leaves nothing behind: the next call tries again.
     *
     * @throws UnsatisfiedLinkError listing everything that was tried and the loader's own words
     */
    static synchronized BlasLibrary load() {
        if (loaded == null) {
            loaded = load(System.getProperty("lora4j.blas", "openblas"), System.getProperty("lora4j.threads"));
        }
        return loaded;
    }

    static BlasLibrary load(String choice, String threads) {
        List<String> tried = new ArrayList<>();
        BlasLibrary library = switch (choice) {
            case "openblas" -> fromArtifact(NativeArtifact.OPENBLAS, tried);
            case "mkl" -> fromArtifact(NativeArtifact.MKL, tried);
            default -> fromPath(choice, tried);
        };
        if (library == null) {
            throw new UnsatisfiedLinkError("no BLAS for -Dlora4j.blas=" + choice + " (openblas, mkl or the path of a library). Tried:\n  "
                    + String.join("\n  ", tried));
        }
        library.setThreads(threads);
        return library;
    }

    private static BlasLibrary fromArtifact(NativeArtifact.Name name, List<String> tried) {
        for (NativeArtifact artifact : NativeArtifact.find(name, tried)) {
            try {
                Path file = NativeCache.extract(artifact, tried);
                BlasLibrary library = open(file, file + " from " + artifact, tried);
                if (library != null) {
                    return library;
                }
            } catch (IOException e) {
                tried.add(artifact + ": " + e);
            }
        }
        return null;
    }

    private static BlasLibrary fromPath(String choice, List<String> tried) {
        Path file;
        try {
            file = Path.of(choice).toAbsolutePath();
        } catch (InvalidPathException e) {
            tried.add(choice + ": " + e.getMessage());
            return null;
        }
        if (!Files.isRegularFile(file)) {
            tried.add(file + ": there is no such file");
            return null;
        }
        return open(file, file.toString(), tried);
    }

    /** Opens a library and binds its functions, or adds to {@code tried} why that can't be done and returns null. */
    private static BlasLibrary open(Path file, String origin, List<String> tried) {
        try {
            return new BlasLibrary(new Blas(lookup(file)), origin);
        } catch (UnsatisfiedLinkError e) {
            tried.add(origin + ": " + e.getMessage());
        }
        return null;
    }

    /**
     * OpenBLAS finds libgfortran beside itself, but libgfortran looks for what it needs in the system only. Where the
     * system lacks these (a container without a compiler's run-time libraries), the artifact's own are opened first.
     */
    private static SymbolLookup lookup(Path file) {
        for (String needed : List.of("libquadmath.so.0", "libgcc_s.so.1")) {
            try {
                return DynamicLoader.open(file.toString());
            } catch (UnsatisfiedLinkError e) {
                openBeside(file, needed);
            }
        }
        return DynamicLoader.open(file.toString());
    }

    private static void openBeside(Path file, String needed) {
        try {
            DynamicLoader.open(file.resolveSibling(needed).toString());
        } catch (UnsatisfiedLinkError e) {
            // Then the file that needs it can't be opened either, which is reported in the loader's words.
        }
    }

    private void setThreads(String property) {
        if (property == null) {
            boolean environment = System.getenv("OPENBLAS_NUM_THREADS") != null || System.getenv("MKL_NUM_THREADS") != null
                    || System.getenv("OMP_NUM_THREADS") != null;
            if (!environment) {
                blas.setThreads(Runtime.getRuntime().availableProcessors());
            }
            return;
        }
        int threads;
        try {
            threads = Integer.parseInt(property.strip());
        } catch (NumberFormatException e) {
            threads = 0;
        }
        if (threads < 1) {
            throw new IllegalArgumentException("-Dlora4j.threads=" + property + ": it must be a whole number from 1");
        }
        if (!blas.setThreads(threads)) {
            throw new IllegalArgumentException("-Dlora4j.threads=" + property + ": " + origin
                    + " exports neither openblas_set_num_threads nor MKL_Set_Num_Threads");
        }
    }
}
