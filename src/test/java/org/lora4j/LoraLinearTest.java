package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Supplier;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.device.Counters;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;

/** Forward and backward against plain loops and finite differences, in every form, and what they cost. */
class LoraLinearTest extends DeviceTest {
    /** b, m, n, r. */
    private static final int[][] SHAPES = {{5, 7, 11, 2}, {1, 13, 4, 1}, {0, 3, 5, 2}, {17, 6, 9, 3}, {3, 16, 16, 8}, {33, 5, 7, 2},
        {1, 1, 1, 1}, {4, 3, 8, 5}, {31, 127, 65, 13}};
    private static final boolean[] EITHER = {true, false};

    final Random random = new Random(4);

    @ParameterizedTest
    @EnumSource(DataType.class)
    void passesAgreeWithPlainLoopsInEveryForm(DataType type) {
        for (int[] s : SHAPES) {
            for (Scaling scaling : Scaling.values()) {
                for (boolean bias : EITHER) {
                    LayerReference reference = LayerReference.random(new LoraConfig(s[3], 3, scaling), s[1], s[2], bias, type, random);
                    for (int form = 0; form < 4; form++) {
                        try (LoraLinear layer = reference.on(device, type, Math.max(1, s[0]))) {
                            passes(Arrays.toString(s) + (bias ? " bias " : " ") + scaling, reference, layer, s[0], form % 2 == 0, form / 2 == 0);
                        }
                    }
                }
            }
        }
    }

    /** Forward and backward from zeroed gradients; y and dx, full of NaN before, and foreign x and dy have frames. */
    private void passes(String what, LayerReference reference, LoraLinear layer, int b, boolean ownX, boolean ownDy) {
        DataType type = layer.type();
        what += " " + type + (ownX ? ", input()" : ", foreign x") + (ownDy ? ", outputGradient()" : ", foreign dy");
        Reference x = Reference.random(b, (int) layer.inFeatures(), type, random);
        Reference dy = Reference.random(b, (int) layer.outFeatures(), type, random);
        Matrix dX = place(x, layer.input(b), ownX);
        Matrix dDy = place(dy, layer.outputGradient(b), ownDy);
        Framed y = Framed.nan(device, type, b, layer.outFeatures());
        Framed dx = Framed.nan(device, type, b, layer.inFeatures());
        layer.zeroGradients();
        layer.forward(dX, y.inside());
        layer.backward(dX, dDy, dx.inside());

        reference.assertY(what, y.inside(), type, x, ownX);
        reference.assertDx(what, dx.inside(), type, dy, ownDy);
        reference.assertGradients(what, layer, x, dy, 1);
        y.assertFrameUnchanged(what);
        dx.assertFrameUnchanged(what);
        assertArrayEquals(x.data(), dX.read(), what + ": x is not modified");
        assertArrayEquals(dy.data(), dDy.read(), what + ": dy is not modified");
        y.whole().close();
        dx.whole().close();
    }

    private Matrix place(Reference values, Matrix own, boolean inPlace) {
        if (!inPlace) {
            return Framed.of(device, own.type(), values).inside();
        }
        own.write(values.data());
        return own;
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void batchAndFormMayChangeFromCallToCall(DataType type) {
        LayerReference reference = LayerReference.random(new LoraConfig(3, 6, Scaling.STANDARD), 10, 7, true, type, random);
        LoraLinear layer = reference.on(device, type, 9);
        int form = 0;
        for (int b : new int[] {9, 1, 4, 0, 9, 2, 8, 3}) {
            passes("batch " + b, reference, layer, b, form % 2 == 0, form / 2 % 2 == 0);
            form++;
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void dxMayTakeThePlaceOfX(DataType type) {
        LayerReference reference = LayerReference.random(new LoraConfig(2, 4, Scaling.STANDARD), 5, 7, true, type, random);
        LoraLinear layer = reference.on(device, type, 6);
        for (boolean ownX : EITHER) {
            for (boolean ownDy : EITHER) {
                Reference x = Reference.random(6, 7, type, random);
                Reference dy = Reference.random(6, 5, type, random);
                Matrix xAndDx = place(x, layer.input(6), ownX);
                Matrix y = device.allocate(type, 6, 5);
                layer.zeroGradients();
                layer.forward(xAndDx, y);
                layer.backward(xAndDx, place(dy, layer.outputGradient(6), ownDy), xAndDx);
                reference.assertDx("in place of x", xAndDx, type, dy, ownDy);
                reference.assertGradients("dx in place of x", layer, x, dy, 1);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void gradientsAddUpUntilTheyAreZeroedWithAndWithoutDx(DataType type) {
        LayerReference reference = LayerReference.random(new LoraConfig(2, 4, Scaling.RANK_STABILISED), 5, 7, false, type, random);
        LoraLinear layer = reference.on(device, type, 3);
        Reference x = Reference.random(3, 7, type, random);
        Reference dy = Reference.random(3, 5, type, random);
        Matrix dX = x.on(device, type);
        Matrix dDy = dy.on(device, type);
        layer.forward(dX, device.allocate(type, 3, 5));
        layer.backward(dX, dDy, null);
        layer.backward(dX, dDy, device.allocate(type, 3, 7));
        reference.assertGradients("twice", layer, x, dy, 2);
        layer.zeroGradients();
        assertTrue(Arrays.stream(layer.gradA().read()).allMatch(g -> g == 0) && Arrays.stream(layer.gradB().read()).allMatch(g -> g == 0));
        layer.backward(dX, dDy, null);
        reference.assertGradients("once", layer, x, dy, 1);
    }

    // ---- finite differences (O4)

    @Test
    void gradientsEqualFiniteDifferences() {
        DataType type = DataType.FLOAT64;
        LayerReference reference = LayerReference.random(new LoraConfig(2, 3, Scaling.RANK_STABILISED), 5, 6, true, type, random);
        for (boolean own : EITHER) {
            LoraLinear layer = reference.on(device, type, 4);
            Matrix x = place(Reference.random(4, 6, type, random), layer.input(4), own);
            Matrix dy = place(Reference.random(4, 5, type, random), layer.outputGradient(4), own);
            Matrix y = device.allocate(type, 4, 5);
            Matrix dx = device.allocate(type, 4, 6);
            Supplier<Double> loss = () -> {
                layer.forward(x, y);
                return device.dot(dy, y);
            };
            loss.get();
            layer.backward(x, dy, dx);
            differences(layer.loraA(), loss).assertNear("dA", Reference.of(layer.gradA()), 1e-6);
            differences(layer.loraB(), loss).assertNear("dB", Reference.of(layer.gradB()), 1e-6);
            differences(x, loss).assertNear("dX", Reference.of(dx), 1e-6);
        }
    }

    /** Central differences of the loss by every element. */
    private static Reference differences(Matrix of, Supplier<Double> loss) {
        double h = 0x1p-12;
        double[] values = of.read();
        Reference d = Reference.zeros((int) of.rows(), (int) of.cols());
        for (int i = 0; i < values.length; i++) {
            double[] moved = values.clone();
            moved[i] = values[i] + h;
            of.write(moved);
            double up = loss.get();
            moved[i] = values[i] - h;
            of.write(moved);
            d.data()[i] = (up - loss.get()) / (2 * h);
        }
        of.write(values);
        return d;
    }

    // ---- costs

    @ParameterizedTest
    @EnumSource(DataType.class)
    void passesCostTheirProductsAndNothingElse(DataType type) {
        for (boolean bias : EITHER) {
            LoraLinear layer = LayerReference.random(new LoraConfig(2, 4, Scaling.STANDARD), 5, 7, bias, type, random).on(device, type, 3);
            Matrix y = device.allocate(type, 3, 5);
            Matrix dx = device.allocate(type, 3, 7);
            Matrix ownX = layer.input(3);
            Matrix ownDy = layer.outputGradient(3);
            Matrix x = device.allocate(type, 3, 7);
            Matrix dy = device.allocate(type, 3, 5);
            layer.forward(ownX, y); // the device's own workspace is there now
            layer.backward(ownX, ownDy, dx);
            assertProducts(2, () -> layer.forward(ownX, y));
            assertProducts(4, () -> layer.backward(ownX, ownDy, dx));
            assertProducts(3, () -> layer.backward(ownX, ownDy, null));
            assertProducts(5, () -> layer.backward(ownX, dy, dx));
            assertProducts(3, () -> layer.forward(x, y));
            assertProducts(4, () -> layer.backward(x, ownDy, dx));
            assertProducts(5, () -> layer.backward(x, dy, dx));
            assertProducts(3, () -> layer.backward(x, dy, null));
            layer.merge();
            assertProducts(bias ? 2 : 1, () -> layer.forward(ownX, y));
            assertProducts(bias ? 2 : 1, () -> layer.forward(x, y));
        }
    }

    private void assertProducts(long products, Runnable pass) {
        Counters before = device.counters();
        pass.run();
        Counters cost = device.counters().since(before);
        assertEquals(products, cost.calls(Call.GEMM));
        assertEquals(products, cost.calls(), "nothing but products: " + cost);
        assertEquals(0, cost.allocations() + cost.bytesIn() + cost.bytesOut());
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void passesAllocateNothingOnTheHeap(DataType type) {
        assertInstanceOf(com.sun.management.ThreadMXBean.class, ManagementFactory.getThreadMXBean(), "a JVM that counts allocations");
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        LoraLinear layer = LayerReference.random(new LoraConfig(1, 1, Scaling.STANDARD), 3, 2, true, type, random).on(device, type, 2);
        Matrix ownX = layer.input(2);
        Matrix ownDy = layer.outputGradient(2);
        Matrix x = device.allocate(type, 2, 2);
        Matrix dy = device.allocate(type, 2, 3);
        Matrix y = device.allocate(type, 2, 3);
        Matrix dx = device.allocate(type, 2, 2);
        long bytes = -1;
        for (int round = 0; round < 100 && bytes != 0; round++) { // the first rounds run before the JIT has done its work
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 10_000; i++) {
                layer.forward(ownX, y);
                layer.backward(ownX, ownDy, dx);
                layer.forward(x, y);
                layer.backward(x, dy, dx);
            }
            bytes = threads.getCurrentThreadAllocatedBytes() - before;
        }
        assertEquals(0, bytes, "bytes allocated by 20,000 passes");
    }
}
