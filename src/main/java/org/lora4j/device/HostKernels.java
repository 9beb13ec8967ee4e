package org.lora4j.device;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntSupplier;

import org.lora4j.bindings.kernels.*;

/**
 * The hand-tuned kernels of {@code native/kernels}, for what BLAS leaves to be desired: a power step that
 * reads G once, and reductions at the speed of memory.
 *
 * <p>The library is inside the jar where a C compiler was there when it was built. {@code -Dlora4j.kernels=} chooses:
 * <ul>
 *   <li>{@code auto} (default): the variant for the widest vectors of this processor, avx512 or avx2; BLAS alone where it
 *       has neither or the library isn't there,
 *   <li>{@code off}: BLAS alone,
 *   <li>{@code avx512}, {@code avx2}, {@code portable}: this one, or an error.
 * </ul>
 * They need the processors, which BLAS's threads keep busy for some 25 ms after each product, looking for work: whoever
 * makes many power steps says so by {@link Device#powerSteps}, and BLAS has one thread meanwhile.
 *
 * One object belongs to one device: it holds threads, as many as BLAS uses, and scratch memory that grows to what the
 * largest power step needs. Both begin with the first power step and end with the device.
 */
final class HostKernels {
    static final String PROPERTY = "lora4j.kernels";
    /** The variants there are, the fastest first. */
    static final List<String> VARIANTS = List.of("avx512", "avx2", "portable");
    private static final String[] SYMBOLS = {"lora4j_kernels_runs", "lora4j_team_open", "lora4j_team_threads", "lora4j_team_close",
        "lora4j_spower_step_scratch", "lora4j_spower_step", "lora4j_sdot", "lora4j_slargest", "lora4j_ssolve"};

    /** The most columns of V for which reading G once pays, measured; with more, products by BLAS are as fast. */
    static final long MOST_COLUMNS = 128;
    /** The most columns that {@code lora4j_ssolve} takes. */
    static final long MOST_SOLVED = 64;
    /** Below this many rows or columns of G, filling vectors and tiles with zeros costs more than a second reading of G. */
    static final long LEAST_SIDE = 16;
    /** Below this many elements a call costs more than it saves. */
    static final long LEAST_ELEMENTS = 1 << 14;

    private static Attempt attempt;

    private final Functions functions; // null: no kernels
    private final String variant; // or why there is none
    private final IntSupplier blasThreads;
    private final HostDevice device;
    private MemorySegment team = MemorySegment.NULL;
    private int threads;
    private Arena arena;
    private MemorySegment scratch = MemorySegment.NULL;

    private HostKernels(Functions functions, String variant, IntSupplier blasThreads, HostDevice device) {
        this.functions = functions;
        this.variant = variant;
        this.blasThreads = blasThreads;
        this.device = device;
    }

    /** The kernels that {@code -Dlora4j.kernels} chooses, with as many threads as {@code blasThreads} says at each call. */
    static HostKernels open(IntSupplier blasThreads, HostDevice device) {
        return open(System.getProperty(PROPERTY, "auto"), load(), blasThreads, device);
    }

    /**
     * @throws IllegalArgumentException for a choice that there isn't, or a variant that this processor doesn't run
     * @throws UnsatisfiedLinkError for a variant when the library can't be loaded
     */
    static HostKernels open(String choice, Attempt library, IntSupplier blasThreads, HostDevice device) {
        if (choice.equals("off")) {
            return new HostKernels(null, "-D" + PROPERTY + " is off", blasThreads, device);
        }
        if (choice.equals("auto")) {
            if (library.functions == null) {
                return new HostKernels(null, library.failure, blasThreads, device);
            }
            for (String variant : VARIANTS) {
                if (!variant.equals("portable") && library.functions.runs(variant)) {
                    return new HostKernels(library.functions, variant, blasThreads, device);
                }
            }
            return new HostKernels(null, "this processor has neither AVX-512 nor AVX2 with FMA", blasThreads, device);
        }
        if (!VARIANTS.contains(choice)) {
            throw new IllegalArgumentException("-D" + PROPERTY + "=" + choice + ": it must be auto, off or one of " + String.join(", ", VARIANTS));
        }
        if (library.functions == null) {
            throw new UnsatisfiedLinkError("-D" + PROPERTY + "=" + choice + ": " + library.failure);
        }
        if (!library.functions.runs(choice)) {
            throw new IllegalArgumentException("-D" + PROPERTY + "=" + choice + ": this processor does not run it");
        }
        return new HostKernels(library.functions, choice, blasThreads, device);
    }

    /** "kernels avx512", or "no native kernels: " and why. */
    String description() {
        return functions != null ? "kernels " + variant : "no native kernels: " + variant;
    }

    /** Whether a power step is done here, faster than by BLAS. */
    boolean suit(Matrix g, long k) {
        return functions != null && g.type() == DataType.FLOAT32 && k > 0 && k <= MOST_COLUMNS
                && Math.min(g.rows(), g.cols()) >= LEAST_SIDE && g.rows() * g.cols() >= LEAST_ELEMENTS;
    }

    /** Y ← G·V and, unless {@code z} is null, Z ← Gᵀ·Y. All float32 and none empty. */
    void powerStep(Matrix g, Matrix v, Matrix y, Matrix z) {
        meet();
        reserve(functions.scratch(team, g.rows(), g.cols(), v.cols(), v.leadingDimension(), z != null));
        functions.powerStep(team, g, v, y, z, scratch);
    }

    /** Whether a pass over A is made here: one that takes longer than waking the threads. */
    boolean suit(Matrix a) {
        return functions != null && a.type() == DataType.FLOAT32 && a.rows() * a.cols() >= LEAST_ELEMENTS;
    }

    /** Σᵢⱼ Aᵢⱼ·Bᵢⱼ, summed in float64. */
    double dot(Matrix a, Matrix b) {
        meet();
        return functions.dot(team, a, b);
    }

    /** The element of largest magnitude, the first of equals; NaN if there is one. */
    double largest(Matrix a) {
        meet();
        return functions.largest(team, a);
    }

    /** Whether X·R = α·B is solved here: R of few rows, X of many. */
    boolean suitSolve(Matrix b) {
        return functions != null && b.type() == DataType.FLOAT32 && b.cols() <= MOST_SOLVED && b.rows() >= 2 * b.cols();
    }

    /** Solves X·op(T) = α·B, op(T) upper triangular: B ← X. */
    void solve(double alpha, Matrix t, Op op, Matrix b) {
        meet();
        functions.solve(team, alpha, t, op, b);
    }

    /** Makes the team as large as BLAS's. */
    private void meet() {
        int wanted = blasThreads.getAsInt();
        if (wanted < 1) {
            wanted = Runtime.getRuntime().availableProcessors();
        }
        if (wanted != threads) {
            dismiss();
            team = functions.open(variant, wanted);
            if (team.equals(MemorySegment.NULL)) {
                throw new NativeException("lora4j_team_open(" + variant + ", " + wanted + ")", 0, "NULL: no memory or no threads for the team");
            }
            threads = wanted;
        }
    }

    private void dismiss() {
        if (!team.equals(MemorySegment.NULL)) {
            functions.close(team);
            team = MemorySegment.NULL;
            threads = 0;
        }
    }

    private void reserve(long bytes) {
        if (scratch.byteSize() < bytes) {
            release();
            Arena larger = Arena.ofShared();
            try {
                scratch = device.allocate(larger, bytes);
            } catch (OutOfDeviceMemoryException e) {
                larger.close();
                throw e;
            }
            arena = larger;
        }
    }

    private void release() {
        if (arena != null) {
            device.countFreed(scratch.byteSize());
            arena.close();
            arena = null;
            scratch = MemorySegment.NULL;
        }
    }

    /** Ends the threads and frees the scratch memory. */
    void close() {
        dismiss();
        release();
    }

    // ---- the library

    /** What came of loading the library: its functions, or why it can't be used. */
    record Attempt(Functions functions, String failure) {
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
        try (InputStream in = HostKernels.class.getResourceAsStream(resource)) {
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
        return missing.isEmpty() ? new Attempt(new Functions(library), null)
                : Attempt.failed(file + " does not export " + String.join(", ", missing));
    }

    /** The functions of one loaded library. */
    static final class Functions {
        private final MemorySegment runs;
        private final MemorySegment open;
        private final MemorySegment close;
        private final MemorySegment scratch;
        private final MemorySegment powerStep;
        private final MemorySegment dot;
        private final MemorySegment largest;
        private final MemorySegment solve;

        private Functions(SymbolLookup library) {
            runs = library.find("lora4j_kernels_runs").orElseThrow();
            open = library.find("lora4j_team_open").orElseThrow();
            close = library.find("lora4j_team_close").orElseThrow();
            scratch = library.find("lora4j_spower_step_scratch").orElseThrow();
            powerStep = library.find("lora4j_spower_step").orElseThrow();
            dot = library.find("lora4j_sdot").orElseThrow();
            largest = library.find("lora4j_slargest").orElseThrow();
            solve = library.find("lora4j_ssolve").orElseThrow();
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

        long scratch(MemorySegment team, long m, long n, long k, long ldv, boolean withZ) {
            return lora4j_spower_step_scratch.invoke(scratch, team, m, n, k, ldv, withZ ? 1 : 0);
        }

        void powerStep(MemorySegment team, Matrix g, Matrix v, Matrix y, Matrix z, MemorySegment scratch) {
            lora4j_spower_step.invoke(powerStep, team, g.rows(), g.cols(), v.cols(), g.segment(), g.leadingDimension(), v.segment(),
                    v.leadingDimension(), y.segment(), y.leadingDimension(), z == null ? MemorySegment.NULL : z.segment(),
                    z == null ? v.cols() : z.leadingDimension(), scratch);
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
    }
}
