package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.Framed;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;

/**
 * SVD, QR, Cholesky and symmetric eigenproblems, by what defines them: the product of the factors is
 * the matrix, the orthonormal factors are so. Every matrix has a frame that must neither be read nor written.
 */
class FactorisationTest extends DeviceTest {
    private static final int[][] TALL = {{1, 1}, {7, 1}, {2, 2}, {9, 4}, {31, 31}, {64, 33}, {257, 65}};

    final Random random = new Random(2);

    // ---- singular values

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void svdOfEveryShapeAndSpectrum(DataType type) {
        for (int[] shape : new int[][] {{1, 1}, {1, 9}, {9, 1}, {2, 2}, {13, 7}, {7, 13}, {31, 31}, {129, 40}, {40, 129}}) {
            matrices(shape[0], shape[1], type).forEach((name, a) -> svd(name + " " + shape[0] + "×" + shape[1], a, type));
        }
    }

    /** Matrices of one shape whose singular values are ordinary or difficult. */
    private Map<String, Reference> matrices(int m, int n, DataType type) {
        Map<String, Reference> all = new LinkedHashMap<>();
        Reference a = Reference.random(m, n, type, random);
        all.put("random", a);
        all.put("zero", Reference.zeros(m, n));
        all.put("rank 1", Reference.random(m, 1, type, random).times(Reference.random(1, n, type, random)));
        all.put("large", a.times(1e30));
        all.put("small", a.times(1e-30));
        Reference ones = Reference.zeros(m, n);
        Arrays.fill(ones.data(), 1);
        all.put("all ones", ones);
        Reference repeated = Reference.zeros(m, n); // singular values 3, 3, … in another order of rows
        for (int i = 0; i < Math.min(m, n); i++) {
            repeated.data()[(m - 1 - i) * n + i] = -3;
        }
        all.put("repeated", repeated);
        all.put("clustered", repeated.plus(1e-4, a));
        return all.entrySet().stream().collect(LinkedHashMap::new, (map, e) -> map.put(e.getKey(), e.getValue().rounded(type)), Map::putAll);
    }

    private void svd(String name, Reference a, DataType type) {
        String what = "svd, " + name + ", " + type;
        int k = Math.min(a.rows(), a.cols());
        Framed fa = Framed.of(device, type, a);
        Framed fu = Framed.nan(device, type, a.rows(), k);
        Framed fs = Framed.nan(device, type, 1, k);
        Framed fv = Framed.nan(device, type, k, a.cols());
        device.svd(fa.inside(), fu.inside(), fs.inside(), fv.inside());
        Reference u = Reference.of(fu.inside());
        double[] s = fs.inside().read();
        Reference vt = Reference.of(fv.inside());

        assertOrthonormal(what + ", U", u.transpose().times(u), bound(a, type));
        assertOrthonormal(what + ", V", vt.times(vt.transpose()), bound(a, type));
        for (int i = 0; i < k; i++) {
            assertTrue(s[i] >= 0 && (i == 0 || s[i] <= s[i - 1]), what + ": " + Arrays.toString(s) + " descends");
        }
        a.assertNear(what, u.times(diagonal(s)).times(vt), bound(a, type));
        assertArrayEquals(a.data(), fa.inside().read(), what + ": A is not modified");
        for (Framed f : new Framed[] {fa, fu, fs, fv}) {
            f.assertFrameUnchanged(what);
            f.whole().close();
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void svdRefusesWhatIsNotFinite(DataType type) {
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
            Reference a = Reference.random(5, 4, type, random);
            a.data()[13] = bad;
            Matrix da = a.on(device, type);
            Matrix u = device.allocate(type, 5, 4);
            Matrix s = device.allocate(type, 1, 4);
            Matrix vt = device.allocate(type, 4, 4);
            assertThrows(IllegalArgumentException.class, () -> device.svd(da, u, s, vt));
        }
    }

    @Test
    void svdOfAnEmptyMatrixIsEmpty() {
        DataType type = DataType.FLOAT32;
        device.svd(device.allocate(type, 0, 3), device.allocate(type, 0, 0), device.allocate(type, 1, 0), device.allocate(type, 0, 3));
        device.svd(device.allocate(type, 3, 0), device.allocate(type, 3, 0), device.allocate(type, 1, 0), device.allocate(type, 0, 0));
    }

    // ---- QR

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void qrOfEveryTallMatrix(DataType type) {
        for (int[] shape : TALL) {
            matrices(shape[0], shape[1], type).forEach((name, a) -> qr(name + " " + shape[0] + "×" + shape[1], a, type));
        }
        qr("no columns", Reference.zeros(3, 0), type);
    }

    private void qr(String name, Reference a, DataType type) {
        String what = "qr, " + name + ", " + type;
        Framed fq = Framed.of(device, type, a);
        Framed fr = Framed.nan(device, type, a.cols(), a.cols());
        device.qr(fq.inside(), fr.inside());
        Reference q = Reference.of(fq.inside());
        Reference r = Reference.of(fr.inside());
        assertOrthonormal(what, q.transpose().times(q), bound(a, type));
        for (int i = 0; i < r.rows(); i++) {
            assertTrue(r.at(i, i) >= 0, what + ": the diagonal is " + r.at(i, i));
            for (int j = 0; j < i; j++) {
                assertTrue(r.at(i, j) == 0, what + ": " + r.at(i, j) + " below the diagonal");
            }
        }
        a.assertNear(what, q.times(r), bound(a, type));
        fq.assertFrameUnchanged(what);
        fr.assertFrameUnchanged(what);
    }

    // ---- Cholesky

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void choleskyFromTheLowerTriangleAlone(DataType type) {
        for (int n : new int[] {0, 1, 2, 5, 31, 64, 129}) {
            Reference x = Reference.random(n, n, type, random);
            Reference a = x.times(x.transpose()).plus(n, Reference.identity(n)).rounded(type);
            Framed f = Framed.of(device, type, nanAbove(a));
            device.cholesky(f.inside());
            Reference l = Reference.of(f.inside());
            for (int i = 0; i < n; i++) {
                for (int j = i + 1; j < n; j++) {
                    assertTrue(l.at(i, j) == 0, "cholesky: " + l.at(i, j) + " above the diagonal");
                }
            }
            a.assertNear("cholesky " + n + " " + type, l.times(l.transpose()), bound(a, type));
            f.assertFrameUnchanged("cholesky");
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void choleskyNamesTheFirstMinorThatIsNotPositiveDefinite(DataType type) {
        for (int n : new int[] {1, 4, 70}) {
            for (int bad : new int[] {1, (n + 1) / 2, n}) {
                for (double pivot : new double[] {0, -1, Double.NaN}) {
                    Reference a = Reference.identity(n);
                    a.data()[(bad - 1) * n + bad - 1] = pivot;
                    Framed f = Framed.of(device, type, a);
                    NativeException e = assertThrows(NativeException.class, () -> device.cholesky(f.inside()));
                    assertEquals(bad, e.code());
                    f.assertFrameUnchanged("cholesky");
                }
            }
        }
    }

    // ---- symmetric eigenproblems

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void symmetricEigenFromTheLowerTriangleAlone(DataType type) {
        for (int n : new int[] {1, 2, 7, 31, 65}) {
            matrices(n, n, type).forEach((name, x) -> symmetricEigen(name + " " + n, x.plus(1, x.transpose()).rounded(type), type));
        }
        symmetricEigen("empty", Reference.zeros(0, 0), type);
    }

    private void symmetricEigen(String name, Reference a, DataType type) {
        String what = "symmetricEigen, " + name + ", " + type;
        Framed fa = Framed.of(device, type, nanAbove(a));
        Framed fw = Framed.nan(device, type, 1, a.rows());
        device.symmetricEigen(fa.inside(), fw.inside());
        Reference q = Reference.of(fa.inside());
        double[] w = fw.inside().read();
        assertOrthonormal(what, q.times(q.transpose()), bound(a, type));
        for (int i = 1; i < w.length; i++) {
            assertTrue(w[i] >= w[i - 1], what + ": " + Arrays.toString(w) + " ascends");
        }
        a.assertNear(what, q.transpose().times(diagonal(w)).times(q), bound(a, type));
        fa.assertFrameUnchanged(what);
        fw.assertFrameUnchanged(what);
    }

    // ---- refusals

    @Test
    void refusesShapesTypesAndOverlapsBeforeAnythingIsCounted() {
        Matrix tall = device.allocate(DataType.FLOAT32, 4, 3);
        Matrix square = device.allocate(DataType.FLOAT32, 3, 3);
        Matrix square2 = device.allocate(DataType.FLOAT32, 3, 3);
        Matrix row = device.allocate(DataType.FLOAT32, 1, 3);
        Matrix twice = device.allocate(DataType.FLOAT64, 3, 3);
        Matrix u = device.allocate(DataType.FLOAT32, 4, 3);
        refuses(() -> device.svd(tall, square, row, square2));
        refuses(() -> device.svd(tall, u, square2, square));
        refuses(() -> device.svd(tall, u, row, u));
        refuses(() -> device.svd(tall, u, row, tall.rows(0, 3)));
        refuses(() -> device.svd(tall, u, row, twice));
        refuses(() -> device.qr(device.allocate(DataType.FLOAT32, 3, 4), device.allocate(DataType.FLOAT32, 4, 4)));
        refuses(() -> device.qr(tall, row));
        refuses(() -> device.qr(tall, twice));
        refuses(() -> device.qr(tall, tall.rows(0, 3)));
        refuses(() -> device.cholesky(tall));
        refuses(() -> device.symmetricEigen(tall, row));
        refuses(() -> device.symmetricEigen(square, square2));
        refuses(() -> device.symmetricEigen(square, square.rows(0, 1)));
    }

    private void refuses(Runnable call) {
        Counters before = device.counters();
        assertThrows(IllegalArgumentException.class, call::run);
        assertEquals(before.calls(), device.counters().calls(), "a refused call is not counted");
    }

    // ---- what the tests are made of

    /** (max(m, n) + 10)·ε, relative to the norm: a backward stable factorisation stays below some p(m, n)·ε. */
    private static double bound(Reference a, DataType type) {
        return (Math.max(a.rows(), a.cols()) + 10) * 2 * type.unitRoundoff();
    }

    private static Reference diagonal(double[] values) {
        Reference d = Reference.zeros(values.length, values.length);
        for (int i = 0; i < values.length; i++) {
            d.data()[i * values.length + i] = values[i];
        }
        return d;
    }

    private static Reference nanAbove(Reference a) {
        double[] data = a.data().clone();
        for (int i = 0; i < a.rows(); i++) {
            Arrays.fill(data, i * a.cols() + i + 1, (i + 1) * a.cols(), Double.NaN);
        }
        return new Reference(a.rows(), a.cols(), data);
    }

    private static void assertOrthonormal(String what, Reference gram, double bound) {
        for (int i = 0; i < gram.rows(); i++) {
            for (int j = 0; j < gram.cols(); j++) {
                assertEquals(i == j ? 1 : 0, gram.at(i, j), bound, what + ": inner product of vectors " + i + " and " + j);
            }
        }
    }

    /** Near the ends of the type's range squares over- and underflow; the decomposition and its check must not. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void svdOfAnyMagnitude(DataType type) {
        double[] scales = type == DataType.FLOAT32 ? new double[] {0x1p-120, 0x1p120} : new double[] {0x1p-1000, 0x1p1000};
        Reference one = Reference.random(6, 4, type, new Random(11));
        for (double scale : scales) {
            Matrix a = one.times(scale).on(device, type);
            Matrix u = device.allocate(type, 6, 4);
            Matrix s = device.allocate(type, 1, 4);
            Matrix vt = device.allocate(type, 4, 4);
            device.svd(a, u, s, vt);
            Reference sigma = Reference.zeros(4, 4);
            for (int i = 0; i < 4; i++) {
                sigma.data()[5 * i] = s.read()[i] / scale;
            }
            one.assertNear("svd at " + scale, Reference.of(u).times(sigma).times(Reference.of(vt)), (6 + 10) * 2 * type.unitRoundoff());
        }
    }
}
