import java.lang.foreign.MemorySegment;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import org.lora4j.LoraLinear;
import org.lora4j.device.Counters;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;
import org.lora4j.device.Matrix;
import org.lora4j.examples.Regression;
import org.lora4j.init.PlainLora;

/**
 * A trainer whose data are arrays of DJL's PyTorch engine on the CPU. X, Y, dY and dX are used where they stand; A and B, of
 * r·(m+n) numbers, are DJL's and are copied to the layer after each step.
 */
public final class DjlTraining {
    private DjlTraining() {}

    /**
     * The matrix that an array is, in its own memory: nothing is copied, and the array must be kept as long.
     *
     * @throws IllegalArgumentException naming what is wrong: data type, rank, another device than the CPU, elements not in a row
     */
    static Matrix matrix(Device device, NDArray array) {
        if (array.getDataType() != ai.djl.ndarray.types.DataType.FLOAT32 || array.getShape().dimension() != 2 || array.getDevice().isGpu()) {
            throw new IllegalArgumentException(array.getDataType() + " " + array.getShape() + " on " + array.getDevice()
                    + ": it must be FLOAT32, of two dimensions, on the CPU");
        }
        MemorySegment memory = MemorySegment.ofBuffer(array.toByteBuffer(true));
        // Of an array with gaps DJL makes a copy and does not say so: then it makes another one each time.
        if (memory.address() != MemorySegment.ofBuffer(array.toByteBuffer(true)).address()) {
            throw new IllegalArgumentException(array.getShape() + ": its elements do not follow each other row by row; duplicate() makes a copy");
        }
        long rows = array.getShape().get(0);
        long cols = array.getShape().get(1);
        return device.borrow(memory, DataType.FLOAT32, rows, cols, cols);
    }

    /** A ← A − λ·dA in DJL's array and in the layer's. */
    private static void descend(NDArray parameter, Matrix ofGradient, Matrix inLayer) {
        Device device = inLayer.device();
        try (NDArray gradient = parameter.zerosLike()) {
            device.copy(ofGradient, matrix(device, gradient));
            parameter.subi(gradient.muli(Regression.RATE));
            device.copy(matrix(device, parameter), inLayer);
        }
    }

    public static void main(String[] args) {
        int b = Regression.BATCH;
        int m = Regression.OUT;
        int n = Regression.IN;
        int r = Regression.CONFIG.rank();
        try (NDManager arrays = NDManager.newBaseManager();
                HostDevice device = HostDevice.open();
                LoraLinear layer = new LoraLinear(device, Regression.CONFIG, DataType.FLOAT32, m, n, false, b)) {
            NDArray weight = arrays.create(Regression.weight(), new Shape(m, n));
            NDArray x = arrays.create(Regression.input(), new Shape(b, n));
            NDArray target = arrays.create(Regression.target(), new Shape(b, m));
            NDArray y = arrays.zeros(new Shape(b, m));
            NDArray dx = arrays.zeros(new Shape(b, n));
            NDArray loraA = arrays.zeros(new Shape(r, n));
            NDArray loraB = arrays.zeros(new Shape(m, r));
            layer.load(matrix(device, weight));
            PlainLora.kaimingUniform(Regression.SEED).initialize(layer);
            device.copy(layer.loraA(), matrix(device, loraA));
            device.copy(layer.loraB(), matrix(device, loraB));
            Matrix input = matrix(device, x);
            Counters before = device.counters();
            for (int step = 0; step < Regression.STEPS; step++) {
                layer.forward(input, matrix(device, y));
                try (NDArray dy = y.sub(target).divi(b)) {
                    layer.zeroGradients();
                    layer.backward(input, matrix(device, dy), matrix(device, dx));
                }
                descend(loraA, layer.gradA(), layer.loraA());
                descend(loraB, layer.gradB(), layer.loraB());
            }
            Counters done = device.counters().since(before);
            expect(0, done.bytesIn() + done.bytesOut(), "bytes copied from or to DJL's memory");
            expect(4 * Regression.STEPS, done.calls(Counters.Call.COPY), "copies of A, B, dA and dB");
            expect(0, done.allocations(), "allocations");
            refuses(device, weight.transpose(), "do not follow");
            refuses(device, weight.get(":, 1:3"), "do not follow");
            refuses(device, weight.toType(ai.djl.ndarray.types.DataType.FLOAT64, true), "FLOAT32");
            refuses(device, weight.flatten(), "two dimensions");
            Regression.assertTrained(loraA.toFloatArray(), loraB.toFloatArray(), dx.toFloatArray());
        }
        System.out.println("trained");
    }

    private static void refuses(Device device, NDArray array, String reason) {
        try {
            matrix(device, array);
        } catch (IllegalArgumentException e) {
            expect(true, e.getMessage().contains(reason), e.getMessage());
            return;
        }
        throw new AssertionError("taken: " + array.getShape());
    }

    private static void expect(Object wanted, Object is, String what) {
        if (!wanted.toString().equals(is.toString())) {
            throw new AssertionError(what + ": " + is + ", should be " + wanted);
        }
    }
}
