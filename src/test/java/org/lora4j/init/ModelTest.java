package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;

import org.lora4j.DeviceTest;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Small models in host memory, and what their layers are alone. */
abstract class ModelTest extends DeviceTest {
    static final DataType TYPE = DataType.FLOAT32;
    static final int[][] SHAPES = {{24, 18, 3}, {40, 56, 4}, {7, 90, 1}, {33, 12, 6}, {64, 64, 8}}; // m, n, r
    static final LayerMethod LORA_GA = LayerMethod.loraGa(new Scale.MaxShift(0.1));

    /** Copies of what a layer was handed. */
    record Kept(LayerStart start, byte[] weight, byte[] a, byte[] b) {
        static Kept of(LayerStart start) {
            return new Kept(start, bytes(start.weight()), bytes(start.a()), bytes(start.b()));
        }

        private static byte[] bytes(MemorySegment memory) {
            return memory.toArray(ValueLayout.JAVA_BYTE);
        }

        void assertSame(Kept other) {
            assertArrayEquals(weight, other.weight, start.name() + ": W_fz");
            assertArrayEquals(a, other.a, start.name() + ": A0");
            assertArrayEquals(b, other.b, start.name() + ": B0");
            assertArrayEquals(start.initialization().singularValues(), other.start.initialization().singularValues());
        }
    }

    static String name(int i) {
        return "layers." + i + ".q_proj";
    }

    /** A weight or gradient of random numbers, rounded by the device to its type. */
    MemorySegment random(int rows, int cols, DataType type, long seed) {
        return host(Reference.random(rows, cols, DataType.FLOAT64, new Random(seed)), type);
    }

    MemorySegment host(Reference values, DataType type) {
        MemorySegment memory = MemorySegment.ofArray(new byte[values.data().length * type.bytes()]);
        try (Matrix on = values.on(device, type)) {
            device.copyOut(on, memory, values.cols());
        }
        return memory;
    }

    Reference reference(byte[] bytes, DataType type, int rows, int cols) {
        return reference(MemorySegment.ofArray(bytes), type, rows, cols);
    }

    Reference reference(MemorySegment memory, DataType type, int rows, int cols) {
        try (Matrix on = device.allocate(type, rows, cols)) {
            device.copyIn(memory, cols, on);
            return Reference.of(on);
        }
    }

    ModelLayer layer(int i) {
        int[] s = SHAPES[i];
        return new ModelLayer(name(i), s[0], s[1], new LoraConfig(s[2], 16, Scaling.RANK_STABILISED),
                TensorSource.of(random(s[0], s[1], TYPE, 2 * i), TYPE), TensorSource.of(random(s[0], s[1], TYPE, 2 * i + 1), TYPE));
    }

    List<ModelLayer> model() {
        List<ModelLayer> layers = new ArrayList<>();
        for (int i = 0; i < SHAPES.length; i++) {
            layers.add(layer(i));
        }
        return layers;
    }

    /** The same layer with other matrices. */
    static ModelLayer with(ModelLayer layer, TensorSource weight, TensorSource gradient) {
        return new ModelLayer(layer.name(), layer.outFeatures(), layer.inFeatures(), layer.config(), weight, gradient);
    }

    /** The same layer with readers that do something first. */
    static ModelLayer observed(ModelLayer layer, Function<String, TensorSource.Reader> first) {
        return with(layer, observed(layer.weight(), first.apply("weight")), observed(layer.gradient(), first.apply("gradient")));
    }

    private static TensorSource observed(TensorSource source, TensorSource.Reader first) {
        return new TensorSource(source.type(), target -> {
            first.read(target);
            source.reader().read(target);
        });
    }

    /**
     * O1: W_fz + η·B·A = W0 with what is stored: a sum of r products and W0 in what the type is summed in, rounded once to
     * the type.
     */
    static void assertKeepsWeight(String what, Reference w0, DataType type, Reference frozen, double eta, Reference b, Reference a) {
        Reference effective = frozen.plus(eta, b.times(a));
        Reference size = w0.magnitudes().plus(2 * eta, b.magnitudes().times(a.magnitudes()));
        double summed = 4 * 2 * type.accumulation().unitRoundoff() * Math.sqrt(a.rows());
        double least = type == DataType.FLOAT16 ? 0x1p-25 : 0; // half the distance of its subnormal numbers
        for (int i = 0; i < effective.data().length; i++) {
            assertEquals(w0.data()[i], effective.data()[i], type.unitRoundoff() * Math.abs(frozen.data()[i]) + summed * size.data()[i] + least,
                    what + ": element " + i);
        }
    }

    /** That the device holds as much after {@code work} as before; what a GPU keeps for reuse it has from the first time. */
    static void assertHoldsTheSame(Device device, String what, Runnable work) {
        work.run();
        long held = device.counters().currentBytes();
        work.run();
        assertEquals(held, device.counters().currentBytes(), what + ": bytes held");
    }

    Map<String, Kept> start(LayerMethod method, List<ModelLayer> layers) {
        Map<String, Kept> kept = new HashMap<>();
        ModelInitializer.of(device, method).withSeed(5).initialize(layers, start -> kept.put(start.name(), Kept.of(start)));
        return kept;
    }

    /** What a float32 layer's start is by {@link LoraLinear} itself, with the seed that it has in a model. */
    Kept alone(ModelLayer layer, LayerMethod method) throws Exception {
        int m = (int) layer.outFeatures();
        int n = (int) layer.inFeatures();
        int r = layer.config().rank();
        MemorySegment w = MemorySegment.ofArray(new byte[m * n * 4]);
        MemorySegment g = MemorySegment.ofArray(new byte[m * n * 4]);
        layer.weight().reader().read(w);
        layer.gradient().reader().read(g);
        long seed = ModelInitializer.seedOf(5, layer.name());
        try (LoraLinear on = new LoraLinear(device, layer.config(), TYPE, m, n, false, 1); Matrix gradient = device.allocate(TYPE, m, n)) {
            on.load(w, n);
            device.copyIn(g, n, gradient);
            Initialization start = method.of(layer, gradient, seed).initialize(on);
            byte[] a = new byte[r * n * 4];
            byte[] b = new byte[m * r * 4];
            device.copyOut(on.weight(), w, n);
            device.copyOut(on.loraA(), MemorySegment.ofArray(a), n);
            device.copyOut(on.loraB(), MemorySegment.ofArray(b), r);
            return new Kept(new LayerStart(layer, 0, seed, start, Double.NaN, w, TYPE, null, null), (byte[]) w.heapBase().orElseThrow(), a, b);
        }
    }
}
