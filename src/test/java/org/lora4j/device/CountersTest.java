package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.device.Counters.Call;

/** What a device counts: each call once, every byte each way, what it holds and has held. */
class CountersTest extends DeviceTest {
    private static final DataType TYPE = DataType.FLOAT32;

    @Test
    void countersTellExactlyWhatWasDone() {
        MemorySegment host = MemorySegment.ofArray(new float[32]);
        Counters start = device.counters();
        assertEquals(0, start.calls() + start.bytesIn() + start.bytesOut());
        long held = start.currentBytes(); // a device may have a workspace from the start
        Matrix a = device.allocate(TYPE, 3, 4, 5);
        Matrix b = device.allocate(DataType.FLOAT64, 2, 2);
        Matrix c = device.allocate(TYPE, 3, 4);
        assertEquals(held + 60 + 32 + 48, device.counters().currentBytes());
        c.close();
        Matrix x = device.allocate(DataType.FLOAT64, 2, 1);
        Counters allocated = device.counters();
        device.copyIn(host, 7, a);
        device.copyIn(host, 7, a.rows(0, 1));
        device.copyOut(b, host, 2);
        device.copy(a.rows(0, 1), a.rows(1, 2));
        device.fill(a, 1);
        device.scale(2, a);
        device.dot(a, a);
        device.largest(a);
        device.gemm(1, a.rows(0, 1), Op.NONE, a.view(1, 2, 0, 4), Op.TRANSPOSE, 0, a.view(2, 3, 0, 1));
        b.write(1, 0, 0, 1);
        device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, b, x);

        Counters end = device.counters();
        assertEquals(4, allocated.allocations() - start.allocations());
        assertEquals(held + 60 + 32 + 16, allocated.currentBytes());
        assertEquals(Math.max(start.peakBytes(), held + 60 + 32 + 48), allocated.peakBytes());
        assertEquals(48 + 16 + 32, end.bytesIn());
        assertEquals(32, end.bytesOut());
        Map<Call, Integer> calls = Map.of(Call.COPY_IN, 3, Call.COPY_OUT, 1, Call.COPY, 1, Call.ELEMENTWISE, 4, Call.GEMM, 1, Call.TRIANGULAR_SOLVE, 1);
        for (Call kind : Call.values()) {
            assertEquals(calls.getOrDefault(kind, 0).longValue(), end.calls(kind), kind.toString());
        }
        assertEquals(11, end.calls());
        assertEquals(0, start.calls(), "a snapshot does not change");
        assertEquals(0, end.since(end).calls() + end.since(end).allocations() + end.since(end).bytesIn() + end.since(end).bytesOut());
        assertEquals(1, end.since(start).calls(Call.GEMM));
    }

    @Test
    void factorisationsCountThemselvesAndKeepNoMoreTheSecondTime() {
        Reference a = Reference.random(9, 5, TYPE, new Random(7));
        Matrix m = a.on(device, TYPE);
        Matrix square = Reference.identity(5).on(device, TYPE);
        Matrix u = device.allocate(TYPE, 9, 5);
        Matrix s = device.allocate(TYPE, 1, 5);
        Matrix vt = device.allocate(TYPE, 5, 5);
        Counters before = device.counters();
        Runnable factorise = () -> {
            m.write(a.data());
            square.write(Reference.identity(5).data());
            device.svd(m, u, s, vt);
            device.qr(m, vt);
            device.cholesky(square);
            device.symmetricEigen(square, s);
        };
        factorise.run();
        Counters done = device.counters().since(before);
        for (Call kind : List.of(Call.SVD, Call.QR, Call.CHOLESKY, Call.SYMMETRIC_EIGEN)) {
            assertEquals(1, done.calls(kind), kind.toString());
        }
        assertEquals(4 + 2, done.calls(), "with the two copies in");
        assertTrue(done.peakBytes() >= before.peakBytes());
        assertLeavesNothing("factorisations", factorise);
    }

    /** What a product is widened into, or else works in, is there after the first one of its size. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void aSecondProductOfTheSameSizeAllocatesNothing(DataType type) {
        Matrix a = device.allocate(type, 30, 20);
        Matrix b = device.allocate(type, 20, 10);
        Matrix c = device.allocate(type, 30, 10);
        Matrix sum = device.allocate(type.accumulation(), 30, 10);
        Runnable products = () -> {
            device.gemm(1, a, Op.NONE, b, Op.NONE, 1, c);
            device.gemm(1, a, Op.NONE, b, Op.NONE, 0, sum);
            device.gemm(1, a, Op.TRANSPOSE, c, Op.NONE, 0, b);
            device.gemm(10, 5, 7, 1, a, Op.NONE, b, Op.NONE, 0, c);
        };
        products.run();
        Counters first = device.counters();
        products.run();
        assertEquals(first.allocations(), device.counters().allocations());
        assertEquals(first.currentBytes(), device.counters().currentBytes());
        assertEquals(4, device.counters().since(first).calls());
    }

    /** Of a conversion, whichever way it takes: one copy between matrices. */
    @Test
    void aConversionIsOneCopy() {
        Matrix a = device.allocate(DataType.FLOAT32, 3, 4);
        for (DataType type : DataType.values()) {
            Matrix b = device.allocate(type, 3, 4);
            device.convert(a, b); // the device's own workspace is there now
            Counters before = device.counters();
            device.convert(a, b);
            assertEquals(1, device.counters().since(before).calls(Call.COPY), type.toString());
            assertEquals(before.currentBytes(), device.counters().currentBytes());
        }
    }
}
