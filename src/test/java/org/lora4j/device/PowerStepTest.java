package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.Framed;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.device.Counters.Call;

/** The power step: Y = G·V and Z = Gᵀ·Y against float64 triple loops, and what is refused. */
class PowerStepTest extends DeviceTest {
    /** m, n: ones, primes, around whole vectors, tiles and panels, tall, wide, large enough for several threads. */
    static final int[][] SHAPES = {{1, 1}, {1, 64}, {64, 1}, {1, 13}, {2, 3}, {7, 5}, {16, 16}, {17, 31}, {31, 65}, {33, 64}, {64, 63}, {65, 127},
        {13, 477}, {509, 13}, {129, 257}, {300, 200}};
    static final int[] COLUMNS = {1, 3, 7, 8, 16, 17, 31, 32, 33, 48, 64, 65, 80, 97};

    final Random random = new Random(11);

    @ParameterizedTest
    @EnumSource(DataType.class)
    void agreesWithTripleLoops(DataType type) {
        for (int[] s : SHAPES) {
            for (int k : COLUMNS) {
                compare(device, type, s[0], s[1], k, random, device::powerStep);
            }
        }
    }

    /** What is compared: {@link Device#powerStep} or a part of it. */
    interface Step {
        void run(Matrix g, Matrix v, Matrix y, Matrix z);
    }

    /** Amid larger matrices and without gaps, with and without Z. Y and Z are full of NaN before. */
    static void compare(Device device, DataType type, int m, int n, int k, Random random, Step step) {
        String what = type + " m=" + m + " n=" + n + " k=" + k;
        Reference g = Reference.random(m, n, type, random);
        Reference v = Reference.random(n, k, type, random);
        Framed fg = Framed.of(device, type, g);
        Framed fv = Framed.of(device, type, v);
        Framed fy = Framed.nan(device, type, m, k);
        Framed fz = Framed.nan(device, type, n, k);
        step.run(fg.inside(), fv.inside(), fy.inside(), fz.inside());
        assertRight(what + " amid others", g, v, fy.inside(), fz.inside(), type);
        assertArrayEquals(g.data(), fg.inside().read(), what + ": G is not modified");
        assertArrayEquals(v.data(), fv.inside().read(), what + ": V is not modified");
        for (Framed f : new Framed[] {fg, fv, fy, fz}) {
            f.assertFrameUnchanged(what);
        }
        device.fill(fy.inside(), Double.NaN);
        step.run(fg.inside(), fv.inside(), fy.inside(), null);
        assertRight(what + " Y alone", g, v, fy.inside(), null, type);
        fy.assertFrameUnchanged(what + " Y alone");

        Matrix dg = g.on(device, type);
        Matrix dv = v.on(device, type);
        Matrix dy = device.allocate(type, m, k);
        Matrix dz = device.allocate(type, n, k);
        device.fill(dy, Double.NaN);
        device.fill(dz, Double.NaN);
        step.run(dg, dv, dy, dz);
        assertRight(what + " without gaps", g, v, dy, dz, type);
        for (Matrix a : new Matrix[] {fg.whole(), fv.whole(), fy.whole(), fz.whole(), dg, dv, dy, dz}) {
            a.close();
        }
    }

    /** Z is compared with Gᵀ times the Y that was returned, which is what it is defined as. */
    private static void assertRight(String what, Reference g, Reference v, Matrix y, Matrix z, DataType type) {
        Reference actual = Reference.of(y);
        g.times(v).assertClose(what + ": Y", actual, type, g.cols(), g.magnitudes().times(v.magnitudes()));
        if (z != null) {
            Reference gt = g.transpose();
            gt.times(actual).assertClose(what + ": Z", Reference.of(z), type, g.rows(), gt.magnitudes().times(actual.magnitudes()));
        }
    }

    /** Beside elements whose squares float32 does not hold; as dot(g, g), of which the contract has the accuracy. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void theSameStepWithTheNorm(DataType type) {
        for (double unit : new double[] {1, type == DataType.FLOAT16 ? 0x1p-8 : 0x1p-80}) {
            for (int[] s : new int[][] {{301, 203, 8}, {33, 260, 5}, {64, 64, 0}, {0, 3, 2}}) {
                Reference g = Reference.random(s[0], s[1], type, random).times(unit).rounded(type);
                Framed fg = Framed.of(device, type, g);
                Matrix v = Reference.random(s[1], s[2], type, random).on(device, type);
                Matrix y = device.allocate(type, s[0], s[2]);
                Matrix z = device.allocate(type, s[1], s[2]);
                double norm2 = device.powerStepAndNorm(fg.inside(), v, y, z);
                assertEquals(norm2(g), norm2, norm2(g) * (type == DataType.FLOAT64 ? 0x1p-40 : 0x1p-16), type + " " + Arrays.toString(s));
                double[] yAndNorm = y.read();
                double[] zAndNorm = z.read();
                device.powerStep(fg.inside(), v, y, z);
                assertArrayEquals(y.read(), yAndNorm);
                assertArrayEquals(z.read(), zAndNorm);
            }
        }
    }

    static double norm2(Reference g) {
        return Arrays.stream(g.data()).map(x -> x * x).sum();
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void emptyMatrices(DataType type) {
        for (int[] s : new int[][] {{0, 3, 2}, {3, 0, 2}, {3, 2, 0}, {0, 0, 0}}) {
            Matrix y = device.allocate(type, s[0], s[2]);
            Matrix z = device.allocate(type, s[1], s[2]);
            device.fill(y, Double.NaN);
            device.fill(z, Double.NaN);
            device.powerStep(device.allocate(type, s[0], s[1]), device.allocate(type, s[1], s[2]), y, z);
            assertTrue(Arrays.stream(y.read()).allMatch(x -> x == 0) && Arrays.stream(z.read()).allMatch(x -> x == 0), Arrays.toString(s));
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void theSameBitsEveryTime(DataType type) {
        Reference g = Reference.random(301, 203, type, random);
        Reference v = Reference.random(203, 24, type, random);
        Matrix dg = g.on(device, type);
        Matrix dv = v.on(device, type);
        Matrix y = device.allocate(type, 301, 24);
        Matrix z = device.allocate(type, 203, 24);
        device.powerStep(dg, dv, y, z);
        double[] y0 = y.read();
        double[] z0 = z.read();
        for (int i = 0; i < 50; i++) {
            device.fill(y, Double.NaN);
            device.fill(z, Double.NaN);
            device.powerStep(dg, dv, y, z);
            assertArrayEquals(y0, y.read());
            assertArrayEquals(z0, z.read());
        }
    }

    /** A number that is none, anywhere in G or V, must show; what it does not belong to must stay as it was. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void nanAndInfinityReachWhatTheyBelongTo(DataType type) {
        nanAndInfinity(device, type, random, device::powerStep);
    }

    static void nanAndInfinity(Device device, DataType type, Random random, Step step) {
        int m = 67;
        int n = 70;
        int k = 18;
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            for (int[] at : new int[][] {{0, 0}, {m - 1, n - 1}, {m - 1, 3}, {40, n - 1}}) {
                Reference g = Reference.random(m, n, type, random);
                Reference v = Reference.random(n, k, type, random);
                g.data()[at[0] * n + at[1]] = bad;
                Matrix y = device.allocate(type, m, k);
                Matrix z = device.allocate(type, n, k);
                step.run(g.on(device, type), v.on(device, type), y, z);
                Reference ry = Reference.of(y);
                Reference rz = Reference.of(z);
                for (int c = 0; c < k; c++) {
                    for (int i = 0; i < m; i++) {
                        assertEquals(i != at[0], Double.isFinite(ry.at(i, c)), "Y (" + i + ", " + c + ") with " + bad + " in G" + Arrays.toString(at));
                    }
                    for (int j = 0; j < n; j++) {
                        assertTrue(!Double.isFinite(rz.at(j, c)), "Z (" + j + ", " + c + ") with " + bad + " in G" + Arrays.toString(at));
                    }
                }
                // in V: its column of Y and Z, and no other
                g.data()[at[0] * n + at[1]] = 1;
                v.data()[at[1] * k + 5] = bad;
                step.run(g.on(device, type), v.on(device, type), y, z);
                Reference by = Reference.of(y);
                Reference bz = Reference.of(z);
                for (int c = 0; c < k; c++) {
                    for (int i = 0; i < m; i++) {
                        assertEquals(c != 5, Double.isFinite(by.at(i, c)), "Y (" + i + ", " + c + ") with " + bad + " in V");
                    }
                    for (int j = 0; j < n; j++) {
                        assertEquals(c != 5, Double.isFinite(bz.at(j, c)), "Z (" + j + ", " + c + ") with " + bad + " in V");
                    }
                }
            }
        }
    }

    /** Zeros that fill blocks up must not meet it: 0·∞ is NaN. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void infinityTimesPositiveNumbersStaysInfinity(DataType type) {
        infinityStaysInfinity(device, type, random, device::powerStep);
    }

    static void infinityStaysInfinity(Device device, DataType type, Random random, Step step) {
        int k = 18;
        Reference v = Reference.random(70, k, type, random);
        v.data()[9 * k + 5] = Double.POSITIVE_INFINITY;
        Matrix y = device.allocate(type, 67, k);
        Matrix z = device.allocate(type, 70, k);
        step.run(Reference.random(67, 70, type, random).magnitudes().on(device, type), v.on(device, type), y, z);
        for (Matrix a : new Matrix[] {y, z}) {
            Reference r = Reference.of(a);
            for (int i = 0; i < r.rows(); i++) {
                assertEquals(Double.POSITIVE_INFINITY, r.at(i, 5));
                assertTrue(Double.isFinite(r.at(i, 4)) && Double.isFinite(r.at(i, 6)));
            }
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void operandsFromOneBufferAsAKrylovBasisHasThem(DataType type) {
        int m = 90;
        int n = 75;
        int k = 16;
        Reference g = Reference.random(m, n, type, random);
        Reference v = Reference.random(n, k, type, random);
        Matrix basis = device.allocate(type, n, 12 * k);
        Matrix left = device.allocate(type, m, 12 * k);
        basis.columns(k, 2 * k).write(v.data());
        device.powerStep(g.on(device, type), basis.columns(k, 2 * k), left.columns(3 * k, 4 * k), basis.columns(2 * k, 3 * k));
        assertRight("in a basis", g, v, left.columns(3 * k, 4 * k), basis.columns(2 * k, 3 * k), type);
        assertArrayEquals(v.data(), basis.columns(k, 2 * k).read());
        assertTrue(Arrays.stream(basis.columns(3 * k, 12 * k).read()).allMatch(x -> x == 0));
        assertTrue(Arrays.stream(left.columns(0, 3 * k).read()).allMatch(x -> x == 0));
    }

    @Test
    void countsOneCallAndKeepsItsWorkspaceUntilTheDeviceIsClosed() {
        Matrix g = device.allocate(DataType.FLOAT32, 200, 100);
        Matrix v = device.allocate(DataType.FLOAT32, 100, 20);
        Matrix y = device.allocate(DataType.FLOAT32, 200, 20);
        Matrix z = device.allocate(DataType.FLOAT32, 100, 20);
        Counters before = device.counters();
        device.powerStep(g, v, y, z);
        Counters first = device.counters();
        assertEquals(1, first.since(before).calls(Call.POWER_STEP));
        assertEquals(1, first.since(before).calls());
        for (int i = 0; i < 3; i++) {
            device.powerStep(g, v, y, z);
            device.powerStep(g.rows(0, 150), v, y.rows(0, 150), null);
        }
        assertEquals(first.allocations(), device.counters().allocations(), "a smaller step allocates nothing");
        assertEquals(first.currentBytes(), device.counters().currentBytes());
    }

    @Test
    void refusesShapesTypesAndOverlaps() {
        DataType type = DataType.FLOAT32;
        Matrix g = device.allocate(type, 6, 4);
        Matrix v = device.allocate(type, 4, 2);
        Matrix y = device.allocate(type, 6, 2);
        Matrix z = device.allocate(type, 4, 2);
        refuses(g, y, y, z);
        refuses(g, v, z, z);
        refuses(g, v, y, y);
        refuses(g, v, y, device.allocate(type, 4, 3));
        refuses(g, v, device.allocate(type, 6, 3), null);
        refuses(g, v, y, v);
        refuses(g, v, g.columns(0, 2), z);
        refuses(g, device.allocate(DataType.FLOAT64, 4, 2), y, z);
        refuses(g, v, y, device.allocate(DataType.FLOAT64, 4, 2));
        refuses(device.allocate(DataType.BFLOAT16, 6, 4), v, y, z);
        refuses(device.allocate(DataType.FLOAT16, 6, 4), device.allocate(DataType.BFLOAT16, 4, 2), device.allocate(DataType.BFLOAT16, 6, 2), null);
        try (Device other = opener.get()) {
            refuses(g, other.allocate(type, 4, 2), y, z);
        }
    }

    private void refuses(Matrix g, Matrix v, Matrix y, Matrix z) {
        assertThrows(IllegalArgumentException.class, () -> device.powerStep(g, v, y, z));
        assertThrows(IllegalArgumentException.class, () -> device.powerStepAndNorm(g, v, y, z));
    }
}
