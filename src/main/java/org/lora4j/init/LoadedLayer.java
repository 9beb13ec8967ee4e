package org.lora4j.init;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

import org.lora4j.device.DataType;

/**
 * The host memory of a layer in turn: its weight and gradient as they were read, and room for A0 and B0. W_fz takes the
 * weight's place. Closing it ends the segments; the memory behind them serves another layer.
 */
final class LoadedLayer implements AutoCloseable {
    private static final long ALIGNMENT = 64;

    final ModelLayer layer;
    final DataType factorType;
    final MemorySegment weight; // (m, n)
    final MemorySegment gradient; // (m, n), null where there is none
    final MemorySegment a; // (r, n)
    final MemorySegment b; // (m, r)
    private final Arena life = Arena.ofShared();

    /** @param memory at least {@link #bytes} long */
    LoadedLayer(ModelLayer layer, DataType chosen, MemorySegment memory) {
        this.layer = layer;
        factorType = factorType(layer, chosen);
        MemorySegment alive = memory.reinterpret(life, null);
        long ofWeight = weightBytes(layer);
        long ofGradient = gradientBytes(layer);
        long ofA = layer.config().rank() * layer.inFeatures() * factorType.bytes();
        long ofB = layer.config().rank() * layer.outFeatures() * factorType.bytes();
        weight = alive.asSlice(0, ofWeight);
        gradient = layer.gradient() == null ? null : alive.asSlice(aligned(ofWeight), ofGradient);
        a = alive.asSlice(aligned(ofWeight) + aligned(ofGradient), ofA);
        b = alive.asSlice(aligned(ofWeight) + aligned(ofGradient) + aligned(ofA), ofB);
    }

    /** How much memory a layer takes. */
    static long bytes(ModelLayer layer, DataType chosen) {
        long r = layer.config().rank();
        int size = factorType(layer, chosen).bytes();
        return aligned(weightBytes(layer)) + aligned(gradientBytes(layer)) + aligned(r * layer.inFeatures() * size) + aligned(r * layer.outFeatures() * size);
    }

    /** What the factors are stored in: what was chosen, by default what products of the weight are summed in. */
    private static DataType factorType(ModelLayer layer, DataType chosen) {
        return chosen != null ? chosen : layer.weight().type().accumulation();
    }

    private static long weightBytes(ModelLayer layer) {
        return layer.outFeatures() * layer.inFeatures() * layer.weight().type().bytes();
    }

    private static long gradientBytes(ModelLayer layer) {
        return layer.gradient() == null ? 0 : layer.outFeatures() * layer.inFeatures() * layer.gradient().type().bytes();
    }

    private static long aligned(long bytes) {
        return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
    }

    /** Closing again does nothing. */
    @Override
    public void close() {
        if (life.scope().isAlive()) {
            life.close();
        }
    }
}
