package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** Tests of the kernels themselves, in every variant that this processor runs. */
abstract class KernelsTest {
    static final List<String> VARIANTS = HostKernels.VARIANTS;
    static final DataType TYPE = DataType.FLOAT32;

    final HostDevice device = HostDevice.open();
    final Random random = new Random(12);
    final List<HostKernels> opened = new ArrayList<>();
    KernelLibrary.Attempt library;

    @BeforeEach
    void load() {
        library = KernelLibrary.load();
        if (Boolean.getBoolean("lora4j.requireKernels")) {
            assertNotNull(library.functions(), library.failure());
        }
        assumeTrue(library.functions() != null, library.failure());
    }

    /** Skips the test where the device does not use the kernels, as with -Dlora4j.kernels=off; fails where they are required. */
    void needsThemInUse() {
        boolean used = device.kernels().startsWith("kernels ");
        assertTrue(used || !Boolean.getBoolean("lora4j.requireKernels"), device.kernels());
        assumeTrue(used, device.kernels());
    }

    @AfterEach
    void close() {
        opened.forEach(HostKernels::close);
        device.close();
    }

    /**
     * A variant's kernels, closed after the test; skips it where this processor does not run them, unless it should:
     * {@code -Dlora4j.requireVariants=avx2,avx512} makes that a failure for these.
     */
    HostKernels open(String variant, int threads) {
        boolean runs = library.functions().runs(variant);
        String none = "this processor does not run " + variant;
        assertTrue(runs || !List.of(System.getProperty("lora4j.requireVariants", "").split(",")).contains(variant), none);
        assumeTrue(runs, none);
        HostKernels kernels = HostKernels.open(variant, library, () -> threads, device);
        opened.add(kernels);
        return kernels;
    }

    boolean suits(HostKernels kernels, DataType type, long m, long n, long k) {
        try (Matrix g = device.allocate(type, m, n)) {
            return kernels.suit(g, k);
        }
    }

    Matrix random(int rows, int cols) {
        Matrix a = device.allocate(TYPE, rows, cols);
        device.uniform(random.nextLong(), a);
        return a;
    }

    void multiply(HostKernels kernels, long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        multiply(kernels, m, n, k, alpha, a, opA, b, opB, beta, c, c);
    }

    void multiply(HostKernels kernels, long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix d, Matrix c) {
        kernels.gemm(opA, opB, m, n, k, alpha, a.segment(), a.leadingDimension(), b.segment(), b.leadingDimension(), beta, d.segment(),
                d.leadingDimension(), c.segment(), c.leadingDimension());
    }
}
