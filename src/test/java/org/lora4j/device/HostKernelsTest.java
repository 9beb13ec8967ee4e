package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.lora4j.Reference;
import org.lora4j.linked.Multiply;

/** Every variant of the kernels that this processor runs, for every shape, and what is said when there is none. */
class HostKernelsTest extends KernelsTest {
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void everyVariantAgreesWithTripleLoops(String variant) {
        HostKernels kernels = open(variant, 2);
        for (int[] s : PowerStepTest.SHAPES) {
            for (int k : PowerStepTest.COLUMNS) {
                PowerStepTest.compare(device, TYPE, s[0], s[1], k, random, kernels::powerStep);
            }
        }
    }

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void nanAndInfinityReachWhatTheyBelongTo(String variant) {
        HostKernels kernels = open(variant, 2);
        PowerStepTest.nanAndInfinity(device, TYPE, random, kernels::powerStep);
        PowerStepTest.infinityStaysInfinity(device, TYPE, random, kernels::powerStep);
    }

    /** Larger than the triple loops can do: many blocks, panels that are fetched ahead, sums of several threads, rows for which there is no room among a product's operands. */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void everyVariantAgreesWithBlas(String variant) {
        for (int threads : new int[] {1, 2, 3, 5}) {
            HostKernels kernels = open(variant, threads);
            for (int[] s : new int[][] {{1031, 769, 16}, {515, 1543, 33}, {2048, 512, 64}, {97, 3001, 7}, {7, 140003, 5}}) {
                String what = variant + ", " + threads + " threads, m=" + s[0] + " n=" + s[1] + " k=" + s[2];
                Reference g = Reference.random(s[0], s[1], TYPE, random);
                Reference v = Reference.random(s[1], s[2], TYPE, random);
                Matrix dg = g.on(device, TYPE);
                Matrix dv = v.on(device, TYPE);
                Matrix y = device.allocate(TYPE, s[0], s[2]);
                Matrix z = device.allocate(TYPE, s[1], s[2]);
                Matrix blasY = device.allocate(TYPE, s[0], s[2]);
                Matrix blasZ = device.allocate(TYPE, s[1], s[2]);
                device.fill(y, Double.NaN);
                device.fill(z, Double.NaN);
                kernels.powerStep(dg, dv, y, z);
                device.gemm(1, dg, Op.NONE, dv, Op.NONE, 0, blasY);
                device.gemm(1, dg, Op.TRANSPOSE, y, Op.NONE, 0, blasZ);
                // two float32 sums of terms of unit variance, each as wrong as assertClose allows: 4·ε·√k·Σ|terms|
                assertNear(what + " Y", blasY, y, 2 * 4 * 0x1p-23 * Math.sqrt(s[1]) * s[1] * 4);
                assertNear(what + " Z", blasZ, z, 2 * 4 * 0x1p-23 * Math.sqrt(s[0]) * s[0] * 4 * Math.sqrt(s[1]));
                double[] first = z.read();
                double norm2 = kernels.powerStepAndNorm(dg, dv, y, z);
                assertArrayEquals(first, z.read(), what + ": the same bits");
                assertEquals(1, norm2 / PowerStepTest.norm2(g), s[0] * s[1] * 0x1p-52, what + " ‖G‖²");
                for (Matrix a : new Matrix[] {dg, dv, y, z, blasY, blasZ}) {
                    a.close();
                }
            }
        }
    }

    private static void assertNear(String what, Matrix expected, Matrix actual, double tolerance) {
        assertArrayEquals(expected.read(), actual.read(), tolerance, what);
    }

    @Test
    void scratchMemoryGrowsIsCountedAndGivenBack() {
        HostKernels kernels = open("portable", 2);
        long before = device.counters().currentBytes();
        step(kernels, 40, 30, 5);
        long small = device.counters().currentBytes() - before;
        assertTrue(small > 0);
        step(kernels, 400, 300, 40);
        long large = device.counters().currentBytes() - before;
        assertTrue(large > small);
        step(kernels, 40, 30, 5);
        assertEquals(large, device.counters().currentBytes() - before);
        kernels.close();
        assertEquals(before, device.counters().currentBytes());
        kernels.close();
        assertEquals(before, device.counters().currentBytes());
    }

    /** Of less than a large page's worth: of similar size, and one. */
    @Test
    void aBlockOfAnyContentIsKeptForTheNext() {
        HostKernels kernels = open("portable", 1);
        long bytes = 1 << 20;
        long address;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = kernels.allocate(arena, bytes, false);
            block.fill((byte) 7);
            address = block.address();
            assertEquals(0, address % 64);
        }
        try (Arena arena = Arena.ofConfined()) {
            assertNotEquals(address, kernels.allocate(arena, bytes / 4, false).address(), "too little for so large a block");
            MemorySegment again = kernels.allocate(arena, bytes * 3 / 4, false);
            assertEquals(address, again.address());
            assertEquals(bytes * 3 / 4, again.byteSize());
            assertNotEquals(address, kernels.allocate(arena, bytes, false).address(), "it is in use");
            assertEquals(0, kernels.allocate(arena, 0, false).byteSize());
            for (byte value : kernels.allocate(arena, bytes, true).toArray(ValueLayout.JAVA_BYTE)) {
                assertEquals(0, value);
            }
        }
        kernels.close();
    }

    /** The last ones serve the next of about their sizes, as they were left, each one once. */
    @Test
    void severalBlocksAreKept() {
        HostKernels kernels = open("portable", 1);
        long third = HostBlocks.LEAST_LARGE / 3;
        long[] sizes = { third, third / 8, third + 64, third / 2 };
        byte[] left = new byte[32]; // free would write there
        Arrays.fill(left, (byte) 7);
        for (int round = 0; round < 2; round++) {
            try (Arena arena = Arena.ofConfined()) {
                for (long size : sizes) {
                    MemorySegment block = kernels.allocate(arena, size, false);
                    assertTrue(round == 0 || block.asSlice(0, 32).mismatch(MemorySegment.ofArray(left)) < 0, size + " bytes are kept");
                    block.fill((byte) (round == 0 ? 7 : 3)); // none is given twice
                }
            }
        }
    }

    /** Two sums of Zᵀ: little beside G, as an initialiser promises. */
    @Test
    void scratchMemoryIsSmall() {
        HostKernels kernels = open("avx2", 2);
        long before = device.counters().currentBytes();
        step(kernels, 2048, 2048, 32);
        long bytes = device.counters().currentBytes() - before;
        assertTrue(bytes <= 2 * 2048 * 32 * 4 + 2 * 16 * 1024, bytes + " bytes");
    }

    private void step(HostKernels kernels, int m, int n, int k) {
        Matrix[] a = {device.allocate(TYPE, m, n), device.allocate(TYPE, n, k), device.allocate(TYPE, m, k), device.allocate(TYPE, n, k)};
        kernels.powerStep(a[0], a[1], a[2], a[3]);
        for (Matrix x : a) {
            x.close();
        }
    }

    @Test
    void theDeviceUsesThem() {
        Matrix g = device.allocate(TYPE, 1024, 512);
        Matrix v = device.allocate(TYPE, 512, 16);
        Matrix y = device.allocate(TYPE, 1024, 16);
        long before = device.counters().currentBytes();
        device.powerStep(g, v, y, null);
        boolean used = device.counters().currentBytes() > before;
        assertEquals(device.kernels().startsWith("kernels "), used, device.kernels());
        assertTrue(device.description().contains(device.kernels()), device.description());
    }

    @Test
    void theDeviceUsesThemUpToTheLimits() {
        needsThemInUse();
        HostKernels kernels = open("portable", 1);
        long side = HostKernels.LEAST_SIDE;
        long other = HostKernels.LEAST_ELEMENTS / side;
        assertTrue(suits(kernels, TYPE, side, other, HostKernels.MOST_COLUMNS));
        assertTrue(suits(kernels, TYPE, other, side, 1));
        assertFalse(suits(kernels, TYPE, side, other, HostKernels.MOST_COLUMNS + 1));
        assertFalse(suits(kernels, TYPE, side, other - 1, 8));
        assertFalse(suits(kernels, TYPE, side - 1, 2 * other, 8));
        assertFalse(suits(kernels, TYPE, 2 * other, side - 1, 8));
        assertFalse(suits(kernels, TYPE, side, other, 0));
        assertFalse(suits(kernels, DataType.FLOAT64, side, other, 8));
    }

    private boolean suits(HostKernels kernels, DataType type, long m, long n, long k) {
        try (Matrix g = device.allocate(type, m, n)) {
            return kernels.suit(g, k);
        }
    }

    /** BLAS has one thread between power steps, whoever else makes some, and then what it had; the description doesn't flicker. */
    @Test
    void blasHasOneThreadBetweenPowerSteps() {
        needsThemInUse();
        Blas blas = BlasLibrary.load().blas();
        int before = blas.threads();
        blas.setThreads(3);
        try (HostDevice other = HostDevice.open(); Matrix g = device.allocate(TYPE, 256, 256); Matrix g2 = other.allocate(TYPE, 256, 256)) {
            String description = device.description();
            Device.PowerSteps first = device.powerSteps(g, 8);
            Device.PowerSteps second = other.powerSteps(g2, 8);
            assertEquals(1, blas.libraryThreads());
            first.close();
            assertEquals(1, blas.libraryThreads());
            assertEquals(description, device.description());
            first.close();
            assertEquals(1, blas.libraryThreads(), "closing again does nothing");
            second.close();
            assertEquals(3, blas.libraryThreads());
            try (Matrix small = device.allocate(TYPE, 8, 8); Device.PowerSteps none = device.powerSteps(small, 8)) {
                assertEquals(3, blas.libraryThreads(), "by BLAS itself");
            }
        } finally {
            blas.setThreads(before);
        }
    }

    // ---- choice

    @Test
    void choices() {
        assertEquals("no native kernels: -Dlora4j.kernels is off", HostKernels.open("off", library, () -> 1, device).description());
        assertEquals("kernels portable", HostKernels.open("portable", library, () -> 1, device).description());
        String auto = HostKernels.open("auto", library, () -> 1, device).description();
        String expected = library.functions().runs("amx") ? "kernels amx" : library.functions().runs("avx512") ? "kernels avx512"
                : library.functions().runs("avx2") ? "kernels avx2" : "no native kernels: this processor has neither AVX-512 nor AVX2 with FMA";
        assertEquals(expected, auto);
        String unknown = assertThrows(IllegalArgumentException.class, () -> HostKernels.open("sse", library, () -> 1, device)).getMessage();
        assertEquals("-Dlora4j.kernels=sse: it must be auto, off or one of amx, avx512, avx2, portable", unknown);
        assertFalse(library.functions().runs("sse"));
    }

    @Test
    void aVariantThatTheProcessorLacksIsAnError() {
        for (String variant : VARIANTS) {
            if (!library.functions().runs(variant)) {
                assertThrows(IllegalArgumentException.class, () -> HostKernels.open(variant, library, () -> 1, device));
            }
        }
    }

    @Test
    void withoutTheLibraryBlasDoesItAndTheReasonIsTold() {
        KernelLibrary.Attempt none = KernelLibrary.load("some-platform/liblora4j_kernels.so");
        assertNull(none.functions());
        HostKernels kernels = HostKernels.open("auto", none, () -> 1, device);
        assertEquals("no native kernels: this build of lora4j has none for " + NativeArtifact.platform(), kernels.description());
        assertFalse(suits(kernels, TYPE, 64, 64, 8));
        kernels.close();
        String message = assertThrows(UnsatisfiedLinkError.class, () -> HostKernels.open("avx2", none, () -> 1, device)).getMessage();
        assertTrue(message.startsWith("-Dlora4j.kernels=avx2: this build"), message);
    }

    @Test
    void aFileThatIsNoLibraryIsReportedInTheLoadersWords(@TempDir Path folder) throws IOException {
        Path garbage = Files.writeString(folder.resolve("liblora4j_kernels.so"), "no library");
        KernelLibrary.Attempt attempt = KernelLibrary.open(garbage);
        assertNull(attempt.functions());
        assertTrue(attempt.failure().contains(garbage.toString()) && attempt.failure().contains("file too short"), attempt.failure());
    }

    @Test
    void aLibraryWithoutThemIsReportedWithWhatItLacks() throws IOException {
        Path openblas = NativeCache.extract(ForkedJvm.openblas(), new ArrayList<>());
        KernelLibrary.Attempt attempt = KernelLibrary.open(openblas.resolveSibling("libgcc_s.so.1"));
        assertNull(attempt.functions());
        assertTrue(attempt.failure().contains("does not export lora4j_kernels_runs, ") && attempt.failure().endsWith("lora4j_ssyev"),
                attempt.failure());
    }

    @Test
    void anotherContentIsAnotherFile() throws IOException {
        List<String> tried = new ArrayList<>();
        Path one = NativeCache.extract("test_of_lora4j.so", new byte[] {1, 2, 3}, tried);
        Path two = NativeCache.extract("test_of_lora4j.so", new byte[] {1, 2, 4}, tried);
        try {
            assertFalse(one.equals(two));
            assertEquals("test_of_lora4j.so", one.getFileName().toString());
            Files.write(one, new byte[] {9, 9, 9});
            assertEquals(one, NativeCache.extract("test_of_lora4j.so", new byte[] {1, 2, 3}, tried));
            assertArrayEquals(new byte[] {1, 2, 3}, Files.readAllBytes(one), "what was changed is written again");
        } finally {
            for (Path file : List.of(one, two)) {
                Files.deleteIfExists(file);
                Files.deleteIfExists(file.getParent());
            }
        }
    }

    @Test
    void theChoiceOfTheProperty() throws Exception {
        String byDefault = ForkedJvm.command(Multiply.class).classPath(ForkedJvm.openblasJar()).run().assertSuccess().output();
        assertTrue(byDefault.contains(", " + HostKernels.open("auto", library, () -> 1, device).description() + ", "), byDefault);
        String off = ForkedJvm.command(Multiply.class).flags("-Dlora4j.kernels=off").classPath(ForkedJvm.openblasJar()).run().assertSuccess().output();
        assertTrue(off.contains(", no native kernels: -Dlora4j.kernels is off, "), off);
        String portable = ForkedJvm.command(Multiply.class).flags("-Dlora4j.kernels=portable").classPath(ForkedJvm.openblasJar()).run()
                .assertSuccess().output();
        assertTrue(portable.contains(", kernels portable, "), portable);
        ForkedJvm.Result wrong = ForkedJvm.command(Multiply.class).flags("-Dlora4j.kernels=sse").classPath(ForkedJvm.openblasJar()).run();
        assertTrue(wrong.exitCode() != 0 && wrong.output().contains("-Dlora4j.kernels=sse"), wrong.output());
    }

    // ---- bindings

    @Test
    void oneClassIsGeneratedForEachSymbol() throws IOException {
        Set<String> expected = Files.readAllLines(Path.of("native/bindings/kernels.symbols")).stream().map(line -> line.replaceAll("#.*", "").strip())
                .filter(line -> !line.isEmpty()).collect(Collectors.toCollection(TreeSet::new));
        expected.add("kernels_h");
        try (var files = Files.list(Path.of("bindings/org/lora4j/bindings/kernels"))) {
            assertEquals(expected, files.map(file -> file.getFileName().toString().replace(".java", "")).collect(Collectors.toCollection(TreeSet::new)));
        }
    }
}
