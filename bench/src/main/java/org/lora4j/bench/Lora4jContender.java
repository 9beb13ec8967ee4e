package org.lora4j.bench;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.init.LoraGa;

/**
 * This library, or the frozen products alone: Y = X·Wᵀ and dX = dY·W without any adapter, by the same device. In place,
 * they run in the layer's own buffers, which is the stricter measure: plain rows of 4096 elements are slow for being a power
 * of two.
 */
final class Lora4jContender implements Contender {
    /** What is run. */
    enum Form {
        /** The layer. */
        LAYER("lora4j"),
        /** The frozen products in the layer's own buffers. */
        FROZEN_IN_PLACE("frozen in place"),
        /** The frozen products of matrices without gaps between their rows. */
        FROZEN("frozen");

        private final String word;

        Form(String word) {
            this.word = word;
        }

        String word() {
            return word;
        }
    }

    /** One input set on the device. */
    private record OnDevice(LoraLinear layer, Matrix w, Matrix x, Matrix dy, Matrix g, Matrix v) implements AutoCloseable {
        @Override
        public void close() {
            for (AutoCloseable a : new AutoCloseable[] {w, x, dy, g, v, layer}) {
                try {
                    if (a != null) {
                        a.close();
                    }
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            }
        }
    }

    private final Device device;
    private final Form form;
    private Item item;
    private Inputs inputs;
    private final List<OnDevice> sets = new ArrayList<>();
    private Matrix y; // (b, m); (m, r) of a kernel
    private Matrix dx; // (b, n)
    private Matrix z; // (n, r)
    private double squares;
    private boolean unread; // whether results are still to be asked for

    /** @param device is closed by whoever opened it */
    Lora4jContender(Device device, Form form) {
        this.device = device;
        this.form = form;
    }

    @Override
    public String name() {
        return form.word;
    }

    @Override
    public String description() {
        return device.description();
    }

    @Override
    public boolean takes(Item some) {
        return form == Form.LAYER || some.work().isPass();
    }

    @Override
    public boolean hasResults() {
        return form == Form.LAYER;
    }

    @Override
    public void prepare(Item some, Inputs values) {
        item = some;
        inputs = values;
        unread = true;
        int b = Math.max(1, item.b());
        for (int i = 0; i < inputs.count(); i++) {
            sets.add(onDevice(inputs.get(i), b));
        }
        y = item.work().isKernel() ? device.allocate(DataType.FLOAT32, item.m(), item.r()) : device.allocate(DataType.FLOAT32, b, item.m());
        dx = device.allocate(DataType.FLOAT32, b, item.n());
        z = device.allocate(DataType.FLOAT32, item.n(), item.r());
    }

    private OnDevice onDevice(Inputs.Set s, int b) {
        boolean pass = item.work().isPass();
        if (form == Form.FROZEN) {
            return new OnDevice(null, matrix(s.w(), item.m(), item.n()), matrix(s.x(), b, item.n()), matrix(s.dy(), b, item.m()), null, null);
        }
        if (item.work().isKernel()) {
            return new OnDevice(null, null, null, null, matrix(s.g(), item.m(), item.n()), matrix(s.v(), s.v().length / item.r(), item.r()));
        }
        LoraConfig config = new LoraConfig(item.r(), Item.ALPHA, Scaling.RANK_STABILISED);
        LoraLinear layer = new LoraLinear(device, config, DataType.FLOAT32, item.m(), item.n(), false, b);
        layer.load(MemorySegment.ofArray(s.w()), item.n());
        if (item.work() == Work.INIT) {
            return new OnDevice(layer, null, null, null, matrix(s.g(), item.m(), item.n()), null);
        }
        device.copyIn(MemorySegment.ofArray(s.a()), item.n(), layer.loraA());
        device.copyIn(MemorySegment.ofArray(s.b()), item.r(), layer.loraB());
        if (!pass) {
            return new OnDevice(layer, null, null, null, null, null);
        }
        Matrix x = layer.input(b);
        Matrix dy = layer.outputGradient(b);
        device.copyIn(MemorySegment.ofArray(s.x()), item.n(), x);
        device.copyIn(MemorySegment.ofArray(s.dy()), item.m(), dy);
        return new OnDevice(layer, layer.weight(), x, dy, null, null);
    }

    private Matrix matrix(float[] values, int rows, int cols) {
        Matrix a = device.allocate(DataType.FLOAT32, rows, cols);
        device.copyIn(MemorySegment.ofArray(values), cols, a);
        return a;
    }

    @Override
    public double[] run(int first, int calls) {
        double[] ms = new double[calls];
        for (int i = 0; i < calls; i++) {
            OnDevice s = sets.get((first + i) % sets.size());
            if (item.work() == Work.INIT) {
                s.layer.load(MemorySegment.ofArray(inputs.get(first + i).w()), item.n());
            }
            long start = System.nanoTime();
            once(s);
            ms[i] = (System.nanoTime() - start) / 1e6;
            if (item.work() == Work.MERGE && !unread) {
                s.layer.unmerge();
            }
        }
        return ms;
    }

    private void once(OnDevice s) {
        if (form != Form.LAYER) {
            device.gemm(1, s.x, Op.NONE, s.w, Op.TRANSPOSE, 0, y);
            if (item.work() == Work.FORWARD_BACKWARD) {
                device.gemm(1, s.dy, Op.NONE, s.w, Op.NONE, 0, dx);
            }
            return;
        }
        switch (item.work()) {
            case FORWARD -> s.layer.forward(s.x, y);
            case FORWARD_BACKWARD -> {
                s.layer.forward(s.x, y);
                s.layer.backward(s.x, s.dy, dx);
            }
            case INIT -> LoraGa.of(s.g).initialize(s.layer);
            case MERGE -> s.layer.merge();
            case POWER_STEP -> device.powerStep(s.g, s.v, y, z);
            case PRODUCT -> device.gemm(1, s.g, Op.NONE, s.v, Op.NONE, 0, y);
            case TRANSPOSED_PRODUCT -> device.gemm(1, s.g, Op.TRANSPOSE, s.v, Op.NONE, 0, z);
            case SQUARES -> squares = device.dot(s.g, s.g);
        }
    }

    @Override
    public Map<String, float[]> results(Set<String> wanted) {
        LoraLinear layer = sets.getFirst().layer;
        Map<String, float[]> results = new HashMap<>();
        for (String name : wanted) {
            results.put(name, name.equals("squares") ? new float[] {(float) squares} : values(switch (name) {
                case "y" -> y;
                case "dx" -> dx;
                case "z" -> z;
                case "da" -> layer.gradA();
                case "db" -> layer.gradB();
                case "w" -> layer.weight();
                case "a" -> layer.loraA();
                default -> layer.loraB();
            }));
        }
        unread = false;
        if (layer != null && layer.isMerged()) {
            layer.unmerge();
        }
        return results;
    }

    private float[] values(Matrix a) {
        float[] values = new float[Math.toIntExact(a.rows() * a.cols())];
        device.copyOut(a, MemorySegment.ofArray(values), a.cols());
        return values;
    }

    @Override
    public void release() {
        sets.forEach(OnDevice::close);
        sets.clear();
        y.close();
        dx.close();
        z.close();
    }

    @Override
    public void close() {
        // the device is not this contender's own
    }
}
