package org.lora4j.svd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;

/** What the certificates of all methods say, against what is known of the matrix. */
class CertificateTest extends DeviceTest {
    private static final int M = 200;
    private static final int N = 160;
    private static final List<TopSvd> METHODS = List.of(new ExactSvd(), new BlockKrylovSvd());

    /** M×N with {@code sigma} on its diagonal: its singular values are known without rounding. */
    private static Reference diagonal(double... sigma) {
        Reference g = Reference.zeros(M, N);
        for (int i = 0; i < sigma.length; i++) {
            g.data()[i * N + i] = sigma[i];
        }
        return g;
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void capturedEnergyIsOfTheMatrixAtAnyScale(DataType type) {
        double[] sigma = new double[N];
        double all = 0;
        double leading = 0;
        for (int i = 0; i < N; i++) {
            sigma[i] = Math.pow(0.9, i);
            all += sigma[i] * sigma[i];
            leading += i < 6 ? sigma[i] * sigma[i] : 0;
        }
        for (TopSvd method : METHODS) {
            for (double scale : type == DataType.FLOAT32 ? new double[] {1e-30, 1, 1e30} : new double[] {1e-200, 1e-30, 1, 1e30, 1e200}) {
                try (Matrix g = diagonal(sigma).times(scale).on(device, type); SingularTriplets t = method.top(g, 6, 1)) {
                    assertEquals(leading / all, t.certificate().capturedEnergy(), 20 * Math.sqrt(type.unitRoundoff()) * leading / all, method + " at " + scale);
                }
            }
        }
    }

    /** Recomputed in float64 no residual is larger than the certificate says, nor does it say more than rounding, also of what only completes. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void residualsOfLowRankMatricesAreTheTrueOnes(DataType type) {
        double tolerance = 4 * type.unitRoundoff() * Math.sqrt(N);
        for (TopSvd method : METHODS) {
            for (int rank : new int[] {1, 3}) {
                Random random = new Random(rank);
                Reference g = Reference.random(M, rank, type, random).times(Reference.random(rank, N, type, random));
                try (Matrix on = g.on(device, type); SingularTriplets t = method.top(on, 5, 1)) {
                    Reference stored = Reference.of(on);
                    Reference gv = stored.times(Reference.of(t.vt()).transpose());
                    for (int i = 0; i < 5; i++) {
                        double residual = gv.columns(i, i + 1).plus(-t.values()[i], Reference.of(t.u()).columns(i, i + 1)).norm() / t.values()[0];
                        assertTrue(residual <= t.certificate().residuals()[i] + tolerance, method + ", triplet " + i + ": " + residual);
                    }
                    assertTrue(t.certificate().largestResidual() <= 16 * tolerance, () -> method + ": " + t.certificate());
                    assertTrue(t.certificate().converged());
                }
            }
        }
    }

    /** Twice the rounding that the definition names is rank, half of it is not. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theNumericalRankEndsAtTheThreshold(DataType type) {
        double threshold = 8 * type.unitRoundoff() * Math.sqrt(M);
        for (TopSvd method : METHODS) {
            try (Matrix g = diagonal(1, 0.5, 2 * threshold, threshold / 2).on(device, type); SingularTriplets t = method.top(g, 4, 1)) {
                assertEquals(3, t.numericalRank(), method + ": " + java.util.Arrays.toString(t.values()));
            }
        }
    }
}
