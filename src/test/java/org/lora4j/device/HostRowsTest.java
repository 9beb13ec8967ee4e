package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.FieldSource;
import org.lora4j.Framed;
import org.lora4j.Reference;

/** The kernels that go over rows, in every variant that this processor runs: reductions and the triangular solution. */
class HostRowsTest extends KernelsTest {
    /** Below and above what one thread does alone, and no multiples of what is worked on at once. */
    private static final int[][] SHAPES = {{1, 1}, {1, 31}, {3, 33}, {67, 1}, {128, 128}, {1, 70001}, {517, 259}, {70001, 1}, {3, 40000}};

    private List<HostKernels> open(String variant) {
        return List.of(open(variant, 1), open(variant, 2), open(variant, 5));
    }

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void dotIsSummedInFloat64(String variant) {
        for (HostKernels kernels : open(variant)) {
            for (int[] s : SHAPES) {
                for (double scale : new double[] {1, 0x1p100, 0x1p-90}) {
                    Reference a = Reference.random(s[0], s[1], TYPE, random).times(scale);
                    Reference b = Reference.random(s[0], s[1], TYPE, random);
                    double magnitudes = a.magnitudes().dot(b.magnitudes());
                    double rounding = 2 * s[0] * s[1] * 0x1p-53 * magnitudes;
                    try (Matrix plain = b.on(device, TYPE)) {
                        Framed f = Framed.of(device, TYPE, a);
                        assertEquals(a.dot(b), kernels.dot(f.inside(), plain), rounding, variant + " " + s[0] + "×" + s[1]);
                        assertEquals(a.dot(a), kernels.dot(f.inside(), f.inside()), 2 * s[0] * s[1] * 0x1p-53 * a.dot(a));
                        assertEquals(b.dot(b), kernels.dot(plain, plain), 2 * s[0] * s[1] * 0x1p-53 * b.dot(b), "without gaps");
                        f.whole().close();
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void copiesEveryElementAndNothingBeside(String variant) {
        for (HostKernels kernels : open(variant)) {
            for (int[] s : SHAPES) {
                String what = variant + " " + s[0] + "×" + s[1];
                Reference a = Reference.random(s[0], s[1], TYPE, random);
                Framed from = Framed.of(device, TYPE, a);
                Framed to = Framed.nan(device, TYPE, s[0], s[1]);
                try (Matrix plain = a.on(device, TYPE); Matrix other = device.allocate(TYPE, s[0], s[1])) {
                    kernels.copy(from.inside(), to.inside());
                    assertArrayEquals(a.data(), to.inside().read(), what);
                    to.assertFrameUnchanged(what);
                    kernels.copy(plain, other);
                    assertArrayEquals(a.data(), other.read(), what + " without gaps");
                }
                from.whole().close();
                to.whole().close();
            }
        }
    }

    /** Elements of every size, with gaps between rows and without: a large matrix in several parts, many short rows, and a row less. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void theDevicesCopies(DataType type) {
        for (long[] shape : new long[][] {{2 * HostKernels.LEAST_COPIED / type.bytes() / 700, 700}, {HostKernels.LEAST_ROWS_COPIED, 3},
            {HostKernels.LEAST_ROWS_COPIED - 1, 3}, {HostKernels.LEAST_ROWS_COPIED, 0}}) {
            long rows = shape[0];
            long cols = shape[1];
            Matrix from = device.allocate(type, rows, cols + 5).columns(2, cols + 2);
            Matrix to = device.allocate(type, rows, cols + 3);
            from.write(Reference.random((int) rows, (int) cols, type, random).data());
            device.fill(to, 9);
            device.copy(from, to.columns(1, cols + 1));
            assertArrayEquals(from.read(), to.columns(1, cols + 1).read());
            for (long beside : new long[] {0, cols + 1, cols + 2}) {
                assertTrue(Arrays.stream(to.columns(beside, beside + 1).read()).allMatch(x -> x == 9), "column " + beside);
            }
            Matrix plain = device.allocate(type, rows, cols);
            device.copy(from, plain);
            Matrix other = device.allocate(type, rows, cols);
            device.copy(plain, other);
            assertArrayEquals(from.read(), other.read());
        }
    }

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void largestIsTheFirstOfEqualsAndNaNAboveAll(String variant) {
        for (HostKernels kernels : open(variant)) {
            for (int[] s : SHAPES) {
                String what = variant + " " + s[0] + "×" + s[1];
                Reference a = Reference.random(s[0], s[1], TYPE, random);
                Framed f = Framed.of(device, TYPE, a);
                try (Matrix plain = a.on(device, TYPE)) {
                    largest(kernels, f.inside(), a, what);
                    largest(kernels, plain, a, what + " without gaps");
                }
                f.whole().close();
            }
        }
    }

    private void largest(HostKernels kernels, Matrix m, Reference values, String what) {
        int count = values.rows() * values.cols();
        assertEquals(largest(values), kernels.largest(m), what);
        for (int trial = 0; trial < 4; trial++) {
            int first = random.nextInt(count);
            int second = first + random.nextInt(count - first);
            set(m, second, 1e30);
            set(m, first, -1e30);
            assertEquals((float) -1e30, kernels.largest(m), what + ", the first of equals");
            set(m, second, Double.POSITIVE_INFINITY);
            assertEquals(Double.POSITIVE_INFINITY, kernels.largest(m), what);
            set(m, first, Double.NaN);
            assertTrue(Double.isNaN(kernels.largest(m)), what);
            set(m, first, 0);
            set(m, second, 0);
        }
        device.fill(m, 0);
        assertEquals(0, kernels.largest(m), 0.0, what);
    }

    private static double largest(Reference a) {
        double largest = 0;
        for (double x : a.data()) {
            largest = Math.abs(x) > Math.abs(largest) ? x : largest;
        }
        return largest;
    }

    private static void set(Matrix a, int index, double value) {
        long cols = a.cols();
        a.view(index / cols, index / cols + 1, index % cols, index % cols + 1).write(value);
    }

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void solvesForRowsOfEveryNumberOfColumns(String variant) {
        for (HostKernels kernels : open(variant)) {
            for (int n : new int[] {1, 2, 15, 16, 17, 31, 33, 48, 63, 64}) {
                for (int m : new int[] {1, 7, 2 * n + 3, 1500}) {
                    for (Op op : Op.values()) {
                        solve(kernels, m, n, op, variant + " " + m + "×" + n + " " + op);
                    }
                }
            }
        }
    }

    private void solve(HostKernels kernels, int m, int n, Op op, String what) {
        Reference upper = Reference.random(n, n, TYPE, random).times(0x1p-4);
        Reference stored = upper.times(1);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                upper.data()[i * n + j] = i > j ? 0 : i % 2 == 0 ? 1.5 : -2;
                stored.data()[i * n + j] = i > j ? Double.NaN : upper.at(i, j);
            }
        }
        Reference b = Reference.random(m, n, TYPE, random);
        int infinite = random.nextInt(n);
        Framed ft = Framed.of(device, TYPE, op == Op.NONE ? stored : stored.transpose());
        Framed fb = Framed.of(device, TYPE, b);
        kernels.solve(-0.5, ft.inside(), op, fb.inside());
        Reference x = Reference.of(fb.inside());
        // an element is as wrong as a sum of n products and a quotient by the inverse: 4·ε·√(n + 2)·Σ|terms|
        b.times(-0.5).assertClose(what, x.times(upper), TYPE, n + 2, x.magnitudes().times(upper.magnitudes()));
        ft.assertFrameUnchanged(what);
        fb.assertFrameUnchanged(what);

        fb.inside().write(b.data());
        set(fb.inside(), infinite, Double.POSITIVE_INFINITY);
        kernels.solve(-0.5, ft.inside(), op, fb.inside());
        Reference y = Reference.of(fb.inside());
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                if (i > 0 || j < infinite) {
                    assertEquals(x.at(i, j), y.at(i, j), what + ": infinity in column " + infinite + " reaches no earlier one and no other row");
                }
            }
        }
        ft.whole().close();
        fb.whole().close();
    }
}
