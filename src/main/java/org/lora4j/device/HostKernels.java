package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.function.IntSupplier;

/**
 * The hand-tuned kernels of {@code native/kernels}, for what BLAS and LAPACK leave slow: products of float32 matrices, above all
 * those with few rows or columns; and in a start by SVD a power step that reads G once, reductions at the speed of memory,
 * triangular systems of few columns and small symmetric matrices' eigenvectors.
 *
 * <p>{@code -Dlora4j.kernels=} chooses among what is in the {@link KernelLibrary}:
 * <ul>
 *   <li>{@code auto} (default): the fastest variant that this processor runs: amx, avx512 or avx2; BLAS alone where it
 *       runs none or the library isn't there,
 *   <li>{@code off}: BLAS alone,
 *   <li>{@code amx}, {@code avx512}, {@code avx2}, {@code portable}: this one, or an error. amx is avx512 but for products of 64 rows
 *       and columns and more, of sums of 128 and more: there each float32 is the sum of three bfloat16, and of the nine products of two
 *       of them the six that count are summed in float32, an error of at most 2⁻²⁴·|a·b| + 2⁻¹²⁵·(|a| + |b| + 3) beside that of summing (Henry, Tang and
 *       Heinecke, arXiv 1904.06376); what is not finite, and where 32 rows of A or columns of B have no element of 2⁻¹⁰⁰, or no
 *       product of two has, avx512 multiplies.
 * </ul>
 * They need the processors, which BLAS's threads keep busy for some 25 ms after each product, looking for work: whoever
 * makes many power steps says so by {@link Device#powerSteps}, and BLAS has one thread meanwhile.
 *
 * <p>One object belongs to one device: it holds threads, as many as BLAS uses, with up to 3.1 MB each into which operands of products
 * are packed (not counted, as BLAS's own are not), scratch memory that grows to what the largest power step needs, and the matrices' memory ({@link HostBlocks}).
 * All begin when they are first needed and end with the device.
 */
final class HostKernels {
    static final String PROPERTY = "lora4j.kernels";
    /** The variants there are, the fastest first. */
    static final List<String> VARIANTS = List.of("amx", "avx512", "avx2", "portable");

    /** Below this many products of two elements, xGEMM is as fast. */
    static final long LEAST_PRODUCTS = 1 << 20;
    /** The same for AᵀB of few columns, and for A·op(B) of few columns or of few products to a sum. */
    static final long LEAST_INNER = 1 << 18;
    static final long LEAST_THIN = 1 << 14;
    /** Below this many bytes a copy by one thread is as fast. */
    static final long LEAST_COPIED = 1 << 20;
    /** Below this many rows that are apart, copying them one by one from Java is as fast. */
    static final long LEAST_ROWS_COPIED = 64;
    /** The most columns of V for which reading G once pays, measured; with more, two products are as fast. */
    static final long MOST_COLUMNS = 64;
    /** The most columns that {@code lora4j_ssolve} takes. */
    static final long MOST_SOLVED = 64;
    /** The most rows for which {@code lora4j_ssyev} is faster than xSYEVD, measured; it takes no more. */
    static final long MOST_EIGEN = 96;
    /** Below this many elements of X, xTRSM is as fast. */
    static final long LEAST_SOLVED = 1 << 11;
    /** Below this many rows or columns of G, filling vectors and tiles with zeros costs more than a second reading of G. */
    static final long LEAST_SIDE = 16;
    /** Below this many elements a call costs more than it saves. */
    static final long LEAST_ELEMENTS = 1 << 14;

    private final KernelLibrary library; // null: no kernels
    private final String variant; // or why there is none
    private final IntSupplier blasThreads;
    private final HostDevice device;
    private final HostBlocks blocks;
    private MemorySegment team = MemorySegment.NULL;
    private int threads;
    private Arena arena;
    private MemorySegment scratch = MemorySegment.NULL;

    private HostKernels(KernelLibrary library, String variant, IntSupplier blasThreads, HostDevice device) {
        this.library = library;
        this.variant = variant;
        this.blasThreads = blasThreads;
        this.device = device;
        this.blocks = new HostBlocks(library);
    }

    /** The kernels that {@code -Dlora4j.kernels} chooses, with as many threads as {@code blasThreads} says at each call. */
    static HostKernels open(IntSupplier blasThreads, HostDevice device) {
        return open(System.getProperty(PROPERTY, "auto"), KernelLibrary.load(), blasThreads, device);
    }

    /**
     * @throws IllegalArgumentException for a choice that there isn't, or a variant that this processor doesn't run
     * @throws UnsatisfiedLinkError for a variant when the library can't be loaded
     */
    static HostKernels open(String choice, KernelLibrary.Attempt library, IntSupplier blasThreads, HostDevice device) {
        if (choice.equals("off")) {
            return new HostKernels(null, "-D" + PROPERTY + " is off", blasThreads, device);
        }
        if (choice.equals("auto")) {
            if (library.functions() == null) {
                return new HostKernels(null, library.failure(), blasThreads, device);
            }
            for (String variant : VARIANTS) {
                if (!variant.equals("portable") && library.functions().runs(variant)) {
                    return new HostKernels(library.functions(), variant, blasThreads, device);
                }
            }
            return new HostKernels(null, "this processor has neither AVX-512 nor AVX2 with FMA", blasThreads, device);
        }
        if (!VARIANTS.contains(choice)) {
            throw new IllegalArgumentException("-D" + PROPERTY + "=" + choice + ": it must be auto, off or one of " + String.join(", ", VARIANTS));
        }
        if (library.functions() == null) {
            throw new UnsatisfiedLinkError("-D" + PROPERTY + "=" + choice + ": " + library.failure());
        }
        if (!library.functions().runs(choice)) {
            throw new IllegalArgumentException("-D" + PROPERTY + "=" + choice + ": this processor does not run it");
        }
        return new HostKernels(library.functions(), choice, blasThreads, device);
    }

    /** "kernels avx512", or "no native kernels: " and why. */
    String description() {
        return library != null ? "kernels " + variant : "no native kernels: " + variant;
    }

    /** Whether C ← α·op(A)·op(B) + β·C, m×n of k products to each sum, is done here, faster than by BLAS. */
    boolean suitProduct(DataType type, Op opA, Op opB, long m, long n, long k, double alpha) {
        return library != null && type == DataType.FLOAT32 && (float) alpha != 0 && k > 0 && m * n >= (leastProducts(opA, opB, m, n, k) + k - 1) / k;
    }

    private static long leastProducts(Op opA, Op opB, long m, long n, long k) {
        if (opA == Op.TRANSPOSE) {
            return opB == Op.NONE && Math.min(m, n) <= 32 && Math.max(m, n) <= 256 && k >= 64 ? LEAST_INNER : LEAST_PRODUCTS;
        }
        return m >= 64 && (n <= 32 && k <= 256 || k <= 16) ? LEAST_THIN : LEAST_PRODUCTS;
    }

    /** C ← α·op(A)·op(B) + β·D; D may be C. */
    void gemm(Op opA, Op opB, long m, long n, long k, double alpha, MemorySegment a, long lda, MemorySegment b, long ldb, double beta, MemorySegment d,
            long ldd, MemorySegment c, long ldc) {
        meet();
        library.gemm(team, opA, opB, m, n, k, alpha, a, lda, b, ldb, beta, d, ldd, c, ldc);
    }

    /** Memory for a matrix; see {@link HostBlocks#allocate}. */
    MemorySegment allocate(Arena arena, long bytes, boolean zeroed) {
        return blocks.allocate(arena, bytes, zeroed);
    }

    /** Whether a power step is done here, faster than by BLAS. */
    boolean suit(Matrix g, long k) {
        return library != null && g.type() == DataType.FLOAT32 && k > 0 && k <= MOST_COLUMNS
                && Math.min(g.rows(), g.cols()) >= LEAST_SIDE && g.rows() * g.cols() >= LEAST_ELEMENTS;
    }

    /** Y ← G·V and, unless {@code z} is null, Z ← Gᵀ·Y. All float32 and none empty. */
    void powerStep(Matrix g, Matrix v, Matrix y, Matrix z) {
        meet();
        reserve(library.scratch(team, g.rows(), g.cols(), v.cols(), z));
        library.powerStep(team, g, v, y, z, null, scratch);
    }

    /** The same, and ‖G‖² summed in float64. */
    double powerStepAndNorm(Matrix g, Matrix v, Matrix y, Matrix z) {
        meet();
        reserve(library.scratch(team, g.rows(), g.cols(), v.cols(), z));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment norm2 = arena.allocate(ValueLayout.JAVA_DOUBLE);
            library.powerStep(team, g, v, y, z, norm2, scratch);
            return norm2.get(ValueLayout.JAVA_DOUBLE, 0);
        }
    }

    /** Whether a copy of A is made here: by one thread a large one is slower than memory, and many short rows take a call each. */
    boolean suitCopy(Matrix source, Matrix target) {
        boolean apart = source.leadingDimension() > source.cols() || target.leadingDimension() > source.cols();
        return library != null && source.cols() > 0
                && (source.rows() * source.cols() * source.type().bytes() >= LEAST_COPIED || apart && source.rows() >= LEAST_ROWS_COPIED);
    }

    /** target ← source, which doesn't overlap it. */
    void copy(Matrix source, Matrix target) {
        meet();
        library.copy(team, source, target);
    }

    /** Whether a reduction of A is made here. */
    boolean suitPass(Matrix a) {
        return library != null && a.type() == DataType.FLOAT32 && a.rows() * a.cols() >= LEAST_ELEMENTS;
    }

    /** Σᵢⱼ Aᵢⱼ·Bᵢⱼ, summed in float64. */
    double dot(Matrix a, Matrix b) {
        meet();
        return library.dot(team, a, b);
    }

    /** The element of largest magnitude, the first of equals; NaN if there is one. */
    double largest(Matrix a) {
        meet();
        return library.largest(team, a);
    }

    /** Whether X·R = α·B is solved here: R of few rows, X of many. */
    boolean suitSolve(Matrix b) {
        return library != null && b.type() == DataType.FLOAT32 && b.cols() <= MOST_SOLVED && b.rows() >= 2 * b.cols()
                && b.rows() * b.cols() >= LEAST_SOLVED;
    }

    /** Solves X·op(T) = α·B, op(T) upper triangular: B ← X. */
    void solve(double alpha, Matrix t, Op op, Matrix b) {
        meet();
        library.solve(team, alpha, t, op, b);
    }

    /**
     * The eigenvalues of A into {@code w} and its eigenvectors into A's rows.
     *
     * @return whether that was done, and A is as it was if not: where A is large or not of float32, an element or an eigenvalue is not a finite
     *     float32, or the iteration does not converge
     */
    boolean eigen(Matrix a, Matrix w) {
        if (library == null || a.type() != DataType.FLOAT32 || a.rows() > MOST_EIGEN) {
            return false;
        }
        meet();
        return library.eigen(team, a, w);
    }

    /** Makes the team as large as BLAS's. */
    private void meet() {
        int wanted = blasThreads.getAsInt();
        if (wanted < 1) {
            wanted = Runtime.getRuntime().availableProcessors();
        }
        if (wanted != threads) {
            dismiss();
            team = library.open(variant, wanted);
            if (team.equals(MemorySegment.NULL)) {
                throw new NativeException("lora4j_team_open(" + variant + ", " + wanted + ")", 0, "NULL: no memory or no threads for the team");
            }
            threads = wanted;
        }
    }

    private void dismiss() {
        if (!team.equals(MemorySegment.NULL)) {
            library.close(team);
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
        blocks.close();
    }
}
