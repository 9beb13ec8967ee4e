package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.lora4j.Framed;
import org.lora4j.Reference;

/** The kernels' products, in every variant, against float64 triple loops, and where the device uses them. */
class HostProductTest extends KernelsTest {
    /** m, n, k: every number of rows of a tile and those of two that share, around vectors, slivers, bands and depths; long and short.
        From 64×64 of 128 products on amx does them: around its tiles, chunks and depths. Last the thin ones: around vectors,
        groups of columns and of rows, strips, chunks, products that are made side by side, and what is just not thin. */
    private static final int[][] SHAPES = {{1, 1, 1}, {2, 3, 5}, {3, 8, 4}, {4, 16, 7}, {5, 31, 16}, {6, 32, 17}, {7, 33, 64}, {8, 47, 3}, {9, 48, 12},
        {10, 49, 31}, {11, 64, 33}, {12, 65, 8}, {13, 4, 100}, {14, 15, 56}, {15, 17, 20}, {16, 16, 16}, {20, 40, 9}, {21, 70, 11}, {27, 12, 40},
        {28, 96, 5}, {29, 33, 6}, {43, 20, 70}, {1, 400, 30}, {230, 5, 10}, {100, 385, 12}, {20, 18, 511}, {17, 33, 512}, {30, 20, 513}, {49, 50, 528}, {50, 49, 529},
        {33, 65, 1030}, {113, 131, 140},
        {64, 64, 128}, {65, 79, 129}, {80, 97, 143}, {81, 64, 144}, {95, 112, 160}, {127, 80, 641}, {64, 600, 135},
        {1, 1, 64}, {8, 48, 129}, {9, 25, 300}, {32, 256, 128}, {3, 250, 700}, {31, 7, 257}, {33, 33, 64}, {4, 257, 70},
        {64, 1, 1}, {65, 7, 9}, {130, 24, 40}, {67, 31, 256}, {200, 32, 3}, {96, 25, 17}, {71, 32, 257}, {63, 9, 30},
        {70, 33, 16}, {65, 200, 7}, {64, 40, 17}, {100, 97, 1}, {48, 100, 97}, {49, 100, 97}, {2, 145, 200}, {11, 300, 95}, {47, 130, 193}, {24, 47, 192},
        {150, 41, 300}, {5, 90, 4100}, {64, 2, 7}, {37, 4, 259}, {40, 12, 91}, {66, 16, 303}, {69, 24, 261}, {8, 6, 258}, {4, 11, 263},
        {50, 65, 20}, {51, 66, 21}, {52, 95, 24}, {53, 96, 19}, {54, 97, 33}, {55, 70, 18}, {56, 70, 40}, {57, 81, 17}, {58, 60, 25}, {59, 49, 639}, {60, 50, 640},
        {61, 70, 641}, {62, 80, 26}, {63, 90, 27}, {67, 14, 300}, {71, 16, 258}, {68, 29, 301}, {70, 32, 262}};
    private static final double[][] ALPHA_BETA = {{1, 0}, {-0.5, 1}, {1.25, -0.5}};

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void everyVariantAgreesWithTripleLoops(String variant) {
        HostKernels kernels = open(variant, 2);
        for (int[] s : SHAPES) {
            Reference a = Reference.random(s[0], s[2], TYPE, random);
            Reference b = Reference.random(s[2], s[1], TYPE, random);
            Reference c = Reference.random(s[0], s[1], TYPE, random);
            Reference product = a.times(b);
            Reference magnitude = a.magnitudes().times(b.magnitudes());
            for (Op opA : Op.values()) {
                for (Op opB : Op.values()) {
                    Framed fa = Framed.of(device, TYPE, opA == Op.NONE ? a : a.transpose());
                    Framed fb = Framed.of(device, TYPE, opB == Op.NONE ? b : b.transpose());
                    Framed fc = Framed.nan(device, TYPE, s[0], s[1]);
                    for (double[] ab : ALPHA_BETA) {
                        String what = variant + " m=" + s[0] + " n=" + s[1] + " k=" + s[2] + " A " + opA + " B " + opB + " alpha=" + ab[0] + " beta=" + ab[1];
                        if (ab[1] != 0) {
                            fc.inside().write(c.data());
                        }
                        multiply(kernels, s[0], s[1], s[2], ab[0], fa.inside(), opA, fb.inside(), opB, ab[1], fc.inside());
                        product.times(ab[0]).plus(ab[1], c).assertClose(what, Reference.of(fc.inside()), TYPE, s[2] + 2,
                                magnitude.times(Math.abs(ab[0])).plus(Math.abs(ab[1]), c.magnitudes()));
                        if (ab[1] != 0) { // the same bits where what is added stands elsewhere
                            double[] inPlace = fc.inside().read();
                            Framed fd = Framed.of(device, TYPE, c);
                            device.fill(fc.inside(), Double.NaN);
                            multiply(kernels, s[0], s[1], s[2], ab[0], fa.inside(), opA, fb.inside(), opB, ab[1], fd.inside(), fc.inside());
                            assertArrayEquals(inPlace, fc.inside().read(), what + ", added to another matrix");
                            assertArrayEquals(c.on(device, TYPE).read(), fd.inside().read(), what);
                            Matrix tight = device.allocate(TYPE, s[0], s[1]); // whose rows follow each other without gaps
                            multiply(kernels, s[0], s[1], s[2], ab[0], fa.inside(), opA, fb.inside(), opB, ab[1], fd.inside(), tight);
                            assertArrayEquals(inPlace, tight.read(), what + ", without gaps");
                            tight.close();
                            fd.whole().close();
                        }
                        for (Framed f : new Framed[] {fa, fb, fc}) {
                            f.assertFrameUnchanged(what);
                        }
                    }
                    for (Framed f : new Framed[] {fa, fb, fc}) {
                        f.whole().close();
                    }
                }
            }
        }
    }

    /** Larger than the triple loops can do, many parts and blocks; the same bits whoever computes. */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void agreesWithBlasInFloat64AndGivesTheSameBitsWithAnyNumberOfThreads(String variant) {
        for (int[] s : new int[][] {{700, 801, 900}, {33, 3000, 1200}, {2500, 17, 700}, {16, 2100, 520}, {8, 80, 9000}, {250, 32, 6300}, {9000, 8, 80}, {500, 700, 16}, {48, 1500, 3000}, {3, 200, 180000}, {52, 150, 700},
            {64, 14080, 128}}) { // 8 blocks of 55 pairs of amx's tiles, all that it has room for, with two threads and a second-level cache of 2 MB
            for (Op opA : Op.values()) {
                for (Op opB : Op.values()) {
                    String what = variant + " m=" + s[0] + " n=" + s[1] + " k=" + s[2] + " A " + opA + " B " + opB;
                    Matrix a = random(opA == Op.NONE ? s[0] : s[2], opA == Op.NONE ? s[2] : s[0]);
                    Matrix b = random(opB == Op.NONE ? s[2] : s[1], opB == Op.NONE ? s[1] : s[2]);
                    Matrix before = random(s[0], s[1]);
                    double[] first = null;
                    for (int threads : new int[] {1, 2, 5}) {
                        Framed c = Framed.nan(device, TYPE, s[0], s[1]);
                        device.copy(before, c.inside());
                        HostKernels kernels = open(variant, threads);
                        multiply(kernels, s[0], s[1], s[2], 1.25, a, opA, b, opB, -0.5, c.inside());
                        kernels.close();
                        c.assertFrameUnchanged(what);
                        if (first == null) {
                            first = c.inside().read();
                            // Reference.assertClose's 4·ε·√k·Σ|terms|: |a·b| is ¼ in the mean, so Σ|terms| about 1.25·k/4
                            assertArrayEquals(inFloat64(a, opA, b, opB, before), first, 4 * 0x1p-23 * Math.sqrt(s[2]) * 1.25 * s[2] / 4, what);
                        } else {
                            assertArrayEquals(first, c.inside().read(), what + " with " + threads + " threads");
                        }
                        c.whole().close();
                    }
                    for (Matrix x : new Matrix[] {a, b, before}) {
                        x.close();
                    }
                }
            }
        }
    }

    /** Sums of small integers are exact, in whatever parts they are made; here of so many products that there are several chunks. */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void chunksOfSumsAreExact(String variant) {
        HostKernels kernels = open(variant, 2);
        for (int[] s : new int[][] {{3, 200, 180000}, {100, 20, 30000}}) {
            Reference a = integers(s[0], s[2]);
            Reference b = integers(s[2], s[1]);
            Reference d = integers(s[0], s[1]);
            double[] expected = a.times(b).times(1.25).plus(-0.5, d).data();
            Op opB = s[0] < s[1] ? Op.NONE : Op.TRANSPOSE; // columns, rows
            Matrix da = a.on(device, TYPE);
            Matrix db = (opB == Op.NONE ? b : b.transpose()).on(device, TYPE);
            Matrix dd = d.on(device, TYPE);
            Matrix c = device.allocate(TYPE, s[0], s[1]);
            device.fill(c, Double.NaN);
            multiply(kernels, s[0], s[1], s[2], 1.25, da, Op.NONE, db, opB, -0.5, dd, c);
            assertArrayEquals(expected, c.read());
            multiply(kernels, s[0], s[1], s[2], 1.25, da, Op.NONE, db, opB, -0.5, dd);
            assertArrayEquals(expected, dd.read());
        }
    }

    private Reference integers(int rows, int cols) {
        return new Reference(rows, cols, random.ints((long) rows * cols, -1, 2).asDoubleStream().toArray());
    }

    private Matrix random(int rows, int cols) {
        Matrix a = device.allocate(TYPE, rows, cols);
        device.uniform(random.nextLong(), a);
        return a;
    }

    private double[] inFloat64(Matrix a, Op opA, Matrix b, Op opB, Matrix c) {
        try (Matrix a64 = device.allocate(DataType.FLOAT64, a.rows(), a.cols()); Matrix b64 = device.allocate(DataType.FLOAT64, b.rows(), b.cols());
                Matrix c64 = device.allocate(DataType.FLOAT64, c.rows(), c.cols())) {
            device.convert(a, a64);
            device.convert(b, b64);
            device.convert(c, c64);
            device.gemm(1.25, a64, opA, b64, opB, -0.5, c64);
            return c64.read();
        }
    }

    /** What fills tiles and slivers up must not meet it, nor what a product before has left there: 0·∞ is NaN. */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void nanAndInfinityReachTheirRowOrColumnAlone(String variant) {
        HostKernels kernels = open(variant, 2);
        int m = 31;
        int k = 71;
        Matrix nan = device.allocate(TYPE, 400, 400);
        device.fill(nan, Double.NaN);
        for (int n : new int[] {7, 20, 45, 301}) { // of two thin ones, and of a thin and a wide one
            Matrix c = device.allocate(TYPE, m, n);
            for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
                for (Op opA : Op.values()) {
                    for (Op opB : Op.values()) {
                        multiply(kernels, m, n, k + 9, 1, nan, opA, nan, opB, 0, c);
                        for (int at : new int[] {0, 13, 30}) {
                            Reference a = Reference.random(m, k, TYPE, random);
                            Reference b = Reference.random(k, n, TYPE, random);
                            int column = Math.max(0, at + n - 31);
                            a.data()[at * k + 70] = bad;
                            assertBadOnly(kernels, a, b, opA, opB, at, -1);
                            a.data()[at * k + 70] = 1;
                            b.data()[70 * n + column] = bad;
                            assertBadOnly(kernels, a, b, opA, opB, -1, column);
                        }
                    }
                }
            }
        }
    }

    /** Where tiles of bfloat16 multiply, ∞ is still ∞, and not only NaN's row or column is right beside it. */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void infinityInALargeProductStaysInfinity(String variant) {
        HostKernels kernels = open(variant, 2);
        Reference a = Reference.random(100, 150, TYPE, random);
        Reference b = Reference.random(150, 90, TYPE, random);
        a.data()[70 * 150 + 33] = Double.POSITIVE_INFINITY;
        Matrix c = device.allocate(TYPE, 100, 90);
        multiply(kernels, 100, 90, 150, 1, a.on(device, TYPE), Op.NONE, b.on(device, TYPE), Op.NONE, 0, c);
        Reference result = Reference.of(c);
        for (int j = 0; j < 90; j++) {
            assertEquals(b.at(33, j) * Double.POSITIVE_INFINITY, result.at(70, j));
        }
        assertBadOnly(kernels, a, b, Op.NONE, Op.NONE, 70, -1);
        assertBadOnly(kernels, a, b, Op.TRANSPOSE, Op.TRANSPOSE, 70, -1);
        a.data()[70 * 150 + 33] = 1;
        b.data()[149 * 90 + 89] = Double.NaN;
        assertBadOnly(kernels, a, b, Op.NONE, Op.NONE, -1, 89);
    }

    /** Else what is tested here would be AVX-512. */
    @Test
    void largeProductsAreMadeByTiles() {
        HostKernels tiles = open("amx", 1);
        HostKernels vectors = open("avx512", 1);
        for (int m : new int[] {63, 64}) {
            Matrix a = random(m, 128);
            Matrix b = random(128, 64);
            Matrix c = device.allocate(TYPE, m, 64);
            Matrix d = device.allocate(TYPE, m, 64);
            multiply(tiles, m, 64, 128, 1, a, Op.NONE, b, Op.NONE, 0, c);
            multiply(vectors, m, 64, 128, 1, a, Op.NONE, b, Op.NONE, 0, d);
            assertEquals(m < 64, Arrays.equals(c.read(), d.read()), "the same bits with " + m + " rows");
        }
    }

    /** A product with the identity is how matrices are transposed. */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void productsWithTheIdentityAreExact(String variant) {
        HostKernels kernels = open(variant, 2);
        Matrix a = random(200, 200);
        Matrix c = device.allocate(TYPE, 200, 200);
        Matrix identity = Reference.identity(200).on(device, TYPE);
        multiply(kernels, 200, 200, 200, 1, a, Op.NONE, identity, Op.NONE, 0, c);
        assertArrayEquals(a.read(), c.read());
        multiply(kernels, 200, 200, 200, 1, identity, Op.NONE, a, Op.TRANSPOSE, 0, c);
        assertArrayEquals(Reference.of(a).transpose().data(), c.read());
    }

    /**
     * One product to each sum, of numbers with all 24 bits: with bfloat16 terms at most 2⁻²⁴ of it is left out, and each of six additions
     * and α round by 2⁻²⁴.
     */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void singleProductsAreThoseOfFloats(String variant) {
        HostKernels kernels = open(variant, 1);
        float[] ends = {0x1.fffffep0f, 0x1.01fffep0f, 0x1.00fffep0f, 0x1.018082p0f, -0x1.fe7ffep3f, 0x1.000002p0f, 0x1.ffp-3f, 1};
        Reference a = Reference.random(96, 128, TYPE, random);
        Reference b = Reference.random(128, 80, TYPE, random);
        for (int i = 0; i < 96; i++) {
            for (int p = 0; p < 128; p++) {
                a.data()[i * 128 + p] = p != i ? 0 : i < 64 ? ends[i % 8] : a.data()[i * 128 + p];
            }
        }
        for (int i = 0; i < 64; i++) {
            b.data()[i * 80 + i / 8] = ends[i / 8];
        }
        for (double scale : new double[] {1, 0x1p-90, 0x1p-105, 0x1p60, 0x1p119}) { // numbers that tiles would take for 0 too
            assertSingleProducts(kernels, a.times(scale), b, 0, variant + " " + scale);
        }
        for (int i = 0; i < 96; i++) { // small rows beside others: what tiles take for 0 there is at most 2⁻¹²⁵·(|a| + |b| + 3)
            for (int p = 0; p < 128; p++) {
                a.data()[i * 128 + p] = Math.scalb(a.data()[i * 128 + p], -2 * i);
            }
        }
        assertSingleProducts(kernels, a, b, 0x1p-125, variant + " mixed");
    }

    private void assertSingleProducts(HostKernels kernels, Reference a, Reference b, double lost, String what) {
        Matrix c = device.allocate(TYPE, a.rows(), b.cols());
        multiply(kernels, a.rows(), b.cols(), a.cols(), 1, a.on(device, TYPE), Op.NONE, b.on(device, TYPE), Op.NONE, 0, c);
        Reference product = a.times(b);
        Reference result = Reference.of(c);
        for (int i = 0; i < a.rows(); i++) {
            for (int j = 0; j < b.cols(); j++) {
                double expected = product.at(i, j);
                double bound = (1 + 7) * 0x1p-24 * Math.abs(expected) + lost * (Math.abs(a.at(i, i)) + Math.abs(b.at(i, j)) + 3);
                assertEquals(expected, result.at(i, j), bound, what + " (" + i + ", " + j + ")");
            }
        }
    }

    private void assertBadOnly(HostKernels kernels, Reference a, Reference b, Op opA, Op opB, int row, int column) {
        Matrix c = device.allocate(TYPE, a.rows(), b.cols());
        Matrix da = (opA == Op.NONE ? a : a.transpose()).on(device, TYPE);
        Matrix db = (opB == Op.NONE ? b : b.transpose()).on(device, TYPE);
        multiply(kernels, a.rows(), b.cols(), a.cols(), 1, da, opA, db, opB, 0, c);
        Reference result = Reference.of(c);
        for (int i = 0; i < a.rows(); i++) {
            for (int j = 0; j < b.cols(); j++) {
                assertEquals(i != row && j != column, Double.isFinite(result.at(i, j)), "(" + i + ", " + j + ")");
            }
        }
    }

    private void multiply(HostKernels kernels, long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        multiply(kernels, m, n, k, alpha, a, opA, b, opB, beta, c, c);
    }

    private void multiply(HostKernels kernels, long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix d, Matrix c) {
        kernels.gemm(opA, opB, m, n, k, alpha, a.segment(), a.leadingDimension(), b.segment(), b.leadingDimension(), beta, d.segment(),
                d.leadingDimension(), c.segment(), c.leadingDimension());
    }

    @Test
    void theDeviceUsesThemFromALeastSize() {
        HostKernels kernels = open("portable", 1);
        long least = HostKernels.LEAST_PRODUCTS;
        assertTrue(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, 1, 1, least, 1));
        assertTrue(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, 2, least / 6 + 1, 3, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, 2, least / 6, 3, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, least, 1, 0, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.NONE, Op.NONE, least, 1, 1, 0), "alpha is 0: nothing to multiply, NaN or not");
        assertFalse(kernels.suitProduct(DataType.FLOAT64, Op.NONE, Op.NONE, least, 1, 1, 1));
        long inner = HostKernels.LEAST_INNER;
        assertTrue(kernels.suitProduct(TYPE, Op.TRANSPOSE, Op.NONE, 8, 16, inner / 128, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.TRANSPOSE, Op.NONE, 8, 16, inner / 128 - 1, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.TRANSPOSE, Op.TRANSPOSE, 8, 16, inner / 128, 1));
        long thin = HostKernels.LEAST_THIN;
        assertTrue(kernels.suitProduct(TYPE, Op.NONE, Op.TRANSPOSE, thin / 128, 8, 16, 1));
        assertFalse(kernels.suitProduct(TYPE, Op.NONE, Op.TRANSPOSE, thin / 128 - 1, 8, 16, 1));
    }

    /** In one pass where the kernels do it, whose type is float32: not where A and B have 16 bits. */
    @Test
    void addmmMakesNoCopyWhereTheKernelsDoIt() {
        needsThemInUse();
        Matrix c = random(64, 64);
        for (DataType type : new DataType[] {TYPE, DataType.BFLOAT16}) {
            Reference a = Reference.random(64, 16, type, random);
            Reference b = Reference.random(16, 64, type, random);
            Counters before = device.counters();
            Matrix d = device.addmm(c, 1, a.on(device, type), Op.NONE, b.on(device, type), Op.NONE);
            assertEquals(type == TYPE ? 0 : 1, device.counters().since(before).calls(Counters.Call.COPY));
            a.times(b).plus(1, Reference.of(c)).assertClose(type.toString(), Reference.of(d), TYPE, 18, a.magnitudes().times(b.magnitudes()).plus(1, Reference.of(c).magnitudes()));
        }
    }

    /** The kernels' order of sums is not BLAS's: that the bits are the kernels' tells who multiplied. */
    @Test
    void theDevicesProductsAreTheKernels() {
        needsThemInUse();
        HostKernels kernels = open(device.kernels().substring("kernels ".length()), 1);
        Matrix a = random(40, 1500);
        Matrix b = random(1500, 50);
        Matrix c = device.allocate(TYPE, 40, 50);
        device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c);
        double[] devices = c.read();
        device.fill(c, Double.NaN);
        multiply(kernels, 40, 50, 1500, 1, a, Op.NONE, b, Op.NONE, 0, c);
        assertArrayEquals(devices, c.read());
        int none = HostDevice.transpose(Op.NONE);
        BlasLibrary.load().blas().gemm(TYPE, none, none, 40, 50, 1500, 1, a.segment(), 1500, b.segment(), 50, 0, c.segment(), 50);
        assertFalse(Arrays.equals(devices, c.read()), "BLAS has other bits");
    }
}
