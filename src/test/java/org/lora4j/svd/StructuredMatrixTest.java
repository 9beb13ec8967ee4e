package org.lora4j.svd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;

/**
 * Matrices of low rank whose entries are equal or zero, as gradients of embeddings are: what a Krylov step leaves of them
 * is rounding that has structure too, and lies in the span of the basis again.
 */
class StructuredMatrixTest extends DeviceTest {
    private static final int M = 120;
    private static final int N = 160;

    private static Map<String, Reference> matrices(DataType type) {
        Map<String, Reference> all = new LinkedHashMap<>();
        Reference ones = Reference.zeros(M, N);
        java.util.Arrays.fill(ones.data(), 1);
        all.put("all ones", ones);
        Reference checkerboard = Reference.zeros(M, N);
        Reference diagonal = Reference.zeros(M, N);
        Reference oneHot = Reference.zeros(M, N);
        Reference tokens = Reference.zeros(M, N);
        Reference u = Reference.random(M, 1, type, new Random(1));
        Random random = new Random(2);
        for (int j = 0; j < N; j++) {
            double x = random.nextDouble() < 0.05 ? 1 : 0;
            for (int i = 0; i < M; i++) {
                checkerboard.data()[i * N + j] = (i + j) % 2;
                tokens.data()[i * N + j] = u.data()[i] * x;
            }
            oneHot.data()[17 * N + j] = j == 31 || j == 77 ? 2 : 0;
        }
        for (int i = 0; i < 5; i++) {
            diagonal.data()[i * N + i] = 5 - i;
        }
        all.put("checkerboard", checkerboard);
        all.put("five entries", diagonal);
        all.put("two equal entries in a row", oneHot);
        all.put("a gradient of tokens", tokens);
        return all;
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theTripletsAreTheExactOnes(DataType type) {
        for (var entry : matrices(type).entrySet()) {
            try (Matrix g = entry.getValue().on(device, type)) {
                for (int k : new int[] {1, 2, 4}) {
                    for (long seed = 0; seed < 6; seed++) {
                        check(entry.getKey() + ", k " + k + ", seed " + seed, g, k, seed);
                    }
                }
            }
        }
    }

    private void check(String what, Matrix g, int k, long seed) {
        double tolerance = 200 * g.type().unitRoundoff();
        try (SingularTriplets exact = new ExactSvd().top(g, k, seed); SingularTriplets t = new BlockKrylovSvd().top(g, k, seed)) {
            for (int i = 0; i < k; i++) {
                assertEquals(exact.values()[i], t.values()[i], BlockKrylovSvd.DEFAULT_TOLERANCE * exact.values()[0], what + ", value " + i);
            }
            Reference u = Reference.of(t.u());
            Reference vt = Reference.of(t.vt());
            for (Reference gram : new Reference[] {u.transpose().times(u), vt.times(vt.transpose())}) {
                assertTrue(gram.plus(-1, Reference.identity(k)).norm() < tolerance, what + ": not orthonormal");
            }
        }
    }

    /** Beyond half of the type's range the square of G would overflow. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theLargestNumbersAreTaken(DataType type) {
        double scale = type == DataType.FLOAT32 ? 0x1p123 : 0x1p1000;
        Reference values = Reference.random(90, 100, type, new Random(3));
        try (Matrix g = values.times(scale / 16).on(device, type); Matrix small = values.times(1.0 / 16).on(device, type);
                SingularTriplets large = new BlockKrylovSvd().top(g, 2, 0); SingularTriplets t = new BlockKrylovSvd().top(small, 2, 0)) {
            assertEquals(t.values()[0], large.values()[0] / scale, 1e-3 * t.values()[0]);
        }
    }
}
