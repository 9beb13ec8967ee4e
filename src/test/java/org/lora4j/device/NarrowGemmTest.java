package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Framed;
import org.lora4j.Reference;
import org.lora4j.Types;

/** Products of 16 bits: into float32 too, summed in float32, rounded once. {@link GemmTest} has those into 16 bits. */
class NarrowGemmTest extends DeviceTest {
    /** m, n, k. */
    private static final int[][] SHAPES = {{1, 1, 1}, {1, 7, 5}, {7, 1, 5}, {2, 3, 0}, {0, 3, 2}, {3, 0, 2}, {13, 17, 19}, {31, 2, 127}, {129, 65, 257}};

    final Random random = new Random(17);

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void intoFloat32NothingIsRoundedTo16Bits(DataType type) {
        for (int[] s : SHAPES) {
            for (Op opA : Op.values()) {
                for (Op opB : Op.values()) {
                    for (double[] ab : new double[][] {{1, 0}, {1, 1}, {-0.5, 1}, {1.25, -0.5}, {0, 1}}) {
                        intoFloat32(type, s[0], s[1], s[2], opA, opB, ab[0], ab[1]);
                    }
                }
            }
        }
    }

    private void intoFloat32(DataType type, int m, int n, int k, Op opA, Op opB, double alpha, double beta) {
        String what = type + " m=" + m + " n=" + n + " k=" + k + " A " + opA + " B " + opB + " alpha=" + alpha + " beta=" + beta;
        Reference a = Reference.random(m, k, type, random);
        Reference b = Reference.random(k, n, type, random);
        Reference c = Reference.random(m, n, DataType.FLOAT32, random);
        Framed fa = Framed.of(device, type, opA == Op.NONE ? a : a.transpose());
        Framed fb = Framed.of(device, type, opB == Op.NONE ? b : b.transpose());
        Framed fc = beta == 0 ? Framed.nan(device, DataType.FLOAT32, m, n) : Framed.of(device, DataType.FLOAT32, c);
        device.gemm(alpha, fa.inside(), opA, fb.inside(), opB, beta, fc.inside());
        Reference scale = a.magnitudes().times(b.magnitudes()).times(Math.abs(alpha)).plus(Math.abs(beta), c.magnitudes());
        a.times(b).times(alpha).plus(beta, c).assertClose(what, Reference.of(fc.inside()), DataType.FLOAT32, k + 2, scale);
        for (Framed f : new Framed[] {fa, fb, fc}) {
            f.assertFrameUnchanged(what);
        }
        assertArrayEquals(opA == Op.NONE ? a.data() : a.transpose().data(), fa.inside().read(), "A is not modified");
        assertArrayEquals(opB == Op.NONE ? b.data() : b.transpose().data(), fb.inside().read(), "B is not modified");
        for (Framed f : new Framed[] {fa, fb, fc}) {
            f.whole().close();
        }
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void leadingBlocksIntoFloat32(DataType type) {
        Reference a = Reference.random(6, 9, type, random);
        Reference b = Reference.random(6, 5, type, random);
        Matrix c = device.allocate(DataType.FLOAT32, 9, 7);
        device.fill(c, 77);
        device.gemm(4, 2, 3, 1, a.on(device, type), Op.TRANSPOSE, b.on(device, type), Op.NONE, 0, c);
        Reference x = a.rows(0, 3).columns(0, 4).transpose();
        Reference y = b.rows(0, 3).columns(0, 2);
        x.times(y).assertClose("leading blocks", Reference.of(c.view(0, 4, 0, 2)), DataType.FLOAT32, 3, x.magnitudes().times(y.magnitudes()));
        assertEquals(9 * 7 - 4 * 2, Arrays.stream(c.read()).filter(v -> v == 77).count(), "outside of the block");
    }

    // ---- rounded once; all sums here are exact in float32, in any order

    /** Terms that are each too small for 16 bits to notice beside 1 add up. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void smallTermsAreNotLost(DataType type) {
        int k = 65;
        double small = type.unitRoundoff() / 2;
        Reference a = Reference.zeros(1, k);
        Arrays.fill(a.data(), small);
        a.data()[0] = 1;
        assertExactly(type, a, 1, 0, 0, 1 + 64 * small);
        assertExactly(type, a, 1, 1, small, 1 + 64 * small); // and C, which alone is lost in rounding
    }

    /** Neither products nor sums need be in the range of 16 bits, only the result. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void onlyTheResultMustBeInRange(DataType type) {
        double large = type == DataType.FLOAT16 ? 49152 : 0x1.8p126; // 3·2ⁿ; twice that is beyond the type
        Reference cancel = new Reference(1, 3, new double[] {large, -large, large});
        assertExactly(type, cancel, 1, 0, 0, large);
        if (type == DataType.FLOAT16) {
            Reference sum = new Reference(1, 4, new double[] {large, large, large, large});
            assertExactly(type, sum, 0.25, 0, 0, large);
            assertExactly(type, sum, 1, -3, large, large);
            assertExactly(type, sum, 1, 0, 0, Double.POSITIVE_INFINITY);
            assertExactly(type, sum, -1, 0, 0, Double.NEGATIVE_INFINITY);
            double least = Types.least(type);
            assertExactly(type, new Reference(1, 2, new double[] {least, least}), 1, 0, 0, 2 * least);
            assertExactly(type, new Reference(1, 3, new double[] {least, least, least}), 0.5, 0, 0, 2 * least); // 1.5: the even one
        }
    }

    /** That α·A·(1, 1, …)ᵀ + β·c is exactly {@code expected}, A being 1×k. */
    private void assertExactly(DataType type, Reference a, double alpha, double beta, double c, double expected) {
        Matrix ones = device.allocate(type, a.cols(), 1);
        device.fill(ones, 1);
        Matrix result = device.allocate(type, 1, 1);
        device.fill(result, c);
        device.gemm(alpha, a.on(device, type), Op.NONE, ones, Op.NONE, beta, result);
        assertEquals(Types.round(expected, type), result.read()[0]);
        device.fill(result, c);
        device.gemm(alpha, ones, Op.TRANSPOSE, a.on(device, type), Op.TRANSPOSE, beta, result);
        assertEquals(Types.round(expected, type), result.read()[0], "transposed");
    }

    // ---- refusals

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void typesThatDoNotGoTogetherAreRefusedByName(DataType type) {
        DataType other = Types.otherNarrow(type);
        refuses(type, type, DataType.FLOAT64, "FLOAT64", type.toString(), "FLOAT32");
        refuses(type, type, other, other.toString(), type.toString(), "FLOAT32");
        refuses(type, other, DataType.FLOAT32, type.toString(), other.toString());
        refuses(type, DataType.FLOAT32, DataType.FLOAT32, type.toString(), "FLOAT32");
        refuses(DataType.FLOAT32, type, DataType.FLOAT32, type.toString(), "FLOAT32");
        refuses(DataType.FLOAT32, DataType.FLOAT32, type, type.toString(), "FLOAT32");
        refuses(DataType.FLOAT64, DataType.FLOAT64, DataType.FLOAT32, "FLOAT64", "FLOAT32");
    }

    private void refuses(DataType a, DataType b, DataType c, String... named) {
        Counters before = device.counters();
        Matrix result = device.allocate(c, 2, 2);
        device.fill(result, 5);
        long calls = device.counters().calls();
        for (double beta : new double[] {0, 1}) {
            String message = assertThrows(IllegalArgumentException.class, () -> device.gemm(1, device.allocate(a, 2, 2), Op.NONE, device.allocate(b, 2, 2),
                    Op.NONE, beta, result)).getMessage();
            for (String name : named) {
                assertTrue(message.contains(name), message);
            }
        }
        assertEquals(calls, device.counters().calls(), "a refused call is not counted");
        assertTrue(before.calls() < calls && Arrays.stream(result.read()).allMatch(x -> x == 5));
    }
}
