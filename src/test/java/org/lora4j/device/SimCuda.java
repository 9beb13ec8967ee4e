package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/** The simulated CUDA device (native/simcuda) and what a test tells it and asks it. See simcuda.h for what each does. */
public final class SimCuda {
    private static final Path LIBRARY = Path.of(System.getProperty("lora4j.test.sim", "target/simcuda/libsimcuda.so"));

    /** What can be alive. */
    enum Live { DEVICE_MEMORY, PINNED_MEMORY, STREAMS, EVENTS, CUBLAS_HANDLES, CUSOLVER_HANDLES, GESVDJ_INFOS }

    /** Ways to copy, as CUDA numbers them. */
    enum Copy { HOST_TO_HOST, HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE }

    private SimCuda() {}

    /**
     * Whether it was built, for which a C compiler and CMake are needed.
     *
     * @throws AssertionError when it was not and {@code -Dlora4j.requireSim=true}
     */
    public static boolean isBuilt() {
        boolean built = Files.isRegularFile(LIBRARY);
        if (!built && Boolean.getBoolean("lora4j.requireSim")) {
            throw new AssertionError("-Dlora4j.requireSim=true, but there is no " + LIBRARY + ": was there no C compiler or no CMake?");
        }
        return built;
    }

    /** Opens the first simulated GPU. */
    public static Device open() {
        return open(CudaOptions.defaults());
    }

    static CudaDevice open(CudaOptions options) {
        return CudaDevice.open(libraries(), options);
    }

    static CudaLibraries libraries() {
        return CudaLibraries.load(path(), variable -> null);
    }

    static String path() {
        return LIBRARY.toAbsolutePath().toString();
    }

    // ---- control

    static void reset() {
        call("simcuda_reset", null);
    }

    static void failAt(long k, int code) {
        call("simcuda_fail_at", null, k, code);
    }

    static void failLate(long k, int code) {
        call("simcuda_fail_late", null, k, code);
    }

    static boolean faultStruck() {
        return (int) call("simcuda_fault_struck", ValueLayout.JAVA_INT) != 0;
    }

    static void noConvergence(int times) {
        call("simcuda_no_convergence", null, times);
    }

    static void wrongSvd(int times) {
        call("simcuda_wrong_svd", null, times);
    }

    static void memoryLimit(long bytes) {
        call("simcuda_memory_limit", null, bytes);
    }

    static void devices(int count) {
        call("simcuda_devices", null, count);
    }

    /** The newest CUDA that the driver takes, as 12040 for 12.4. */
    static void driver(int version) {
        call("simcuda_driver", null, version);
    }

    static void compute(boolean on) {
        call("simcuda_compute", null, on ? 1 : 0);
    }

    // ---- questions

    static long calls() {
        return (long) call("simcuda_calls", ValueLayout.JAVA_LONG);
    }

    static long calls(String function) {
        try (Arena arena = Arena.ofConfined()) {
            return (long) call("simcuda_calls_of", ValueLayout.JAVA_LONG, arena.allocateFrom(function));
        }
    }

    /** The name of the k-th call since the last reset, from 1. */
    static String call(long k) {
        return text("simcuda_call_name", k);
    }

    static long copies(Copy kind) {
        return (long) call("simcuda_copies", ValueLayout.JAVA_LONG, kind.ordinal());
    }

    static long copiedBytes(Copy kind) {
        return (long) call("simcuda_copied_bytes", ValueLayout.JAVA_LONG, kind.ordinal());
    }

    public static long synchronisations() {
        return (long) call("simcuda_synchronisations", ValueLayout.JAVA_LONG);
    }

    static long live(Live kind) {
        return (long) call("simcuda_live", ValueLayout.JAVA_LONG, kind.ordinal());
    }

    /** Everything that is alive, in words; "" where there is nothing. */
    static String leaks() {
        StringBuilder text = new StringBuilder();
        for (Live kind : Live.values()) {
            if (live(kind) > 0) {
                text.append(kind).append(": ").append(live(kind)).append(' ');
            }
        }
        return text.toString();
    }

    /** The first thing that was done against CUDA's rules, "" if none. */
    static String violation() {
        return text("simcuda_violation");
    }

    private static String text(String function, Object... arguments) {
        MemorySegment text = (MemorySegment) call(function,
                ValueLayout.ADDRESS.withTargetLayout(MemoryLayout.sequenceLayout(Long.MAX_VALUE, ValueLayout.JAVA_BYTE)), arguments);
        return text.equals(MemorySegment.NULL) ? "" : text.getString(0);
    }

    private static Object call(String function, MemoryLayout result, Object... arguments) {
        MemoryLayout[] layouts = new MemoryLayout[arguments.length];
        for (int i = 0; i < layouts.length; i++) {
            layouts[i] = arguments[i] instanceof Long ? ValueLayout.JAVA_LONG : arguments[i] instanceof Integer ? ValueLayout.JAVA_INT : ValueLayout.ADDRESS;
        }
        MethodHandle handle = Linker.nativeLinker().downcallHandle(SymbolLookup.libraryLookup(LIBRARY, Arena.global()).find(function).orElseThrow(),
                result == null ? FunctionDescriptor.ofVoid(layouts) : FunctionDescriptor.of(result, layouts));
        try {
            return handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new AssertionError(function, e);
        }
    }
}
