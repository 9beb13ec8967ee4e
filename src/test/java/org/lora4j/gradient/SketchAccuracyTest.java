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
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/** How near a sketch and its refinement come to the exact SVD of the gradient that was streamed, and what they say of it. */
class SketchAccuracyTest extends SketchTest {
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
}
