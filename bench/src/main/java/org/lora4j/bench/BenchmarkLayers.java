package org.lora4j.bench;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.init.ModelLayer;
import org.lora4j.init.TensorSource;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The layers of {@link LayerBenchmark}, with fresh random weights; each benchmark makes only what it takes. */
@State(Scope.Thread)
public class BenchmarkLayers {
    /** m = n. */
    @Param("1024")
    public int size;
    /** r. */
    @Param("16")
    public int rank;
    /** b. */
    @Param("256")
    public int batch;
    /** How many layers, one after the other. */
    @Param("1")
    public int layers;

    Device device;
    final List<LoraLinear> all = new ArrayList<>();
    final List<ModelLayer> model = new ArrayList<>();
    Matrix y; // (b, m)
    Matrix dx; // (b, n)
    Matrix g; // (m, n)
    LoraConfig config;
    SplittableRandom random;
    float[] weight;

    /** Opens the device and draws a weight; each subclass's setup begins with it, for JMH may run that of a superclass later. */
    void open() {
        device = Device.open();
        config = new LoraConfig(rank, Item.ALPHA, Scaling.RANK_STABILISED);
        random = new SplittableRandom(System.nanoTime());
        weight = new float[size * size];
        for (int i = 0; i < weight.length; i++) {
            weight[i] = (float) (random.nextDouble() - 0.5);
        }
    }

    LoraLinear makeLayer() {
        LoraLinear layer = new LoraLinear(device, config, DataType.FLOAT32, size, size, false, batch);
        layer.load(MemorySegment.ofArray(weight), size);
        layer.loraA().write(random.doubles((long) rank * size, -1, 1).toArray());
        layer.loraB().write(random.doubles((long) rank * size, -1, 1).toArray());
        all.add(layer);
        return layer;
    }

    /** Closes the device and what it owns. */
    @TearDown
    public void close() {
        all.forEach(LoraLinear::close);
        device.close();
    }

    /** Layers with activations. */
    @State(Scope.Thread)
    public static class Passes extends BenchmarkLayers {
        /** Makes them. */
        @Setup
        public void make() {
            open();
            for (int i = 0; i < layers; i++) {
                LoraLinear layer = makeLayer();
                device.fill(layer.input(batch), 1);
                device.fill(layer.outputGradient(batch), 1);
            }
            y = device.allocate(DataType.FLOAT32, batch, size);
            dx = device.allocate(DataType.FLOAT32, batch, size);
        }
    }

    /** A layer, put back to its weight before each call, and a gradient. */
    @State(Scope.Thread)
    public static class Gradient extends BenchmarkLayers {
        /** Makes them. */
        @Setup
        public void make() {
            open();
            makeLayer();
            g = device.allocate(DataType.FLOAT32, size, size);
            device.copyIn(MemorySegment.ofArray(new SyntheticGradient(size, size, Spectrum.INVERSE, random).values()), size, g);
        }

        /** Loads the weight. */
        @Setup(Level.Invocation)
        public void load() {
            all.getFirst().load(MemorySegment.ofArray(weight), size);
        }
    }

    /** A layer that is not merged. */
    @State(Scope.Thread)
    public static class Unmerged extends BenchmarkLayers {
        /** Makes it. */
        @Setup
        public void make() {
            open();
            makeLayer();
        }

        /** Unmerges it. */
        @Setup(Level.Invocation)
        public void unmerge() {
            if (all.getFirst().isMerged()) {
                all.getFirst().unmerge();
            }
        }
    }

    /** Weights and gradients in host memory. */
    @State(Scope.Thread)
    public static class Model extends BenchmarkLayers {
        /** Makes them. */
        @Setup
        public void make() {
            open();
            TensorSource w = TensorSource.of(MemorySegment.ofArray(weight), DataType.FLOAT32);
            TensorSource g = TensorSource.of(MemorySegment.ofArray(new SyntheticGradient(size, size, Spectrum.INVERSE, random).values()), DataType.FLOAT32);
            for (int i = 0; i < layers; i++) {
                model.add(new ModelLayer("layer" + i, size, size, config, w, g));
            }
        }
    }
}
