package org.lora4j.device;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import org.lora4j.bindings.kernels.*;

/**
 * The functions of the library that is built from {@code native/kernels}, which is inside the jar where a C compiler was
 * there when it was built.
 */
final class KernelLibrary {
    private static final String[] SYMBOLS = {"lora4j_kernels_runs", "lora4j_team_open", "lora4j_team_close", "lora4j_memory_allocate", "lora4j_memory_free",
        "lora4j_memory_map", "lora4j_memory_unmap", "lora4j_memory_idle", "lora4j_sgemm", "lora4j_spower_step_scratch", "lora4j_spower_step", "lora4j_copy", "lora4j_sdot", "lora4j_slargest", "lora4j_ssolve",
        "lora4j_ssyev"};

    private static Attempt attempt;

    private final MemorySegment runs;
    private final MemorySegment open;
    private final MemorySegment close;
    private final MemorySegment allocate;
    private final MemorySegment free;
    private final MemorySegment map;
    private final MemorySegment unmap;
    private final MemorySegment idle;
    private final MemorySegment gemm;
    private final MemorySegment scratch;
    private final MemorySegment powerStep;
    private final MemorySegment copy;
    private final MemorySegment dot;
    private final MemorySegment largest;
    private final MemorySegment solve;
    private final MemorySegment eigen;

    private KernelLibrary(SymbolLookup library) {
        runs = library.find("lora4j_kernels_runs").orElseThrow();
        open = library.find("lora4j_team_open").orElseThrow();
        close = library.find("lora4j_team_close").orElseThrow();
        allocate = library.find("lora4j_memory_allocate").orElseThrow();
        free = library.find("lora4j_memory_free").orElseThrow();
        map = library.find("lora4j_memory_map").orElseThrow();
        unmap = library.find("lora4j_memory_unmap").orElseThrow();
        idle = library.find("lora4j_memory_idle").orElseThrow();
        gemm = library.find("lora4j_sgemm").orElseThrow();
        scratch = library.find("lora4j_spower_step_scratch").orElseThrow();
        powerStep = library.find("lora4j_spower_step").orElseThrow();
        copy = library.find("lora4j_copy").orElseThrow();
        dot = library.find("lora4j_sdot").orElseThrow();
        largest = library.find("lora4j_slargest").orElseThrow();
        solve = library.find("lora4j_ssolve").orElseThrow();
        eigen = library.find("lora4j_ssyev").orElseThrow();
    }

    /** What came of loading the library: its functions, or why it can't be used. */
    record Attempt(KernelLibrary functions, String failure) {
        static Attempt failed(String why) {
            return new Attempt(null, why);
        }
    }

    /** Loads the library, once a process. */
    static synchronized Attempt load() {
        if (attempt == null) {
            attempt = load(NativeArtifact.platform() + "/" + System.mapLibraryName("lora4j_kernels"));
        }
        return attempt;
    }

    static Attempt load(String resource) {
        List<String> tried = new ArrayList<>();
        try (InputStream in = KernelLibrary.class.getResourceAsStream(resource)) {
            if (in == null) {
                return Attempt.failed("this build of lora4j has none for " + NativeArtifact.platform());
            }
            Path file = NativeCache.extract(resource.substring(resource.lastIndexOf('/') + 1), in.readAllBytes(), tried);
            return open(file);
        } catch (IOException e) {
            tried.add(e.toString());
            return Attempt.failed(String.join("; ", tried));
        }
    }

    /** Opens a library, or tells in the loader's words why it can't be opened. */
    static Attempt open(Path file) {
        SymbolLookup library;
        try {
            library = DynamicLoader.open(file.toString());
        } catch (UnsatisfiedLinkError e) {
            return Attempt.failed(e.getMessage());
        }
        List<String> missing = new ArrayList<>();
        for (String symbol : SYMBOLS) {
            if (library.find(symbol).isEmpty()) {
                missing.add(symbol);
            }
        }
        return missing.isEmpty() ? new Attempt(new KernelLibrary(library), null)
                : Attempt.failed(file + " does not export " + String.join(", ", missing));
    }

    boolean runs(String variant) {
        try (Arena arena = Arena.ofConfined()) {
            return lora4j_kernels_runs.invoke(runs, arena.allocateFrom(variant)) != 0;
        }
    }

    MemorySegment open(String variant, int threads) {
        try (Arena arena = Arena.ofConfined()) {
            return lora4j_team_open.invoke(open, arena.allocateFrom(variant), threads);
        }
    }

    void close(MemorySegment team) {
        lora4j_team_close.invoke(close, team);
    }

    /** Memory of any content, for {@link #free}; NULL where there is none. */
    MemorySegment allocate(long bytes) {
        MemorySegment memory = lora4j_memory_allocate.invoke(allocate, bytes);
        return memory.equals(MemorySegment.NULL) ? memory : memory.reinterpret(bytes);
    }

    void free(MemorySegment memory) {
        lora4j_memory_free.invoke(free, memory);
    }

    /** Zeroed memory in large pages, for {@link #unmap}; NULL where there is none. */
    MemorySegment map(long bytes) {
        MemorySegment memory = lora4j_memory_map.invoke(map, bytes);
        return memory.equals(MemorySegment.NULL) ? memory : memory.reinterpret(bytes);
    }

    void unmap(MemorySegment memory) {
        lora4j_memory_unmap.invoke(unmap, memory, memory.byteSize());
    }

    /** Lets the system have the pages of mapped memory, if it needs them. */
    void idle(MemorySegment memory) {
        lora4j_memory_idle.invoke(idle, memory, memory.byteSize());
    }

    void gemm(MemorySegment team, Op opA, Op opB, long m, long n, long k, double alpha, MemorySegment a, long lda, MemorySegment b, long ldb,
            double beta, MemorySegment d, long ldd, MemorySegment c, long ldc) {
        lora4j_sgemm.invoke(gemm, team, opA == Op.NONE ? 0 : 1, opB == Op.NONE ? 0 : 1, m, n, k, (float) alpha, a, lda, b, ldb, (float) beta, d, ldd, c,
                ldc);
    }

    long scratch(MemorySegment team, long m, long n, long k, Matrix z) {
        return lora4j_spower_step_scratch.invoke(scratch, team, m, n, k, z == null ? 0 : z.leadingDimension());
    }

    /** A {@code z} or {@code norm2} that is not wanted is null. */
    void powerStep(MemorySegment team, Matrix g, Matrix v, Matrix y, Matrix z, MemorySegment norm2, MemorySegment scratch) {
        lora4j_spower_step.invoke(powerStep, team, g.rows(), g.cols(), v.cols(), g.segment(), g.leadingDimension(), v.segment(),
                v.leadingDimension(), y.segment(), y.leadingDimension(), z == null ? MemorySegment.NULL : z.segment(),
                z == null ? v.cols() : z.leadingDimension(), norm2 == null ? MemorySegment.NULL : norm2, scratch);
    }

    void copy(MemorySegment team, Matrix from, Matrix to) {
        int size = from.type().bytes();
        lora4j_copy.invoke(copy, team, from.rows(), from.cols() * size, from.segment(), from.leadingDimension() * size, to.segment(),
                to.leadingDimension() * size);
    }

    double dot(MemorySegment team, Matrix a, Matrix b) {
        return lora4j_sdot.invoke(dot, team, a.rows(), a.cols(), a.segment(), a.leadingDimension(), b.segment(), b.leadingDimension());
    }

    float largest(MemorySegment team, Matrix a) {
        return lora4j_slargest.invoke(largest, team, a.rows(), a.cols(), a.segment(), a.leadingDimension());
    }

    void solve(MemorySegment team, double alpha, Matrix t, Op op, Matrix b) {
        long ld = t.leadingDimension();
        lora4j_ssolve.invoke(solve, team, b.rows(), b.cols(), (float) alpha, t.segment(), op == Op.NONE ? ld : 1, op == Op.NONE ? 1 : ld, b.segment(),
                b.leadingDimension());
    }

    /** Whether A's eigenvectors are in its rows now; if not, A is what it was. */
    boolean eigen(MemorySegment team, Matrix a, Matrix w) {
        return lora4j_ssyev.invoke(eigen, team, a.rows(), a.segment(), a.leadingDimension(), w.segment()) != 0;
    }
}
