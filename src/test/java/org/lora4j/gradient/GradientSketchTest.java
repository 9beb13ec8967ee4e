package org.lora4j.gradient;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.svd.Certificate;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/** What a sketch finds exactly, and what it does not depend on. */
class GradientSketchTest extends SketchTest {
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void aGradientOfLowRankIsFoundExactly(DataType type) {
        double tolerance = type == DataType.FLOAT32 ? 2e-5 : 1e-9;
        for (int rank : new int[] {1, 5, 16}) {
            Streams s = Streams.random(M, N, type, 2, rank);
            Reference g = s.gradient();
            try (GradientSketch sketch = of(s, type, 9); SingularTriplets t = sketch.top(16, 0); Matrix on = g.on(device, type);
                    SingularTriplets exact = new ExactSvd().top(on, 16, 0)) {
                assertEquals(0, left(g, t), tolerance);
                assertEquals(rank, t.numericalRank());
                assertEquals(exact.values()[0], t.values()[0], tolerance * exact.values()[0]);
                assertOrthonormal(t, 100 * type.unitRoundoff());
                Certificate c = t.certificate();
                assertEquals(1, c.capturedEnergy(), tolerance);
                assertTrue(c.converged() && c.largestResidual() <= tolerance, c::toString);
                for (int i = 0; i < rank; i++) {
                    assertTrue(device.largest(t.vt().rows(i, i + 1)) > 0, "sign of pair " + i);
                }
            }
        }
    }

    @Test
    void aZeroGradientIsCompletedOrthonormally() {
        try (GradientSketch sketch = new GradientSketch(device, DataType.FLOAT32, M, N, L, 1); SingularTriplets t = sketch.top(4, 0);
                SingularTriplets other = sketch.top(4, 1)) {
            assertFalse(Arrays.equals(t.u().read(), other.u().read()), "completed from the seed");
            assertEquals(0, t.numericalRank());
            assertArrayEquals(new double[4], t.values());
            assertOrthonormal(t, 1e-5);
        }
    }

    /** What a micro-batch of many rows adds at right angles to all before is found too, and one of zeros adds nothing. */
    @Test
    void manyRowsInNewDirectionsAreFound() {
        DataType type = DataType.FLOAT32;
        try (GradientSketch sketch = new GradientSketch(device, type, M, N, L, 1); Matrix x = device.allocate(type, 80, N); Matrix dy = device.allocate(type, 80, M)) {
            sketch.update(x, dy);
            Reference g = Reference.zeros(M, N);
            for (int from : new int[] {0, 20}) {
                device.fill(x, 0);
                device.fill(dy, 0);
                for (int i = 0; i < 20; i++) {
                    double size = Math.pow(0.9, i);
                    x.view(i, i + 1, from + i, from + i + 1).write(size);
                    dy.view(i, i + 1, from + i, from + i + 1).write(1);
                    g.data()[(from + i) * N + from + i] = (float) size;
                }
                sketch.update(x, dy);
            }
            try (SingularTriplets t = sketch.top(40, 0)) {
                assertEquals(40, t.numericalRank());
                assertEquals(0, left(g, t), 1e-5);
            }
        }
    }

    /** Many times l rows of a G of rank 12: what replaces them does not drift. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void aLongStreamOfLowRankIsFoundExactly(DataType type) {
        Streams s = Streams.random(M, N, type, 7, 12);
        for (int rows : new int[] {12, 80}) { // 80: more than the sketch has columns, all but 12 of them zeros
            try (GradientSketch sketch = new GradientSketch(device, type, M, N, L, 1); Matrix x = device.allocate(type, rows, N);
                    Matrix dy = device.allocate(type, rows, M)) {
                x.rows(rows - 12, rows).write(s.x().get(0).data());
                dy.rows(rows - 12, rows).write(s.dy().get(0).data());
                int times = 256;
                for (int i = 0; i < times; i++) {
                    sketch.update(x, dy);
                }
                Reference g = s.gradient().times(times);
                try (SingularTriplets t = sketch.top(16, 0)) {
                    assertEquals(0, left(g, t), times * type.unitRoundoff(), "each sum of P and Q is rounded");
                    assertEquals(12, t.numericalRank());
                }
            }
        }
    }

    @Test
    void theProbesAreProductsWithSigns() {
        Streams s = Streams.random(M, N, DataType.FLOAT64, 8, 40, 3);
        Reference g = s.gradient();
        try (Probes probes = new Probes(device, DataType.FLOAT64, M, N, L, 4); Probes inverse = new Probes(device, DataType.FLOAT64, N, N, L, 4);
                Matrix eye = Reference.identity(N).on(device, DataType.FLOAT64)) {
            s.feed(device, DataType.FLOAT64, probes::update);
            inverse.update(eye, eye); // G = I: G·Θ is Θ itself
            Reference theta = Reference.of(inverse.range());
            double sum = 0;
            for (double x : theta.data()) {
                assertEquals(1, Math.abs(x));
                sum += x;
            }
            assertEquals(0, sum / Math.sqrt(theta.data().length), 4, "as many of each sign");
            Reference gram = theta.transpose().times(theta);
            assertTrue(Arrays.stream(gram.plus(-N, Reference.identity(L)).data()).map(Math::abs).max().orElse(0) < 6 * Math.sqrt(N), "independent columns");
            Reference both = theta.transpose().times(Reference.of(inverse.coRange()));
            assertTrue(Arrays.stream(both.data()).map(Math::abs).max().orElse(0) < 6 * Math.sqrt(N), "Θ and Ξ are independent");
            g.times(theta).assertNear("G·Θ", Reference.of(probes.range()), 1e-14);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {30, 80})
    void scaleDoesNotMatter(int step) {
        Streams s = Streams.decaying(M, N, DataType.FLOAT32, 5, 2 * step, Math.pow(0.8, 30.0 / step), step); // above float32's least in any scale
        try (GradientSketch one = of(s, DataType.FLOAT32, 1); SingularTriplets t = one.top(8, 0)) {
            for (double scale : new double[] {0x1p-50, 0x1p50}) {
                GradientSketch other = of(s.times(scale, scale), DataType.FLOAT32, 1);
                try (SingularTriplets o = other.top(8, 0)) {
                    assertArrayEquals(t.u().read(), o.u().read());
                    assertArrayEquals(t.vt().read(), o.vt().read());
                    assertEquals(t.values()[7] * scale * scale, o.values()[7]);
                    assertArrayEquals(t.certificate().residuals(), o.certificate().residuals());
                }
                try (GradientRefinement pass = other.refine(); GradientRefinement same = of(s, DataType.FLOAT32, 1).refine()) {
                    s.times(scale, scale).feed(device, DataType.FLOAT32, pass::update);
                    s.feed(device, DataType.FLOAT32, same::update);
                    try (SingularTriplets o = pass.top(8, 0); SingularTriplets p = same.top(8, 0)) {
                        assertArrayEquals(p.u().read(), o.u().read());
                        assertEquals(p.values()[7] * scale * scale, o.values()[7]);
                        assertArrayEquals(p.certificate().residuals(), o.certificate().residuals());
                        assertEquals(p.certificate().capturedEnergy(), o.certificate().capturedEnergy());
                    }
                }
            }
        }
    }

    /** Below 1e-6·σ₁ a Gram matrix shows only rounding: such triplets count as completing, whatever the type. */
    @Test
    void whatAGramMatrixCannotTellIsNotRank() {
        Streams s = Streams.random(M, N, DataType.FLOAT64, 2, 1, 1, 1);
        double[] size = {1, 1e-2, 1e-9};
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < N; j++) {
                s.x().get(i).data()[j] *= size[i];
            }
        }
        Reference g = s.gradient();
        try (GradientSketch sketch = of(s, DataType.FLOAT64, 9); SingularTriplets t = sketch.top(3, 0); Matrix on = g.on(device, DataType.FLOAT64);
                SingularTriplets exact = new ExactSvd().top(on, 3, 0)) {
            assertEquals(3, exact.numericalRank());
            assertEquals(2, t.numericalRank());
            assertTrue(t.completed());
            assertEquals(0, t.values()[2]);
            assertOrthonormal(t, 1e-13);
            for (int i = 0; i < 2; i++) {
                assertEquals(exact.values()[i], t.values()[i], 1e-8 * exact.values()[0]);
                assertEquals(1, Reference.of(t.vt()).rows(i, i + 1).dot(Reference.of(exact.vt()).rows(i, i + 1)), 1e-8, "v of triplet " + i);
            }
        }
    }

    @Test
    void askingDoesNotChangeTheSketchAndTheSameSeedGivesTheSameBits() {
        Streams s = Streams.random(M, N, DataType.FLOAT32, 5, 100);
        try (GradientSketch a = of(s, DataType.FLOAT32, 1); GradientSketch b = of(s, DataType.FLOAT32, 1); GradientSketch c = of(s, DataType.FLOAT32, 2)) {
            double[] before = a.state()[0].read();
            try (SingularTriplets one = a.top(8, 0); SingularTriplets two = a.top(8, 0); SingularTriplets three = b.top(8, 0); SingularTriplets four = c.top(8, 0)) {
                assertArrayEquals(one.u().read(), two.u().read());
                assertArrayEquals(one.u().read(), three.u().read());
                assertFalse(Arrays.equals(one.certificate().residuals(), four.certificate().residuals()), "another seed");
            }
            assertArrayEquals(before, a.state()[0].read());
        }
    }
}
