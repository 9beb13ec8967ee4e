package org.lora4j.init;

import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;

/**
 * Starts the adapters of a whole model, one layer at a time on the device, while the next layer is being read.
 *
 * <p>Host memory is at most what the two largest layers take: weight, gradient, A0 and B0; on the device there is one
 * layer. Results are handed over as they come and are not kept. Each layer's start is, to the bit, what it would be
 * alone: it depends on the layer, the seed and its name.
 *
 * <pre>
 * ModelInitializer.of(device, LayerMethod.loraGa(Scale.stable())).initialize(layers, start -&gt; …);
 * </pre>
 *
 * @param device on which all is computed, by the calling thread
 * @param method which initialiser a layer gets
 * @param seed from which, with its name, each layer's is made
 * @param factorType how A0 and B0 are handed over; null for what products of the weight are summed in: float32 for float32
 *     and 16 bits. They are rounded first, and W_fz is what belongs to the rounded ones
 * @param alignment whether each start's first-order alignment is measured, which takes five products more
 * @param progress is told after each layer
 */
public record ModelInitializer(Device device, LayerMethod method, long seed, DataType factorType, boolean alignment, Consumer<ModelProgress> progress) {
    /** @throws NullPointerException when an argument but {@code factorType} is null */
    public ModelInitializer {
        Objects.requireNonNull(device, "device");
        Objects.requireNonNull(method, "method");
        Objects.requireNonNull(progress, "progress");
    }

    /** Seed 0, factors of the default type, no alignment, no progress. */
    public static ModelInitializer of(Device device, LayerMethod method) {
        return new ModelInitializer(device, method, 0, null, false, progress -> {});
    }

    /** The same with another seed. */
    public ModelInitializer withSeed(long other) {
        return new ModelInitializer(device, method, other, factorType, alignment, progress);
    }

    /** The same with A0 and B0 of the given type. */
    public ModelInitializer withFactorType(DataType other) {
        return new ModelInitializer(device, method, seed, other, alignment, progress);
    }

    /** The same with the alignment measured. */
    public ModelInitializer withAlignment() {
        return new ModelInitializer(device, method, seed, factorType, true, progress);
    }

    /** The same with another listener, called by the thread that calls {@link #initialize}. */
    public ModelInitializer withProgress(Consumer<ModelProgress> other) {
        return new ModelInitializer(device, method, seed, factorType, alignment, other);
    }

    /**
     * Starts all layers, in order. A layer that can't be read or started doesn't keep the others from it; layers that share
     * a name all fail.
     *
     * <p>What {@code results} or the progress throws ends the work and is thrown on; so does an error of a reader. An
     * interrupt of the calling thread ends it after the layer in hand, which is still handed over, and is passed on to a
     * reader at work; it stays set. A device that can't be used any more ends it too.
     *
     * @param results is given each start, by the calling thread
     * @return what was done, all of it
     * @throws IncompleteModelException after the others were handed over, where any layer was not
     */
    public ModelReport initialize(List<ModelLayer> layers, Consumer<LayerStart> results) {
        device.checkOwned();
        return new ModelRun(this, List.copyOf(layers), Objects.requireNonNull(results, "results")).run();
    }

    /** A layer's seed: the model's and the characters of the name through SplitMix64's mixer (Steele, Lea and Flood 2014). */
    public static long seedOf(long seed, String name) {
        long state = mix(seed);
        for (int i = 0; i < name.length(); i++) {
            state = mix(state ^ name.charAt(i));
        }
        return state;
    }

    private static long mix(long state) {
        long bits = state + 0x9e3779b97f4a7c15L;
        bits = (bits ^ bits >>> 30) * 0xbf58476d1ce4e5b9L;
        bits = (bits ^ bits >>> 27) * 0x94d049bb133111ebL;
        return bits ^ bits >>> 31;
    }
}
