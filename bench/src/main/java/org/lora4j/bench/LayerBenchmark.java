package org.lora4j.bench;

import java.util.concurrent.TimeUnit;

import org.lora4j.LoraLinear;
import org.lora4j.init.LayerMethod;
import org.lora4j.init.LoraGa;
import org.lora4j.init.ModelInitializer;
import org.lora4j.init.Scale;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;

/**
 * This library alone, as its size grows: m = n, the rank, and the number of layers. A
 * process of its own for each point gives the peak of the device's memory. Two seconds of warming up: while the JVM still
 * compiles the loops of a start, its compiler and OpenBLAS's spinning threads fight for the processors.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = LayerBenchmark.ITERATIONS, time = 300, timeUnit = TimeUnit.MILLISECONDS)
public class LayerBenchmark {
    static final int ITERATIONS = 5;

    /** The most bytes that the device has held at a time. */
    @AuxCounters(AuxCounters.Type.EVENTS)
    @State(Scope.Thread)
    public static class Memory {
        /** Summed over the iterations. */
        public long peakBytes;

        void read(BenchmarkLayers layers) {
            peakBytes = layers.device.counters().peakBytes();
        }
    }

    /** Forward and backward of every layer. */
    @Benchmark
    public void forwardBackward(BenchmarkLayers.Passes layers, Memory memory) {
        for (LoraLinear layer : layers.all) {
            layer.forward(layer.input(layers.batch), layers.y);
            layer.backward(layer.input(layers.batch), layer.outputGradient(layers.batch), layers.dx);
        }
        memory.read(layers);
    }

    /** LoRA-GA's start of one layer, SVD included. */
    @Benchmark
    public void init(BenchmarkLayers.Gradient layers, Memory memory, Blackhole hole) {
        hole.consume(LoraGa.of(layers.g).initialize(layers.all.getFirst()));
        memory.read(layers);
    }

    /** Merge of one layer. */
    @Benchmark
    public void merge(BenchmarkLayers.Unmerged layers, Memory memory) {
        layers.all.getFirst().merge();
        memory.read(layers);
    }

    /** LoRA-GA's start of a model of so many layers, each read, started and handed over. */
    @Benchmark
    public void model(BenchmarkLayers.Model layers, Memory memory, Blackhole hole) {
        hole.consume(ModelInitializer.of(layers.device, LayerMethod.loraGa(Scale.stable())).initialize(layers.model, hole::consume));
        memory.read(layers);
    }
}
