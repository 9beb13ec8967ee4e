package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.lora4j.Reference;

/** Products of every variant of the kernels that are exact, or nearly, whatever the order of sums; and those with NaN or infinity. */
class HostProductExactTest extends KernelsTest {
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

    /**
     * Few rows beside many elements, of numbers that tiles of bfloat16 don't multiply: all of them, or those of some columns, before which and after which tiles
     * do; with several pieces of a sum, or slices of columns, for which that is found out one after the other.
     */
    @ParameterizedTest
    @FieldSource("VARIANTS")
    void numbersThatTilesDontTakeInAThinProduct(String variant) {
        HostKernels kernels = open(variant, 2);
        for (int[] s : new int[][] {{16, 1030, 1040}, {128, 150, 7000}, {100, 3100, 340}}) {
            int n = s[1];
            int k = s[2];
            Reference a = Reference.random(s[0], k, TYPE, random);
            for (int[] columns : new int[][] {{0, n}, {5, 6}, {n - 1, n}}) {
                for (double scale : new double[] {0x1p-110, 0x1p126}) {
                    if (scale < 1 && columns[1] - columns[0] < n) {
                        continue; // small ones beside others may be lost: singleProductsAreThoseOfFloats has the bound
                    }
                    Reference b = Reference.random(k, n, TYPE, random);
                    for (int p = 0; p < k; p++) {
                        for (int j = columns[0]; j < columns[1]; j++) {
                            b.data()[p * n + j] = p < k / 2 && columns[0] > 0 ? 0 : b.at(p, j) * scale / k;
                        }
                    }
                    Reference c = Reference.random(s[0], n, TYPE, random);
                    Matrix dc = c.on(device, TYPE);
                    double beta = scale < 1 ? 0 : 0.5; // beside C, numbers that got lost would not show
                    multiply(kernels, s[0], n, k, 1, a.on(device, TYPE), Op.NONE, b.on(device, TYPE), Op.NONE, beta, dc);
                    a.times(b).plus(beta, c).assertClose(variant + " " + s[0] + "×" + n + "×" + k + " " + scale + " from column " + columns[0], Reference.of(dc), TYPE, k + 2,
                            a.magnitudes().times(b.magnitudes()).plus(beta, c.magnitudes()));
                }
            }
            Reference b = Reference.random(k, n, TYPE, random);
            b.data()[(k - 1) * n + n - 1] = Double.POSITIVE_INFINITY;
            assertBadOnly(kernels, a, b, Op.NONE, Op.NONE, -1, n - 1);
            assertBadOnly(kernels, a, b, Op.TRANSPOSE, Op.NONE, -1, n - 1);
            b.data()[(k - 1) * n + n - 1] = 1;
            a.data()[7 * k] = Double.NaN;
            assertBadOnly(kernels, a, b, Op.NONE, Op.NONE, 7, -1);
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
}
