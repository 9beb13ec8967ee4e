import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;

import org.lora4j.LoraLinear;
import org.lora4j.device.Counters;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;
import org.lora4j.device.Matrix;
import org.lora4j.examples.Regression;
import org.lora4j.init.PlainLora;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * A trainer whose data are arrays of ND4J's CPU backend. X, Y, dY and dX are used where they stand; A and B, of r·(m+n) numbers,
 * are ND4J's and are copied to the layer after each step.
 */
public final class Nd4jTraining {
    private Nd4jTraining() {}

    /**
     * The matrix that an array is, at its own address: nothing is copied, and the array must be kept as long. Rows may be apart,
     * as those of a view are; elements of a row may not.
     *
     * @throws IllegalArgumentException naming what is wrong: data type, rank, 'f' order, a step between columns, memory elsewhere
     */
    static Matrix matrix(Device device, INDArray array) {
        String what = array.shapeInfoToString().replaceAll("\\s+", " ");
        if (array.dataType() != org.nd4j.linalg.api.buffer.DataType.FLOAT) {
            throw new IllegalArgumentException(what + ": it must be of FLOAT; castTo(DataType.FLOAT) makes a copy");
        }
        if (array.rank() != 2) {
            throw new IllegalArgumentException(what + ": it must have two dimensions; reshape it");
        }
        long rows = array.size(0);
        long cols = array.size(1);
        long stride = rows == 1 ? cols : array.stride(0);
        if (cols > 1 && array.stride(1) != 1 || stride < cols) {
            throw new IllegalArgumentException(what + ": the elements of a row do not follow each other, as in 'f' order; dup('c') makes a copy");
        }
        long first = array.data().address() + array.offset() * Float.BYTES; // a view's buffer is that of the whole
        long bytes = ((rows - 1) * stride + cols) * Float.BYTES;
        return device.borrow(MemorySegment.ofAddress(first).reinterpret(bytes), DataType.FLOAT32, rows, cols, stride);
    }

    /** A ← A − λ·dA in ND4J's array and in the layer's. */
    private static void descend(INDArray parameter, INDArray gradient, Matrix ofGradient, Matrix ofParameter, Matrix inLayer) {
        Device device = inLayer.device();
        device.copy(ofGradient, matrix(device, gradient));
        parameter.subi(gradient.mul(Regression.RATE));
        device.copy(ofParameter, inLayer);
    }

    public static void main(String[] args) {
        int b = Regression.BATCH;
        int m = Regression.OUT;
        int n = Regression.IN;
        int r = Regression.CONFIG.rank();
        INDArray weight = Nd4j.createFromArray(Regression.weight()).reshape(m, n);
        INDArray whole = Nd4j.zeros(org.nd4j.linalg.api.buffer.DataType.FLOAT, b + 2, n + 3);
        INDArray x = whole.get(NDArrayIndex.interval(1, b + 1), NDArrayIndex.interval(2, n + 2)); // a view: its rows are apart
        x.assign(Nd4j.createFromArray(Regression.input()).reshape(b, n));
        INDArray target = Nd4j.createFromArray(Regression.target()).reshape(b, m);
        INDArray y = Nd4j.zeros(org.nd4j.linalg.api.buffer.DataType.FLOAT, b, m);
        INDArray dy = y.dup();
        INDArray dx = Nd4j.zeros(org.nd4j.linalg.api.buffer.DataType.FLOAT, b, n);
        INDArray loraA = Nd4j.zeros(org.nd4j.linalg.api.buffer.DataType.FLOAT, r, n);
        INDArray loraB = Nd4j.zeros(org.nd4j.linalg.api.buffer.DataType.FLOAT, m, r);
        INDArray gradA = loraA.dup();
        INDArray gradB = loraB.dup();
        try (HostDevice device = HostDevice.open(); LoraLinear layer = new LoraLinear(device, Regression.CONFIG, DataType.FLOAT32, m, n, false, b)) {
            layer.load(matrix(device, weight));
            PlainLora.kaimingUniform(Regression.SEED).initialize(layer);
            Matrix a = matrix(device, loraA);
            Matrix bb = matrix(device, loraB);
            device.copy(layer.loraA(), a);
            device.copy(layer.loraB(), bb);
            Matrix input = matrix(device, x);
            Matrix output = matrix(device, y);
            Matrix outputGradient = matrix(device, dy);
            Matrix inputGradient = matrix(device, dx);
            Counters before = device.counters();
            for (int step = 0; step < Regression.STEPS; step++) {
                layer.forward(input, output);
                dy.assign(y.sub(target).div(b));
                layer.zeroGradients();
                layer.backward(input, outputGradient, inputGradient);
                descend(loraA, gradA, layer.gradA(), a, layer.loraA());
                descend(loraB, gradB, layer.gradB(), bb, layer.loraB());
            }
            expect(0, device.counters().since(before).bytesIn() + device.counters().since(before).bytesOut(), "bytes copied from or to ND4J's memory");
            expect(4 * Regression.STEPS, device.counters().since(before).calls(Counters.Call.COPY), "copies of A, B, dA and dB");
            expect(0, device.counters().since(before).allocations(), "allocations");
            refuses(device, weight.dup('f'), "'f' order");
            refuses(device, weight.transpose(), "'f' order");
            refuses(device, Nd4j.create(new float[4]).reshape(1, 4).broadcast(3, 4).get(NDArrayIndex.all(), NDArrayIndex.interval(0, 2, 4)), "do not follow");
            refuses(device, weight.castTo(org.nd4j.linalg.api.buffer.DataType.DOUBLE), "FLOAT");
            refuses(device, Nd4j.create(new float[4]), "two dimensions");
            Regression.assertTrained(loraA.data().asFloat(), loraB.data().asFloat(), dx.data().asFloat());
        } finally {
            Reference.reachabilityFence(weight); // the arrays own the memory that the device was using
            Reference.reachabilityFence(x);
        }
        System.out.println("trained");
    }

    private static void refuses(Device device, INDArray array, String reason) {
        try {
            matrix(device, array);
        } catch (IllegalArgumentException e) {
            expect(true, e.getMessage().contains(reason), e.getMessage());
            return;
        }
        throw new AssertionError("taken: " + array.shapeInfoToString());
    }

    private static void expect(Object wanted, Object is, String what) {
        if (!wanted.toString().equals(is.toString())) {
            throw new AssertionError(what + ": " + is + ", should be " + wanted);
        }
    }
}
