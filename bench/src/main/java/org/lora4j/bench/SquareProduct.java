package org.lora4j.bench;

import java.util.Map;
import java.util.Set;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * A large square product by this library, which takes turns with a work that is arithmetic: the limit of the same seconds. On a
 * shared processor the best seconds of a long run say little about the others.
 */
final class SquareProduct implements Contender {
    static final String NAME = "square product";
    private static final int SIZE = 2048;
    static final double FLOPS = 2.0 * SIZE * SIZE * SIZE;
    /** Up to so many rows products wait for memory everywhere. */
    private static final int MEMORY_BATCH = 8;

    private final Device device;
    private Matrix a;
    private Matrix b;
    private Matrix c;

    /** @param device is closed by whoever opened it */
    SquareProduct(Device device) {
        this.device = device;
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public String description() {
        return device.description();
    }

    @Override
    public boolean takes(Item item) {
        return item.work().isKernel() || item.work().isPass() && item.b() > MEMORY_BATCH;
    }

    @Override
    public boolean hasResults() {
        return false;
    }

    @Override
    public void prepare(Item item, Inputs inputs) {
        a = matrix();
        b = matrix();
        c = matrix();
        device.uniform(1, a);
        device.uniform(2, b);
    }

    /** Rows that are no power of two apart, as a layer's own are. */
    private Matrix matrix() {
        return device.allocate(DataType.FLOAT32, SIZE, SIZE, SIZE + 16);
    }

    @Override
    public double[] run(int first, int calls) {
        double[] ms = new double[calls];
        for (int i = 0; i < calls; i++) {
            long start = System.nanoTime();
            device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c);
            ms[i] = (System.nanoTime() - start) / 1e6;
        }
        return ms;
    }

    @Override
    public Map<String, float[]> results(Set<String> wanted) {
        throw new IllegalStateException("a square product is no work");
    }

    @Override
    public void release() {
        for (Matrix matrix : new Matrix[] {a, b, c}) {
            if (matrix != null) {
                matrix.close();
            }
        }
    }

    @Override
    public void close() {}
}
