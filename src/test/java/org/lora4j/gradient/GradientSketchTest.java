package org.lora4j.gradient;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.svd.Certificate;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/** A sketch and its refinement against the exact SVD of the gradient that was streamed. */
class GradientSketchTest extends DeviceTest {
    private static final int M = 90;
    private static final int N = 120;
    private static final int L = 64;

    private GradientSketch of(Streams s, DataType type, long seed) {
        GradientSketch sketch = new GradientSketch(device, type, s.dy().get(0).cols(), s.x().get(0).cols(), L, seed);
        s.feed(device, type, sketch::update);
        return sketch;
    }

    private static void assertOrthonormal(SingularTriplets t, double tolerance) {
        Reference u = Reference.of(t.u());
        Reference vt = Reference.of(t.vt());
        Reference.identity(vt.rows()).assertNear("UᵀU", u.transpose().times(u), tolerance);
        Reference.identity(vt.rows()).assertNear("VᵀV", vt.times(vt.transpose()), tolerance);
    }

    /** ‖G − U·S·Vᵀ‖/‖G‖. */
    private static double left(Reference g, SingularTriplets t) {
        Reference us = Reference.of(t.u());
        for (int i = 0; i < us.data().length; i++) {
            us.data()[i] *= t.values()[i % t.values().length];
        }
        return us.times(Reference.of(t.vt())).plus(-1, g).norm() / g.norm();
    }

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

    /** The error is within a small multiple of the least possible (Eckart and Young), the passes bring it there. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void eachPassComesNearerToTheOptimum(DataType type) {
        eachPassComesNearerToTheOptimum(type, Streams.decaying(M, N, type, 3, 80, 0.85, 16));
    }

    /** The same where each micro-batch has more rows than the sketch columns: the subspace is iterated. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void manyRowsAtOnceComeAsNear(DataType type) {
        eachPassComesNearerToTheOptimum(type, Streams.decaying(M, N, type, 3, 240, 0.93, 80));
    }

    private void eachPassComesNearerToTheOptimum(DataType type, Streams s) {
        Reference g = s.gradient();
        int k = 16;
        try (Matrix on = g.on(device, type); SingularTriplets exact = new ExactSvd().top(on, k, 0)) {
            double least = left(g, exact);
            double optimum = Streams.alignment(g, Reference.of(exact.u()), Reference.of(exact.vt()));
            double worst = 1;
            long held = 0;
            double worst2 = 1;
            double worst4 = 1;
            for (int seed = 0; seed < 5; seed++) {
                GradientSketch sketch = of(s, type, seed);
                try (SingularTriplets t = sketch.finish(k / 2)) {
                    assertTrue(left(g, t) < 1.01 * least, left(g, t) + " of " + least);
                    worst = Math.min(worst, Streams.alignment(g, Reference.of(t.u()), Reference.of(t.vt())) / optimum);
                    assertEquals(1, t.certificate().steps());
                }
                GradientRefinement pass = sketch.refine();
                assertThrows(IllegalStateException.class, () -> sketch.top(4, 0), "the sketch was turned into the pass");
                for (int i = 2; i <= 4; i++) {
                    assertEquals(i, pass.pass());
                    s.reversed().feed(device, type, pass::update);
                    try (SingularTriplets t = pass.finish(k / 2)) {
                        assertOrthonormal(t, 200 * type.unitRoundoff());
                        double a = Streams.alignment(g, Reference.of(t.u()), Reference.of(t.vt())) / optimum;
                        worst2 = i == 2 ? Math.min(worst2, a) : worst2;
                        worst4 = i == 4 ? Math.min(worst4, a) : worst4;
                        if (i == 4) {
                            assertEquals(least, left(g, t), 2e-3 * least);
                        }
                        assertEquals(i, t.certificate().steps());
                    }
                    pass = i < 4 ? pass.refine() : pass;
                }
                pass.close();
                held = seed == 0 ? device.counters().currentBytes() : held; // with what the device keeps for itself
            }
            assertTrue(worst > 0.99, "one pass: " + worst);
            assertTrue(worst2 > 0.9999, "two passes: " + worst2);
            assertTrue(worst4 > 0.99999, "four passes: " + worst4);
            assertEquals(held, device.counters().currentBytes(), "nothing is left");
        }
    }

    /** The estimates are of the size of what they estimate: in the mean of several seeds within their standard error. */
    @Test
    void theCertificateEstimatesWhatIsTrue() {
        Streams s = Streams.decaying(M, N, DataType.FLOAT64, 6, 300, 0.99, 16);
        Reference g = s.gradient();
        double ratio = 0;
        double energyError = 0;
        int count = 0;
        for (int seed = 0; seed < 20; seed++) {
            try (GradientSketch sketch = of(s, DataType.FLOAT64, seed); SingularTriplets t = sketch.top(12, 0)) {
                double captured = 1 - Math.pow(left(g, t), 2);
                assertEquals(captured, t.certificate().capturedEnergy(), 0.12);
                energyError += (t.certificate().capturedEnergy() - captured) / (1 - captured) / 20;
                assertFalse(t.certificate().converged());
                Reference gv = g.times(Reference.of(t.vt()).transpose());
                Reference gu = g.transpose().times(Reference.of(t.u()));
                for (int i = 0; i < 12; i++) {
                    double ofV = gv.columns(i, i + 1).plus(-t.values()[i], Reference.of(t.u()).columns(i, i + 1)).norm();
                    double ofU = gu.columns(i, i + 1).plus(-t.values()[i], Reference.of(t.vt()).transpose().columns(i, i + 1)).norm();
                    ratio += t.certificate().residuals()[i] * t.values()[0] / Math.max(ofV, ofU);
                    count++;
                }
            }
        }
        assertEquals(0, energyError, 0.2, "what is missing to the captured energy, on average");
        assertEquals(1.1, ratio / count, 0.25, "estimated over true residual; a maximum of two estimates is a little too large");
    }

    /** Until P and Q are full a sketch is exact; then order and shards matter, by much less than is missing to the optimum. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void shardsAddUp(DataType type) {
        double tolerance = 50 * type.unitRoundoff();
        Streams few = Streams.random(M, N, type, 8, 1, 7, 20);
        try (GradientSketch whole = of(few, type, 4); GradientSketch a = of(few.part(0, 2), type, 4); GradientSketch b = of(few.part(2, 3), type, 4);
                GradientSketch zero = new GradientSketch(device, type, M, N, L, 4)) {
            double[] alone = b.state()[0].read();
            zero.merge(b);
            for (int i = 0; i < 4; i++) {
                assertArrayEquals(b.state()[i].read(), zero.state()[i].read(), "adding to nothing is exact");
            }
            a.merge(b);
            assertArrayEquals(alone, b.state()[0].read(), "what is merged is not modified");
            assertEquals(3, a.batches());
            assertEquals(28, a.batchRows());
            for (int i = 0; i < 4; i++) {
                Reference.of(whole.state()[i]).assertNear("state " + i, Reference.of(a.state()[i]), tolerance);
            }
        }
        Streams s = Streams.decaying(M, N, type, 3, 80, 0.85, 16);
        Reference g = s.gradient();
        try (GradientSketch whole = of(s, type, 4); GradientSketch backwards = of(s.reversed(), type, 4); GradientSketch a = of(s.part(0, 3), type, 4);
                GradientSketch b = of(s.part(3, 5), type, 4); GradientSketch c = of(s.part(0, 3), type, 4); Matrix on = g.on(device, type);
                SingularTriplets exact = new ExactSvd().top(on, 16, 0)) {
            a.merge(b);
            b.merge(c);
            for (GradientSketch sketch : new GradientSketch[] {whole, backwards, a, b}) {
                assertEquals(5, sketch.batches());
                for (int i = 2; i < 4; i++) {
                    Reference.of(whole.state()[i]).assertNear("probes " + i, Reference.of(sketch.state()[i]), tolerance);
                }
                try (SingularTriplets t = sketch.finish(8)) {
                    assertEquals(left(g, exact), left(g, t), 0.01 * left(g, exact));
                }
            }
        }
    }

    /** What cancels among the micro-batches hides little as long as it is not much more than G, and the certificate says when it is. */
    @Test
    void whatCancelsIsForgottenOrSaid() {
        Reference gradient = Streams.decaying(M, N, DataType.FLOAT32, 3, 80, 0.9, 16).gradient();
        try (Matrix g = gradient.on(device, DataType.FLOAT32)) {
            StreamedGradient streamed = StreamedGradient.of("decaying", g);
            for (double noise : new double[] {0, 0.3}) {
                double[] found = streamed.passes(8, 8, 4, noise, 2);
                assertTrue(found[0] >= 0.99 && found[1] >= 0.9999, noise + ": " + Arrays.toString(found));
            }
            try (GradientSketch sketch = new GradientSketch(device, DataType.FLOAT32, M, N, L, 1)) {
                streamed.feed(4, 30, sketch::update);
                try (SingularTriplets t = sketch.finish(8)) {
                    assertFalse(t.certificate().converged());
                    assertTrue(t.certificate().capturedEnergy() < 0.5, t.certificate()::toString);
                }
            }
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
