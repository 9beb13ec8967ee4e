package org.lora4j.bench;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.init.LayerMethod;
import org.lora4j.init.LoraGa;
import org.lora4j.init.ModelInitializer;
import org.lora4j.init.ModelLayer;
import org.lora4j.init.Scale;
import org.lora4j.init.TensorSource;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;

/**
 * This library alone, as its size grows: m = n, the rank, and the number of layers. Each call does the whole work once, so
 * single shots are what is timed; a process of its own for each point gives the peak of the device's memory. Native code
 * needs no warming up but for its threads and caches: two calls.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2)
@Measurement(iterations = LayerBenchmark.SHOTS)
public class LayerBenchmark {
    static final int SHOTS = 5;

    /** The most bytes that the device has held at a time. */
    @AuxCounters(AuxCounters.Type.EVENTS)
    @State(Scope.Thread)
    public static class Memory {
        /** Summed over the shots. */
        public long peakBytes;
    }

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

    private Device device;
    private LoraConfig config;
    private final List<LoraLinear> all = new ArrayList<>();
    private final List<ModelLayer> model = new ArrayList<>();
    private Matrix y;
    private Matrix dx;
    private Matrix g;
    private float[] weight;
    private float[] gradient;

    /** Draws the weights and, the first time that a work asks for it, a gradient. */
    @Setup
    public void open() {
        device = Device.open();
        config = new LoraConfig(rank, Item.ALPHA, Scaling.RANK_STABILISED);
        SplittableRandom random = new SplittableRandom(System.nanoTime());
        weight = new float[size * size];
        IntStream.range(0, weight.length).forEach(i -> weight[i] = (float) (random.nextDouble() - 0.5));
    }

    private void makeLayers(int count, boolean passes) {
        SplittableRandom random = new SplittableRandom(System.nanoTime());
        while (all.size() < count) {
            LoraLinear layer = new LoraLinear(device, config, DataType.FLOAT32, size, size, false, batch);
            layer.load(MemorySegment.ofArray(weight), size);
            layer.loraA().write(random.doubles((long) rank * size, -1, 1).toArray());
            layer.loraB().write(random.doubles((long) rank * size, -1, 1).toArray());
            if (passes) {
                device.fill(layer.input(batch), 1);
                device.fill(layer.outputGradient(batch), 1);
            }
            all.add(layer);
        }
        if (passes && y == null) {
            y = device.allocate(DataType.FLOAT32, batch, size);
            dx = device.allocate(DataType.FLOAT32, batch, size);
        }
    }

    /** Forward and backward of every layer. */
    @Benchmark
    public void forwardBackward(Passes passes, Memory memory) {
        for (LoraLinear layer : all) {
            layer.forward(layer.input(batch), y);
            layer.backward(layer.input(batch), layer.outputGradient(batch), dx);
        }
        memory.peakBytes = device.counters().peakBytes();
    }

    /** LoRA-GA's start of one layer, SVD included. */
    @Benchmark
    public void init(Gradient start, Memory memory, Blackhole hole) {
        hole.consume(LoraGa.of(g).initialize(all.getFirst()));
        memory.peakBytes = device.counters().peakBytes();
    }

    /** Merge of one layer. */
    @Benchmark
    public void merge(Unmerged unmerged, Memory memory) {
        all.getFirst().merge();
        memory.peakBytes = device.counters().peakBytes();
    }

    /** LoRA-GA's start of a model of so many layers, each read, started and handed over. */
    @Benchmark
    public void model(Model start, Memory memory, Blackhole hole) {
        hole.consume(ModelInitializer.of(device, LayerMethod.loraGa(Scale.stable())).initialize(model, hole::consume));
        memory.peakBytes = device.counters().peakBytes();
    }

    /** Layers with activations. */
    @State(Scope.Thread)
    public static class Passes {
        /** Makes them. */
        @Setup
        public void make(LayerBenchmark benchmark) {
            benchmark.makeLayers(benchmark.layers, true);
        }
    }

    /** A layer, put back to its weight before each shot, and a gradient. */
    @State(Scope.Thread)
    public static class Gradient {
        /** Makes them. */
        @Setup
        public void make(LayerBenchmark benchmark) {
            benchmark.makeLayers(1, false);
            float[] values = Inputs.decaying(benchmark.size, benchmark.size, new SplittableRandom(System.nanoTime()));
            benchmark.g = benchmark.device.allocate(DataType.FLOAT32, benchmark.size, benchmark.size);
            benchmark.device.copyIn(MemorySegment.ofArray(values), benchmark.size, benchmark.g);
        }

        /** Loads the weight. */
        @Setup(Level.Iteration)
        public void load(LayerBenchmark benchmark) {
            benchmark.all.getFirst().load(MemorySegment.ofArray(benchmark.weight), benchmark.size);
        }
    }

    /** A layer that is not merged. */
    @State(Scope.Thread)
    public static class Unmerged {
        /** Makes it. */
        @Setup
        public void make(LayerBenchmark benchmark) {
            benchmark.makeLayers(1, false);
        }

        /** Unmerges it. */
        @Setup(Level.Iteration)
        public void unmerge(LayerBenchmark benchmark) {
            if (benchmark.all.getFirst().isMerged()) {
                benchmark.all.getFirst().unmerge();
            }
        }
    }

    /** Weights and gradients in host memory. */
    @State(Scope.Thread)
    public static class Model {
        /** Makes them. */
        @Setup
        public void make(LayerBenchmark benchmark) {
            benchmark.gradient = Inputs.decaying(benchmark.size, benchmark.size, new SplittableRandom(System.nanoTime()));
            for (int i = 0; i < benchmark.layers; i++) {
                benchmark.model.add(new ModelLayer("layer" + i, benchmark.size, benchmark.size, benchmark.config,
                        TensorSource.of(MemorySegment.ofArray(benchmark.weight), DataType.FLOAT32),
                        TensorSource.of(MemorySegment.ofArray(benchmark.gradient), DataType.FLOAT32)));
            }
        }
    }

    /** Closes the device and what it owns. */
    @TearDown
    public void close() {
        all.forEach(LoraLinear::close);
        device.close();
    }
}
