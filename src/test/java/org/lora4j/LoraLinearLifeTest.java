package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.OutOfDeviceMemoryException;

/** What a layer refuses, that it then has changed nothing, and that closing frees it. */
class LoraLinearLifeTest extends DeviceTest {
    private static final DataType TYPE = DataType.FLOAT64;
    private static final int B = 3;
    private static final int M = 5;
    private static final int N = 7;

    Random random = new Random(6);
    LayerReference reference;
    LoraLinear layer;
    Reference x;
    Reference dy;
    Matrix inX;
    Matrix inDy;
    Matrix y;
    Matrix dx;

    @BeforeEach
    void open() {
        reference = LayerReference.random(new LoraConfig(2, 4, Scaling.STANDARD), M, N, true, TYPE, random);
        layer = reference.on(device, TYPE, B);
        x = Reference.random(B, N, TYPE, random);
        dy = Reference.random(B, M, TYPE, random);
        inX = x.on(device, TYPE);
        inDy = dy.on(device, TYPE);
        y = device.allocate(TYPE, B, M);
        dx = device.allocate(TYPE, B, N);
    }

    // ---- refusals

    @Test
    void forwardRefusesBadOperandsBeforeAnythingChanges() {
        layer.forward(inX, y);
        try (Device other = opener.get()) {
            for (Matrix bad : bad(B, N, other)) {
                refuses(bad.toString(), () -> layer.forward(bad, y));
            }
            for (Matrix bad : bad(B, M, other)) {
                refuses(bad.toString(), () -> layer.forward(inX, bad));
            }
        }
        assertBackwardStillRight();
    }

    @Test
    void backwardRefusesBadOperandsBeforeAnythingChanges() {
        layer.forward(inX, y);
        try (Device other = opener.get()) {
            for (Matrix bad : bad(B, N, other)) {
                refuses(bad.toString(), () -> layer.backward(bad, inDy, dx));
                refuses(bad.toString(), () -> layer.backward(inX, inDy, bad));
            }
            for (Matrix bad : bad(B, M, other)) {
                refuses(bad.toString(), () -> layer.backward(inX, bad, dx));
                refuses(bad.toString(), () -> layer.backward(inX, bad, null));
            }
        }
        assertBackwardStillRight();
    }

    /** Matrices that differ from a good one of that shape by one thing each. */
    private List<Matrix> bad(int rows, int cols, Device other) {
        return List.of(device.allocate(TYPE, rows, cols + 1), device.allocate(TYPE, rows, cols - 1), device.allocate(TYPE, rows + 1, cols),
                device.allocate(TYPE, rows - 1, cols + 2), device.allocate(DataType.FLOAT32, rows, cols), other.allocate(TYPE, rows, cols));
    }

    private void refuses(String what, Executable call) {
        assertUnchanged(what, () -> assertThrows(IllegalArgumentException.class, call, what));
    }

    private void assertUnchanged(String what, Runnable call) {
        double[] gradA = layer.gradA().read();
        double[] gradB = layer.gradB().read();
        long products = device.counters().calls(Call.GEMM);
        call.run();
        assertEquals(products, device.counters().calls(Call.GEMM), what + ": no product");
        assertArrayEquals(gradA, layer.gradA().read(), what);
        assertArrayEquals(gradB, layer.gradB().read(), what);
    }

    /** The refused calls before have left what the last forward left for backward. */
    private void assertBackwardStillRight() {
        layer.backward(inX, inDy, dx);
        reference.assertDx("after refusals", dx, TYPE, dy, false);
        reference.assertGradients("after refusals", layer, x, dy, 1);
    }

    @Test
    void refusalsNameBothShapes() {
        Matrix narrow = device.allocate(TYPE, B, N - 1);
        String message = assertThrows(IllegalArgumentException.class, () -> layer.forward(narrow, y)).getMessage();
        assertTrue(message.contains("3×6") && message.contains("3×7"), message);
        message = assertThrows(IllegalArgumentException.class, () -> layer.forward(inX, dx)).getMessage();
        assertTrue(message.contains("3×7") && message.contains("3×5"), message);
        message = assertThrows(IllegalArgumentException.class, () -> layer.forward(device.allocate(TYPE, B + 1, N), y)).getMessage();
        assertTrue(message.contains("4") && message.contains("3"), message);
    }

    @Test
    void refusesClosedOperandsBeforeAnythingChanges() {
        layer.forward(inX, y);
        Matrix goneX = device.allocate(TYPE, B, N);
        Matrix goneY = device.allocate(TYPE, B, M);
        goneX.close();
        goneY.close();
        List<Executable> calls = List.of(() -> layer.forward(goneX, y), () -> layer.forward(inX, goneY), () -> layer.backward(goneX, inDy, dx),
                () -> layer.backward(inX, goneY, dx), () -> layer.backward(inX, inDy, goneX));
        for (Executable call : calls) {
            assertUnchanged("closed", () -> assertThrows(IllegalStateException.class, call));
        }
        assertBackwardStillRight();
    }

    @Test
    void refusesResultsThatOverlapOperandsBeforeAnythingChanges() {
        Matrix shared = device.allocate(TYPE, B, M + N);
        layer.forward(inX, y);
        refuses("y over x", () -> layer.forward(shared.columns(0, N), shared.columns(N - 1, N - 1 + M)));
        refuses("dx over dy", () -> layer.backward(inX, shared.columns(0, M), shared.columns(M - 1, M - 1 + N)));
        assertBackwardStillRight();
        layer.forward(shared.columns(0, N), shared.columns(N, N + M));
    }

    @Test
    void backwardRefusesAnotherInputThanTheLastForwards() {
        Executable backward = () -> layer.backward(inX, inDy, dx);
        assertUnchanged("no forward yet", () -> assertThrows(IllegalStateException.class, backward));
        layer.forward(device.allocate(TYPE, B, N), y);
        assertUnchanged("another place", () -> assertThrows(IllegalStateException.class, backward));
        layer.forward(inX.rows(0, 2), y.rows(0, 2));
        assertUnchanged("another batch", () -> assertThrows(IllegalStateException.class, backward));
        layer.forward(inX, y);
        assertBackwardStillRight();
    }

    /** dX may take X's place; dA of a second backward would then be made of dX. */
    @Test
    void backwardRefusesAnInputThatDxHasOverwritten() {
        layer.forward(inX, y);
        layer.backward(inX, inDy, inX);
        assertUnchanged("overwritten", () -> assertThrows(IllegalStateException.class, () -> layer.backward(inX, inDy, dx)));
    }

    /** While merged, forward doesn't make the T that backward needs. */
    @Test
    void backwardRefusesTheInputOfAMergedForward() {
        layer.forward(device.allocate(TYPE, B, N), y);
        layer.merge();
        layer.forward(inX, y);
        layer.unmerge();
        assertUnchanged("merged forward", () -> assertThrows(IllegalStateException.class, () -> layer.backward(inX, inDy, dx)));
    }

    @Test
    void refusesBatchesBeyondTheMost() {
        assertThrows(IllegalArgumentException.class, () -> layer.input(B + 1));
        assertThrows(IllegalArgumentException.class, () -> layer.input(-1));
        assertThrows(IllegalArgumentException.class, () -> layer.outputGradient(B + 1));
        assertThrows(IllegalArgumentException.class, () -> layer.outputGradient(-1));
    }

    @Test
    void prefillAndLoadRefuseBadShapesBeforeAnythingChanges() {
        double[] weight = layer.weight().read();
        Matrix a0 = device.allocate(TYPE, 2, N);
        Matrix b0 = device.allocate(TYPE, M, 2);
        List<Executable> calls = List.of(() -> layer.prefill(b0, a0), () -> layer.prefill(a0, device.allocate(TYPE, M, 3)),
                () -> layer.prefill(a0, device.allocate(DataType.FLOAT32, M, 2)), () -> layer.load(device.allocate(TYPE, N, M)),
                () -> layer.load(MemorySegment.ofArray(new double[M * N - 1]), N), () -> layer.effectiveWeight(device.allocate(TYPE, N, M)));
        for (Executable call : calls) {
            refuses("weight", call);
            assertArrayEquals(weight, layer.weight().read());
            assertArrayEquals(reference.a().data(), layer.loraA().read());
            assertArrayEquals(reference.b().data(), layer.loraB().read());
        }
    }

    @Test
    void anotherThreadIsRefusedAndDisturbsNothing() {
        layer.forward(inX, y);
        Matrix w0 = device.allocate(TYPE, M, N);
        Matrix a0 = device.allocate(TYPE, 2, N);
        Matrix b0 = device.allocate(TYPE, M, 2);
        List<Runnable> calls = List.of(() -> layer.forward(inX, y), () -> layer.backward(inX, inDy, dx), layer::zeroGradients, layer::merge,
                () -> layer.load(w0), () -> layer.load(MemorySegment.ofArray(new double[M * N]), N), () -> layer.prefill(a0, b0),
                () -> layer.effectiveWeight(w0), layer::close);
        for (Runnable call : calls) {
            CompletionException e = assertThrows(CompletionException.class,
                    () -> CompletableFuture.runAsync(call, task -> new Thread(task).start()).join());
            assertEquals(WrongThreadException.class, e.getCause().getClass());
        }
        assertBackwardStillRight();
    }

    // ---- construction and close

    @Test
    void constructionRefusesBadSizesAndFreesWhatItHadAllocated() {
        LoraConfig config = new LoraConfig(2, 4, Scaling.STANDARD);
        long held = device.counters().currentBytes();
        for (long[] s : new long[][] {{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {-1, 1, 1}, {1, Long.MIN_VALUE, 1}, {Long.MAX_VALUE, Long.MAX_VALUE, 1}}) {
            assertThrows(IllegalArgumentException.class, () -> new LoraLinear(device, config, TYPE, s[0], s[1], true, s[2]), Arrays.toString(s));
        }
        assertThrows(OutOfDeviceMemoryException.class, () -> new LoraLinear(device, config, TYPE, 2, 3, true, 1L << 50));
        assertEquals(held, device.counters().currentBytes());
        assertThrows(NullPointerException.class, () -> new LoraLinear(device, null, TYPE, 2, 3, true, 1));
        assertThrows(NullPointerException.class, () -> new LoraLinear(null, config, TYPE, 2, 3, true, 1));
    }

    @Test
    void configRefusesBadValues() {
        assertThrows(IllegalArgumentException.class, () -> new LoraConfig(0, 1, Scaling.STANDARD));
        for (double alpha : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            assertThrows(IllegalArgumentException.class, () -> new LoraConfig(1, alpha, Scaling.STANDARD));
        }
        assertThrows(NullPointerException.class, () -> new LoraConfig(1, 1, null));
        assertEquals(4, new LoraConfig(4, 16, Scaling.STANDARD).eta());
        assertEquals(8, new LoraConfig(4, 16, Scaling.RANK_STABILISED).eta());
    }

    @Test
    void closeFreesAllOfTheLayerOnce() {
        try (Device own = opener.get()) {
            long held = own.counters().currentBytes();
            LoraLinear merged = reference.on(own, TYPE, B);
            merged.input(1);
            merged.outputGradient(1);
            merged.merge();
            merged.close();
            assertEquals(held, own.counters().currentBytes());
            merged.close();
            assertEquals(held, own.counters().currentBytes());
        }
        layer.close();
        device.close();
        layer.close();
    }

    @Test
    void aClosedLayerRefusesEverythingAndAllocatesNothing() {
        layer.forward(inX, y);
        layer.close();
        long held = device.counters().currentBytes();
        Matrix a0 = device.allocate(TYPE, 2, N);
        Matrix b0 = device.allocate(TYPE, M, 2);
        Matrix w0 = device.allocate(TYPE, M, N);
        held += a0.rows() * N * 8 + b0.rows() * 2 * 8 + w0.rows() * N * 8;
        List<Executable> calls = List.of(() -> layer.forward(inX, y), () -> layer.backward(inX, inDy, dx), layer::zeroGradients, layer::merge,
                layer::unmerge, () -> layer.load(w0), () -> layer.load(MemorySegment.ofArray(new double[M * N]), N), () -> layer.prefill(a0, b0),
                () -> layer.effectiveWeight(w0), () -> layer.loraA().read(), () -> layer.weight().read(), () -> layer.gradB().read(),
                () -> layer.input(1), () -> layer.outputGradient(1));
        for (int i = 0; i < calls.size(); i++) {
            assertThrows(IllegalStateException.class, calls.get(i), "call " + i);
        }
        assertEquals(held, device.counters().currentBytes());
    }
}
