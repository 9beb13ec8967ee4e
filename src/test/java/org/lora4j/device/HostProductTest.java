package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.lora4j.Framed;
import org.lora4j.Reference;

/** The kernels' products, in every variant, against float64 triple loops and BLAS's in float64. */
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
            {100, 700, 470}, {127, 1001, 263}, {470, 104, 700}, {128, 513, 512}, {700, 61, 500}, {60, 530, 600}, {800, 64, 329}, // thin where L is large
            // rows that amx's tiles multiply as L lies there: with one tile, a pair, four pairs; S in two pieces, C in slices
            {9, 1030, 1027}, {33, 1025, 1100}, {128, 500, 2100}, {100, 3100, 340}, {10, 12100, 130},
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

    /** Else what is tested here would be AVX-512. */
    @Test
    void largeProductsAreMadeByTiles() {
        for (int m : new int[] {63, 64}) {
            assertEquals(m < 64, givesTheBitsOfAvx512(m, 64, 128), m + " rows");
        }
        for (int m : new int[] {8, 9}) {
            assertEquals(m < 9, givesTheBitsOfAvx512(m, 1024, 1024), m + " rows beside many elements");
        }
    }

    private boolean givesTheBitsOfAvx512(int m, int n, int k) {
        Matrix a = random(m, k);
        Matrix b = random(k, n);
        Matrix c = device.allocate(TYPE, m, n);
        Matrix d = device.allocate(TYPE, m, n);
        multiply(open("amx", 1), m, n, k, 1, a, Op.NONE, b, Op.NONE, 0, c);
        multiply(open("avx512", 1), m, n, k, 1, a, Op.NONE, b, Op.NONE, 0, d);
        return Arrays.equals(c.read(), d.read());
    }
}
