package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.util.Random;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.lora4j.Framed;
import org.lora4j.Reference;

/** The loops that stand in for a library whose dtrsm is wrong, by their residuals; the triangle that is not read is full of NaN. */
class HostTriangularTest {
    private static final DataType TYPE = DataType.FLOAT64;

    private final Random random = new Random(5);
    private final HostDevice device = HostDevice.open();

    @AfterEach
    void close() {
        device.close();
    }

    @Test
    void solvesOnEitherSideOfEitherTriangle() {
        for (int[] shape : new int[][] {{1, 1}, {1, 7}, {7, 1}, {17, 9}, {0, 2}, {2, 0}}) {
            for (boolean left : new boolean[] {true, false}) {
                for (boolean lower : new boolean[] {true, false}) {
                    for (boolean transposed : new boolean[] {true, false}) {
                        solve(left, lower, transposed, shape[0], shape[1]);
                    }
                }
            }
        }
    }

    private void solve(boolean left, boolean lower, boolean transposed, int m, int n) {
        String what = (left ? "left" : "right") + (lower ? " lower" : " upper") + (transposed ? " transposed " : " ") + m + "×" + n;
        int size = left ? m : n;
        Reference triangle = triangle(size);
        Framed t = Framed.of(device, TYPE, lower ? triangle(triangle, Double.NaN) : triangle(triangle, Double.NaN).transpose());
        Reference b = Reference.random(m, n, TYPE, random);
        Framed x = Framed.of(device, TYPE, b);
        HostTriangular.solve(left, lower, transposed, m, n, -0.5, segment(t), t.inside().leadingDimension(), segment(x), x.inside().leadingDimension());

        Reference op = lower == transposed ? triangle.transpose() : triangle;
        Reference product = left ? op.times(Reference.of(x.inside())) : Reference.of(x.inside()).times(op);
        Reference scale = left ? op.magnitudes().times(Reference.of(x.inside()).magnitudes()) : Reference.of(x.inside()).magnitudes().times(op.magnitudes());
        b.times(-0.5).assertClose(what, product, TYPE, size + 1, scale);
        x.assertFrameUnchanged(what);

        device.fill(t.inside(), Double.NaN); // α = 0 reads neither
        device.fill(x.inside(), Double.NaN);
        HostTriangular.solve(left, lower, transposed, m, n, 0, segment(t), t.inside().leadingDimension(), segment(x), x.inside().leadingDimension());
        assertEquals(0, m * n == 0 ? 0 : device.largest(x.inside()), what);
    }

    @Test
    void choleskyFromTheLowerTriangleAlone() {
        for (int n : new int[] {0, 1, 2, 33, 70}) {
            Reference factor = triangle(n);
            Reference a = factor.times(factor.transpose());
            Framed f = Framed.of(device, TYPE, triangle(a, Double.NaN));
            assertEquals(0, HostTriangular.cholesky(n, segment(f), f.inside().leadingDimension()));
            Reference l = triangle(Reference.of(f.inside()), 0);
            a.assertClose("cholesky " + n, l.times(l.transpose()), TYPE, n + 1, l.magnitudes().times(l.magnitudes().transpose()));
            f.assertFrameUnchanged("cholesky " + n);
        }
    }

    @Test
    void choleskyTellsTheFirstMinorThatIsNotPositive() {
        for (double pivot : new double[] {0, -1, Double.NaN}) {
            Reference a = Reference.identity(5);
            a.data()[2 * 5 + 2] = pivot;
            Framed f = Framed.of(device, TYPE, a);
            assertEquals(3, HostTriangular.cholesky(5, segment(f), f.inside().leadingDimension()));
        }
    }

    private static MemorySegment segment(Framed f) {
        return f.inside().segment();
    }

    /** A random lower triangle that is easily solved. */
    private Reference triangle(int n) {
        Reference a = Reference.random(n, n, TYPE, random).times(0x1p-4);
        for (int i = 0; i < n; i++) {
            a.data()[i * n + i] = i % 2 == 0 ? 1.5 : 2;
        }
        return triangle(a, 0);
    }

    /** The lower triangle of A, {@code above} elsewhere. */
    private static Reference triangle(Reference a, double above) {
        Reference lower = a.times(1);
        for (int i = 0; i < a.rows(); i++) {
            for (int j = i + 1; j < a.cols(); j++) {
                lower.data()[i * a.cols() + j] = above;
            }
        }
        return lower;
    }
}
