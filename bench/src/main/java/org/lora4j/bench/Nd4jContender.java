package org.lora4j.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.bytedeco.javacpp.Loader;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.nativeblas.NativeOpsHolder;

/**
 * ND4J. The usual form is what its users write: {@code mmul}, {@code transpose}, {@code addi}, each result allocated. The
 * best form known is {@code Nd4j.gemm} with alpha and beta into outputs allocated beforehand, column-major as it wants
 * them. A start takes its whole {@code gesvd}, the only SVD that it has.
 */
final class Nd4jContender implements Contender {
    /** The largest m·n that its SVD is asked for: that of 1024² takes seconds. */
    private static final long LARGEST_SVD = 1024 * 1024;

    private record Arrays(INDArray w, INDArray a, INDArray b, INDArray x, INDArray dy, INDArray g, INDArray da, INDArray db) {}

    private final boolean best;
    private final String loaded;
    private final List<Arrays> sets = new ArrayList<>();
    private Item item;
    private Inputs inputs;
    private INDArray y; // (b, m)
    private INDArray dx; // (b, n)
    private INDArray t; // (b, r)
    private INDArray dt; // (b, r)
    private INDArray w; // (m, n) of a start
    private INDArray a0;
    private INDArray b0;
    private Map<String, float[]> firstResults;

    /** @throws UnsatisfiedLinkError or another error where its natives can't be had */
    Nd4jContender(boolean best, int threads) {
        this.best = best;
        withCoreType(() -> Nd4j.create(1)); // loads the natives; whatever else is called first can't find them
        NativeOpsHolder.getInstance().getDeviceNativeOps().setOmpNumThreads(threads);
        org.bytedeco.openblas.global.openblas.blas_set_num_threads(threads);
        loaded = Loader.getLoadedLibraries().values().stream().filter(path -> path.contains("libnd4jcpu")).map(path -> path.replaceAll(".*/([^/]+)/[^/]+$", "$1"))
                .findFirst().orElse("unknown natives");
    }

    /**
     * Its OpenBLAS, of 2021, takes newer processors for ones without wide vectors and is then several times slower: while it
     * is loaded, the environment names the kernels that this processor's vectors allow.
     */
    private static void withCoreType(Runnable load) {
        String kernels = switch (System.getProperty("org.bytedeco.javacpp.platform.extension", "")) {
            case "-avx512" -> "SkylakeX";
            case "-avx2" -> "Haswell";
            default -> null;
        };
        if (kernels == null) {
            load.run();
            return;
        }
        Linker linker = Linker.nativeLinker();
        MethodHandle set = linker.downcallHandle(linker.defaultLookup().find("setenv").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        MethodHandle unset = linker.downcallHandle(linker.defaultLookup().find("unsetenv").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = arena.allocateFrom("OPENBLAS_CORETYPE");
            int failed = (int) set.invokeExact(name, arena.allocateFrom(kernels), 1);
            try {
                load.run();
            } finally {
                failed = (int) unset.invokeExact(name);
            }
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError("setenv throws nothing", e);
        }
    }

    /** The kernels of the OpenBLAS that it loaded, in that library's own word. */
    private static String kernels() {
        String file = Loader.getLoadedLibraries().values().stream().filter(path -> path.contains("libopenblas")).findFirst().orElse(null);
        try {
            MemorySegment core = SymbolLookup.libraryLookup(file, Arena.global()).find("openblas_get_corename").orElseThrow();
            return ((MemorySegment) Linker.nativeLinker().downcallHandle(core, FunctionDescriptor.of(ValueLayout.ADDRESS)).invoke())
                    .reinterpret(Long.MAX_VALUE).getString(0);
        } catch (Throwable e) {
            return "unknown";
        }
    }

    @Override
    public String name() {
        return best ? "nd4j" : "nd4j usual";
    }

    @Override
    public String description() {
        return "ND4J " + System.getProperty("bench.nd4j") + ", " + loaded + ", its OpenBLAS with " + kernels() + " kernels, " + org.bytedeco.openblas.global.openblas.blas_get_num_threads()
                + " threads";
    }

    @Override
    public boolean takes(Item some) {
        return some.work() == Work.INIT ? best && (long) some.m() * some.n() <= LARGEST_SVD : !some.work().isKernel();
    }

    @Override
    public void prepare(Item some, Inputs values) {
        item = some;
        inputs = values;
        firstResults = null;
        int m = item.m();
        int n = item.n();
        int r = item.r();
        boolean passes = item.work().isPass();
        for (int i = 0; i < inputs.count(); i++) {
            Inputs.Set s = inputs.get(i);
            boolean gradients = item.work() == Work.FORWARD_BACKWARD;
            sets.add(new Arrays(array(s.w(), m, n), array(s.a(), r, n), array(s.b(), m, r), array(s.x(), item.b(), n), array(s.dy(), item.b(), m),
                    array(s.g(), m, n), gradients ? zeros(r, n) : null, gradients ? zeros(m, r) : null));
        }
        if (passes && best) {
            y = zeros(item.b(), m);
            dx = zeros(item.b(), n);
            t = zeros(item.b(), r);
            dt = zeros(item.b(), r);
        }
    }

    private static INDArray array(float[] values, int rows, int cols) {
        return values == null ? null : Nd4j.create(values, new long[] {rows, cols}, 'c');
    }

    private static INDArray zeros(int rows, int cols) {
        return Nd4j.create(DataType.FLOAT, new long[] {rows, cols}, 'f');
    }

    @Override
    public double[] run(int first, int calls) {
        double[] ms = new double[calls];
        for (int i = 0; i < calls; i++) {
            Arrays s = sets.get((first + i) % sets.size());
            if (item.work() == Work.INIT) {
                w = s.w.dup();
            }
            long start = System.nanoTime();
            switch (item.work()) {
                case FORWARD -> forward(s);
                case FORWARD_BACKWARD -> {
                    forward(s);
                    backward(s);
                }
                case INIT -> initialise(s);
                case MERGE -> merge(s);
            }
            ms[i] = (System.nanoTime() - start) / 1e6;
            if (firstResults == null && item.work() == Work.MERGE) { // the next call adds once more
                firstResults = Map.of("w", values(s.w));
            }
        }
        return ms;
    }

    private void forward(Arrays s) {
        double eta = item.eta();
        if (best) {
            Nd4j.gemm(s.x, s.a, t, false, true, eta, 0);
            Nd4j.gemm(s.x, s.w, y, false, true, 1, 0);
            Nd4j.gemm(t, s.b, y, false, true, 1, 1);
        } else {
            t = s.x.mmul(s.a.transpose()).muli(eta);
            y = s.x.mmul(s.w.transpose()).addi(t.mmul(s.b.transpose()));
        }
    }

    private void backward(Arrays s) {
        double eta = item.eta();
        if (best) {
            Nd4j.gemm(s.dy, s.b, dt, false, false, eta, 0);
            Nd4j.gemm(s.dy, t, s.db, true, false, 1, 1);
            Nd4j.gemm(dt, s.x, s.da, true, false, 1, 1);
            Nd4j.gemm(s.dy, s.w, dx, false, false, 1, 0);
            Nd4j.gemm(dt, s.a, dx, false, false, 1, 1);
        } else {
            dt = s.dy.mmul(s.b).muli(eta);
            s.db.addi(s.dy.transpose().mmul(t));
            s.da.addi(dt.transpose().mmul(s.x));
            dx = s.dy.mmul(s.w).addi(dt.mmul(s.a));
        }
    }

    private void merge(Arrays s) {
        if (best) { // Wᵀ, a column-major view of W, takes the product where it stands
            Nd4j.gemm(s.a, s.b, s.w.transpose(), true, true, item.eta(), 1);
        } else {
            s.w.addi(s.b.mmul(s.a).muli(item.eta()));
        }
    }

    /** A0 = c·Vᵀ of the first r, B0 = c·U of the next r, W ← W − η·B0·A0. gesvd destroys its argument. */
    private void initialise(Arrays s) {
        int m = item.m();
        int n = item.n();
        int r = item.r();
        INDArray sigma = zeros(1, Math.min(m, n));
        INDArray u = zeros(m, m);
        INDArray vt = zeros(n, n);
        Nd4j.getBlasWrapper().lapack().gesvd(s.g.dup('f'), sigma, u, vt);
        double c = Math.sqrt(Math.sqrt(m) / 16);
        a0 = vt.get(NDArrayIndex.interval(0, r), NDArrayIndex.all()).mul(c);
        b0 = u.get(NDArrayIndex.all(), NDArrayIndex.interval(r, 2L * r)).mul(c);
        Nd4j.gemm(a0, b0, w.transpose(), true, true, -item.eta(), 1);
    }

    @Override
    public Map<String, float[]> results(Set<String> wanted) {
        if (firstResults != null) {
            return firstResults;
        }
        Arrays s = sets.getFirst();
        Map<String, float[]> results = new HashMap<>();
        for (String name : wanted) {
            results.put(name, values(switch (name) {
                case "y" -> y;
                case "dx" -> dx;
                case "da" -> s.da;
                case "db" -> s.db;
                case "w" -> w;
                case "a" -> a0;
                default -> b0;
            }));
        }
        return results;
    }

    private static float[] values(INDArray a) {
        return a.dup('c').data().asFloat();
    }

    @Override
    public void release() {
        for (Arrays s : sets) {
            for (INDArray a : new INDArray[] {s.w, s.a, s.b, s.x, s.dy, s.g, s.da, s.db}) {
                if (a != null) {
                    a.close();
                }
            }
        }
        sets.clear();
        y = dx = t = dt = w = a0 = b0 = null;
    }

    @Override
    public void close() {
        // ND4J ends with the process
    }
}
