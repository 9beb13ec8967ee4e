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

/** The kernels' eigenvectors of small symmetric matrices, in every variant, by what defines them. */
class HostEigenTest extends KernelsTest {
    private static final int[] SIZES = {1, 2, 3, 7, 8, 9, 16, 31, 48, 96};

    /** Element (i, j) of a symmetric matrix, j ≤ i. */
    private interface Element {
        double at(int i, int j);
    }

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void rowsAreEigenvectorsOfAscendingEigenvalues(String variant) {
        HostKernels kernels = open(variant, 1);
        for (int n : SIZES) {
            check(kernels, n, (i, j) -> random.nextGaussian());
            check(kernels, n, (i, j) -> Math.pow(0.7, i) * Math.pow(0.7, j) * random.nextGaussian()); // of falling size, as a basis's squares
            check(kernels, n, (i, j) -> 1e30 * Math.pow(0.5, n - i) * random.nextGaussian()); // rising, and large
            check(kernels, n, (i, j) -> i == j ? 3 : 0);
            check(kernels, n, (i, j) -> i == j ? i % 2 : 0);
            check(kernels, n, (i, j) -> 0);
            check(kernels, n, (i, j) -> 1e-30); // rank 1
            check(kernels, n, (i, j) -> i - j == 1 ? 1 : 0); // values in pairs of both signs
            check(kernels, n, (i, j) -> i / 5 == j / 5 ? 1 : 0); // in parts
            check(kernels, n, (i, j) -> i == n / 2 || j == n / 2 ? 0 : random.nextGaussian());
            check(kernels, n, (i, j) -> i == j ? Math.abs(i - n / 2) : i - j == 1 ? 1 : 0); // Wilkinson's: in close pairs
            check(kernels, n, (i, j) -> (1 + i) * (1 + j)); // rank 1
            check(kernels, n, (i, j) -> 1e-40 * random.nextGaussian());
            check(kernels, n, (i, j) -> i == j ? 3e38 * (1 - i % 2 * 2) : 1e-40);
        }
    }

    /** A·qᵢ = wᵢ·qᵢ and Q·Qᵀ = I as exactly as float32 elements can say: each is rounded once, and 2⁻⁴⁴ is nothing beside. */
    private void check(HostKernels kernels, int n, Element element) {
        double[] values = new double[n * n];
        double size = 0;
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                values[i * n + j] = j > i ? Double.NaN : (float) element.at(i, j); // the upper triangle is not read
            }
        }
        Framed fa = Framed.nan(device, TYPE, n, n);
        Framed fw = Framed.nan(device, TYPE, 1, n);
        fa.inside().write(values);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < i; j++) {
                values[j * n + i] = values[i * n + j];
            }
        }
        for (double value : values) {
            size += value * value;
        }
        size = Math.sqrt(size);
        assertTrue(kernels.eigen(fa.inside(), fw.inside()));
        fa.assertFrameUnchanged("Q");
        fw.assertFrameUnchanged("w");
        Reference q = Reference.of(fa.inside());
        Reference qa = q.times(new Reference(n, n, values));
        Reference qq = q.times(q.transpose());
        double[] found = fw.inside().read();
        double rounding = 0x1p-24;
        for (int i = 0; i < n; i++) {
            assertTrue(i == 0 || found[i - 1] <= found[i], "ascending");
            for (int j = 0; j < n; j++) {
                assertEquals(found[i] * q.at(i, j), qa.at(i, j), 3 * rounding * size + n * Float.MIN_VALUE, "n=" + n + " (" + i + ", " + j + ")");
                assertEquals(i == j ? 1 : 0, qq.at(i, j), 3 * rounding, "n=" + n + " (" + i + ", " + j + ")");
            }
        }
    }

    @ParameterizedTest
    @FieldSource("VARIANTS")
    void whatIsNotFiniteIsLeftAsItIs(String variant) {
        HostKernels kernels = open(variant, 1);
        for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
            Matrix a = device.allocate(TYPE, 9, 9);
            a.view(7, 8, 2, 3).write(new double[] {bad});
            double[] before = a.read();
            assertFalse(kernels.eigen(a, device.allocate(TYPE, 1, 9)));
            assertArrayEquals(before, a.read());
        }
        Matrix large = device.allocate(TYPE, 2, 2);
        device.fill(large, 3e38); // an eigenvalue of 6e38
        assertFalse(kernels.eigen(large, device.allocate(TYPE, 1, 2)));
        assertEquals(4, Arrays.stream(large.read()).filter(x -> x == (float) 3e38).count());
        int n = (int) HostKernels.MOST_EIGEN + 1;
        assertFalse(kernels.eigen(device.allocate(TYPE, n, n), device.allocate(TYPE, 1, n)), "large");
        assertFalse(kernels.eigen(device.allocate(DataType.FLOAT64, 2, 2), device.allocate(DataType.FLOAT64, 1, 2)), "float64");
    }

    /** LAPACK would have needed memory. */
    @Test
    void theDeviceUsesThem() {
        needsThemInUse();
        Matrix a = device.allocate(TYPE, 48, 48);
        Matrix w = device.allocate(TYPE, 1, 48);
        long before = device.counters().allocations();
        device.symmetricEigen(a, w);
        assertEquals(before, device.counters().allocations());
    }
}
