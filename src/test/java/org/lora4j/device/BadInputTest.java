package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Consumer;

import org.junit.jupiter.api.Test;
import org.lora4j.DeviceTest;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;

/** Matrices that no operation may take, at each of its places: refused before anything native is called, and nothing is lost. */
class BadInputTest extends DeviceTest {
    private static final DataType TYPE = DataType.FLOAT32;

    /**
     * An operation that works with {@code good}.
     *
     * @param strict whether its operands must have these types and shapes, and none may be null
     */
    private record Operation(String name, boolean strict, Consumer<Matrix[]> call, Matrix... good) {
        void refuses(Class<? extends RuntimeException> error, int place, Matrix bad, String what) {
            Matrix[] operands = good.clone();
            operands[place] = bad;
            assertThrows(error, () -> call.accept(operands), name + ", " + what + " at place " + place);
        }
    }

    @Test
    void nullForeignOfAnotherTypeAndOfAnotherShape() {
        try (Device other = opener.get(); LoraLinear layer = new LoraLinear(device, new LoraConfig(2, 2, Scaling.STANDARD), TYPE, 2, 2, false, 2)) {
            Matrix x = layer.input(2);
            Matrix y = square();
            Matrix dy = square();
            layer.forward(x, y);
            MemorySegment host = MemorySegment.ofArray(new float[4]);
            List<Operation> operations = List.of(
                    new Operation("copyIn", false, m -> device.copyIn(host, 2, m[0]), square()),
                    new Operation("copyOut", false, m -> device.copyOut(m[0], host, 2), square()),
                    new Operation("copy", true, m -> device.copy(m[0], m[1]), square(), square()),
                    new Operation("convert", false, m -> device.convert(m[0], m[1]), square(), square()),
                    new Operation("fill", false, m -> device.fill(m[0], 1), square()),
                    new Operation("scale", false, m -> device.scale(2, m[0]), square()),
                    new Operation("dot", true, m -> device.dot(m[0], m[1]), square(), square()),
                    new Operation("largest", false, m -> device.largest(m[0]), square()),
                    new Operation("gemm", true, m -> device.gemm(1, m[0], Op.NONE, m[1], Op.NONE, 0, m[2]), square(), square(), square()),
                    new Operation("addmm", true, m -> device.addmm(m[2], 1, m[0], Op.NONE, m[1], Op.NONE).close(), square(), square(), square()),
                    new Operation("gemm of blocks", true, m -> device.gemm(2, 2, 2, 1, m[0], Op.NONE, m[1], Op.NONE, 0, m[2]), square(), square(), square()),
                    new Operation("powerStep", true, m -> device.powerStep(m[0], m[1], m[2], null), square(), square(), square()),
                    new Operation("svd", true, m -> device.svd(m[0], m[1], m[2], m[3]), square(), square(), device.allocate(TYPE, 1, 2), square()),
                    new Operation("qr", true, m -> device.qr(m[0], m[1]), square(), square()),
                    new Operation("cholesky", false, m -> device.cholesky(m[0]), square()),
                    new Operation("triangularSolve", true, m -> device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.NONE, 1, m[0], m[1]), square(), square()),
                    new Operation("symmetricEigen", true, m -> device.symmetricEigen(m[0], m[1]), square(), device.allocate(TYPE, 1, 2)),
                    new Operation("LoraLinear.load", true, m -> layer.load(m[0]), square()),
                    new Operation("LoraLinear.forward", true, m -> layer.forward(m[0], m[1]), x, y),
                    new Operation("LoraLinear.backward", true, m -> layer.backward(m[0], m[1], device.allocate(TYPE, 2, 2)), x, square()),
                    new Operation("LoraLinear.backward's dx", false, m -> layer.backward(x, dy, m[0]), square()),
                    new Operation("LoraLinear.prefill", true, m -> layer.prefill(m[0], m[1]), square(), square()),
                    new Operation("LoraLinear.effectiveWeight", true, m -> layer.effectiveWeight(m[0]), square()));
            for (Operation o : operations) {
                for (int i = 0; i < o.good.length; i++) {
                    long rows = o.good[i].rows();
                    Counters before = device.counters();
                    o.refuses(IllegalArgumentException.class, i, other.allocate(TYPE, rows, 2), "another device's matrix");
                    if (o.strict) {
                        o.refuses(RuntimeException.class, i, null, "null");
                        o.refuses(IllegalArgumentException.class, i, device.allocate(DataType.FLOAT64, rows, 2), "float64");
                        o.refuses(IllegalArgumentException.class, i, device.allocate(TYPE, rows, 1), "a column too few");
                    }
                    assertEquals(before.calls(), device.counters().calls(), o.name + ": refused calls are not counted");
                }
            }
            for (DataType type : List.of(DataType.BFLOAT16, DataType.FLOAT16)) {
                Matrix narrow = device.allocate(type, 2, 2);
                assertThrows(IllegalArgumentException.class, () -> device.cholesky(narrow));
                assertThrows(IllegalArgumentException.class, () -> device.qr(narrow, device.allocate(type, 2, 2)));
            }
            device.fill(y, 3);
            assertArrayEquals(new double[] {3, 3, 3, 3}, y.read(), "the device is still usable");
        }
    }

    private Matrix square() {
        Matrix a = device.allocate(TYPE, 2, 2);
        a.write(2, 0, 1, 2);
        return a;
    }
}
