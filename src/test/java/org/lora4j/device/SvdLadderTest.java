package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Random;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.device.HostLapack.Rung;
import org.lora4j.device.HostLapack.SvdDriver;

/** The host's SVD believes no driver: an answer that is wrong is found out, and the next driver is asked. */
class SvdLadderTest {
    private static final SvdDriver GOOD = Blas::gesdd;
    private static final Rung NOT_CONVERGED = rung("first", (blas, type, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork) -> {
        if (lwork == -1) {
            return 0;
        }
        a.fill((byte) -1); // half-way: everything is destroyed
        u.fill((byte) -1);
        return 3;
    });
    private static final Rung WRONG_ARGUMENT = rung("second", (blas, type, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork) -> -7);
    private static final Rung SILENT = rung("silent", (blas, type, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork) -> 0);
    /** The right vectors in the wrong order. */
    private static final Rung LIAR = afterGood("liar", (type, m, n, s, u, ldu, vt, ldvt) -> {
        for (int i = 0; i < m; i++) {
            double x = type.get(u, i);
            type.set(u, i, type.get(u, ldu + i));
            type.set(u, (long) ldu + i, x);
        }
    });
    /** The product is right, but U is twice and V half as long as it should be. */
    private static final Rung STRETCHED = afterGood("stretched", (type, m, n, s, u, ldu, vt, ldvt) -> {
        for (int i = 0; i < Math.min(m, n); i++) {
            for (int j = 0; j < m; j++) {
                type.set(u, (long) i * ldu + j, 2 * type.get(u, (long) i * ldu + j));
            }
            for (int j = 0; j < n; j++) {
                type.set(vt, (long) j * ldvt + i, 0.5 * type.get(vt, (long) j * ldvt + i));
            }
        }
    });
    /** One NaN in V, in a row whose singular value doesn't hide it. */
    private static final Rung NAN = afterGood("nan", (type, m, n, s, u, ldu, vt, ldvt) -> type.set(vt, 0, Double.NaN));

    private static Rung rung(String name, SvdDriver driver) {
        return new Rung(name, driver, (m, n) -> 1);
    }

    private interface Damage {
        void to(DataType type, int m, int n, MemorySegment s, MemorySegment u, int ldu, MemorySegment vt, int ldvt);
    }

    private static Rung afterGood(String name, Damage damage) {
        return rung(name, (blas, type, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork) -> {
            int info = GOOD.run(blas, type, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork);
            if (lwork != -1) {
                damage.to(type, m, n, s, u, ldu, vt, ldvt);
            }
            return info;
        });
    }

    final Blas blas = BlasLibrary.load().blas();
    HostDevice device;
    Reference reference;

    @BeforeEach
    void open() {
        device = HostDevice.open();
    }

    @AfterEach
    void close() {
        device.close();
    }

    private void svd(DataType type, Rung... ladder) {
        svd(type, 1, ladder);
    }

    /** @param scale a power of two, by which the matrix is multiplied and the singular values are divided again */
    private void svd(DataType type, double scale, Rung... ladder) {
        reference = Reference.random(9, 6, type, new Random(10));
        Matrix a = reference.times(scale).on(device, type);
        Matrix u = device.allocate(type, 9, 6);
        Matrix s = device.allocate(type, 1, 6);
        Matrix vt = device.allocate(type, 6, 6);
        new HostLapack(blas, device, List.of(ladder)).svd(a, u, s, vt);
        Reference us = Reference.of(u);
        double[] values = s.read();
        for (int i = 0; i < us.data().length; i++) {
            us.data()[i] *= values[i % 6] / scale;
        }
        double bound = (9 + 10) * 2 * type.unitRoundoff();
        reference.assertNear("svd", us.times(Reference.of(vt)), bound);
        Reference gram = Reference.of(u).transpose().times(Reference.of(u));
        Reference.identity(6).assertNear("U", gram, bound);
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theNextDriversGoodAnswerIsTaken(DataType type) {
        Rung good = rung("good", GOOD);
        for (Rung bad : List.of(NOT_CONVERGED, WRONG_ARGUMENT, SILENT, LIAR, STRETCHED, NAN)) {
            svd(type, bad, good);
            svd(type, NOT_CONVERGED, bad, good);
            svd(type, bad, HostLapack.LADDER.get(1));
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void eachDriverOfTheRealLadderIsGood(DataType type) {
        for (Rung rung : HostLapack.LADDER) {
            svd(type, rung);
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void aGoodAnswerEndsTheLadder(DataType type) {
        svd(type, rung("good", GOOD), rung("never", (b, t, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork) -> {
            throw new AssertionError("the first answer was good");
        }));
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void whenAllFailEachIsNamedWithItsReason(DataType type) {
        NativeException e = assertThrows(NativeException.class, () -> svd(type, STRETCHED, LIAR, WRONG_ARGUMENT, NOT_CONVERGED));
        assertEquals(3, e.code());
        List<String> parts = List.of("9×6", type.toString(), "stretched: U is", "liar: relative residual", "second: argument 7",
                "first: not converged, info 3");
        for (String part : parts) {
            assertTrue(e.getMessage().contains(part), e.getMessage());
        }
        assertEquals(-7, assertThrows(NativeException.class, () -> svd(type, NOT_CONVERGED, WRONG_ARGUMENT)).code());
        long held = device.counters().currentBytes();
        assertThrows(NativeException.class, () -> svd(type, LIAR));
        assertEquals(held + (54 + 54 + 6 + 36) * type.bytes(), device.counters().currentBytes(), "the workspace is given back");
    }

    /** From 23,170 on the documented workspace of gesdd has more than 2³¹ elements; its own count would wrap around. */
    @Test
    void aDriverWhoseWorkspaceCannotBeCountedIsNotCalled() {
        Rung gesdd = HostLapack.LADDER.get(0);
        assertEquals(4 * 100 * 100 + 7 * 100 + 200, gesdd.workspace().applyAsLong(200, 100));
        assertTrue(gesdd.workspace().applyAsLong(23_170, 23_170) > Integer.MAX_VALUE);
        SvdDriver never = (b, t, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork) -> {
            throw new AssertionError("its workspace can't be counted");
        };
        svd(DataType.FLOAT64, new Rung("huge", never, (m, n) -> Integer.MAX_VALUE), rung("good", GOOD));
    }

    /** Where squares over- or underflow, a check that sums them would believe anything. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void aLieIsFoundOutAtAnyMagnitude(DataType type) {
        for (double scale : type == DataType.FLOAT32 ? new double[] {0x1p-110, 0x1p110} : new double[] {0x1p-1000, 0x1p1000}) {
            svd(type, scale, LIAR, rung("good", GOOD));
        }
    }
}
