package org.lora4j.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

import org.junit.jupiter.api.Test;

/** The known triplets are the gradient's own, and what is compared with them shows where others are wrong. */
class SyntheticGradientTest {
    private static final int M = 70;
    private static final int N = 40;
    private static final int K = 6;

    private static double[] column(double[] a, int j) {
        return IntStream.range(0, a.length / K).mapToDouble(i -> a[i * K + j]).toArray();
    }

    private static double distance(double[] x, double factor, double[] y) {
        return Math.sqrt(IntStream.range(0, x.length).mapToDouble(i -> Math.pow(x[i] - factor * y[i], 2)).sum());
    }

    @Test
    void theTripletsAreTheGradients() {
        for (Spectrum spectrum : Spectrum.values()) {
            SyntheticGradient synthetic = new SyntheticGradient(M, N, spectrum, new SplittableRandom(5));
            float[] g = synthetic.values();
            Triplets known = synthetic.leading(K);
            for (int i = 0; i < K; i++) {
                double[] u = column(known.u(), i);
                double[] v = column(known.v(), i);
                assertEquals(spectrum.value(i + 1), known.values()[i]);
                assertEquals(1, distance(u, 0, u), 1e-12);
                assertEquals(0, distance(Verification.times(g, M, N, v), known.values()[i], u), 1e-6);
                assertEquals(0, distance(Verification.transposed(g, M, N, u), known.values()[i], v), 1e-6);
            }
        }
    }

    @Test
    void noiseHasTheNormThatWasAsked() {
        SyntheticGradient synthetic = new SyntheticGradient(M, N, Spectrum.INVERSE, new SplittableRandom(5));
        float[] g = synthetic.values();
        float[] noisy = synthetic.values(0.1, 9);
        double square = IntStream.range(0, g.length).mapToDouble(i -> Math.pow(noisy[i] - g[i], 2)).sum();
        double deviation = 0.1 / (Math.sqrt(M) + Math.sqrt(N));
        assertEquals(deviation, Math.sqrt(square / g.length), 0.05 * deviation);
    }

    @Test
    void overlapIsOneOfTheSameSpaceAndNoneOfAnother() {
        Triplets known = new SyntheticGradient(M, N, Spectrum.INVERSE, new SplittableRandom(5)).leading(K);
        assertEquals(1, known.overlapU(known, K), 1e-12);
        assertEquals(1, known.overlapV(known, 2), 1e-12);
        double[] shifted = new double[known.u().length]; // the columns 2, 3, 4, … in the places of 0, 1, 2, …
        for (int i = 0; i < shifted.length; i++) {
            shifted[i] = i % K < K - 2 ? known.u()[i + 2] : 0;
        }
        Triplets other = new Triplets(known.values(), shifted, known.v());
        assertEquals(0, known.overlapU(other, 2), 1e-12);
        assertEquals(0.5, known.overlapU(other, 4), 1e-12);
        assertEquals(0.5, other.overlapU(known, 4), 1e-12);
    }

    @Test
    void aWrongSingularValueIsNamed() {
        double[] known = {2, 1, 0.5};
        Verification.singularValues(new double[] {2.001, 0.999}, known, 1e-3);
        for (double wrong : new double[] {1.1, 0.9, Double.NaN}) {
            double[] found = Arrays.copyOf(known, 2);
            found[1] = wrong;
            Exception e = assertThrows(ArithmeticException.class, () -> Verification.singularValues(found, known, 1e-3));
            assertTrue(e.getMessage().contains("singular value 2"), e.getMessage());
        }
    }
}
