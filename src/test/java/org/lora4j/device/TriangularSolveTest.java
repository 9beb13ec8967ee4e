package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.Framed;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;

/** Triangular solves, by their residual op(T)·X − α·B or X·op(T) − α·B; the triangle that is not read is full of NaN. */
class TriangularSolveTest extends DeviceTest {
    private static final int[][] SHAPES = {{1, 1}, {1, 7}, {7, 1}, {5, 3}, {64, 33}, {33, 64}, {0, 2}, {2, 0}};

    final Random random = new Random(11);

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void solvesOnEitherSideOfEitherTriangle(DataType type) {
        for (int[] shape : SHAPES) {
            for (Side side : Side.values()) {
                for (Triangle triangle : Triangle.values()) {
                    for (Op op : Op.values()) {
                        for (double alpha : new double[] {1, -0.5}) {
                            solve(type, side, triangle, op, alpha, shape[0], shape[1]);
                        }
                    }
                }
            }
        }
    }

    private void solve(DataType type, Side side, Triangle triangle, Op op, double alpha, int m, int n) {
        String what = side + " " + triangle + " " + op + " " + type + " " + m + "×" + n;
        int size = side == Side.LEFT ? m : n;
        Reference lower = Reference.random(size, size, type, random).times(0x1p-4);
        Reference stored = lower.times(1);
        for (int i = 0; i < size; i++) {
            for (int j = i; j < size; j++) {
                lower.data()[i * size + j] = i < j ? 0 : i % 2 == 0 ? 1.5 : -2;
                stored.data()[i * size + j] = i < j ? Double.NaN : lower.at(i, j);
            }
        }
        Reference b = Reference.random(m, n, type, random);
        Framed ft = Framed.of(device, type, triangle == Triangle.LOWER ? stored : stored.transpose());
        Framed fb = Framed.of(device, type, b);
        device.triangularSolve(side, triangle, op, alpha, ft.inside(), fb.inside());

        Reference x = Reference.of(fb.inside());
        Reference t = triangle == Triangle.LOWER == (op == Op.NONE) ? lower : lower.transpose();
        Reference product = side == Side.LEFT ? t.times(x) : x.times(t);
        Reference scale = side == Side.LEFT ? t.magnitudes().times(x.magnitudes()) : x.magnitudes().times(t.magnitudes());
        b.times(alpha).assertClose(what, product, type, size + 1, scale);
        ft.assertFrameUnchanged(what);
        fb.assertFrameUnchanged(what);
    }

    /** BLAS reads neither T nor B then. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void zeroTimesAnythingIsZero(DataType type) {
        for (Side side : Side.values()) {
            for (Op op : Op.values()) {
                Matrix t = device.allocate(type, 3, 3); // singular
                Matrix b = side == Side.LEFT ? device.allocate(type, 3, 1000) : device.allocate(type, 1000, 3);
                device.fill(b, Double.NaN);
                device.triangularSolve(side, Triangle.LOWER, op, 0, t, b);
                assertEquals(0, device.largest(b), side + " " + op);
            }
        }
    }

    @Test
    void refusesShapesTypesAndOverlapsBeforeAnythingIsCounted() {
        Matrix tall = device.allocate(DataType.FLOAT32, 4, 3);
        Matrix square = device.allocate(DataType.FLOAT32, 3, 3);
        Matrix twice = device.allocate(DataType.FLOAT64, 3, 3);
        refuses(Side.LEFT, square, tall);
        refuses(Side.RIGHT, tall, square);
        refuses(Side.LEFT, square, twice);
        refuses(Side.LEFT, square, square);
        refuses(Side.LEFT, square, square.columns(0, 1));
    }

    private void refuses(Side side, Matrix t, Matrix b) {
        Counters before = device.counters();
        assertThrows(IllegalArgumentException.class, () -> device.triangularSolve(side, Triangle.LOWER, Op.NONE, 1, t, b));
        assertEquals(before.calls(), device.counters().calls(), "a refused call is not counted");
    }
}
