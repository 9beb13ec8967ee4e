package org.lora4j.io;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Scaling;

/**
 * The adapter of one linear module: its part of the weight is η·B·A.
 *
 * @param name the module's full name in the model, as {@code encoder.layers.0.query}
 * @param config rank r and scale η
 * @param a A (r×n)
 * @param b B (m×r)
 */
public record AdapterModule(String name, LoraConfig config, TensorData a, TensorData b) {
    /** @throws IllegalArgumentException when the shapes don't make an adapter, or a type is not a float */
    public AdapterModule {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(config, "config");
        String reason = misfit(config.rank(), a, b);
        if (reason != null) {
            throw new IllegalArgumentException("module " + name + ": " + reason);
        }
    }

    /** Why A and B don't make an adapter of a rank; null if they do. */
    static String misfit(int rank, TensorData a, TensorData b) {
        long[] shapeA = a.shape();
        long[] shapeB = b.shape();
        if (!a.type().isFloat() || !b.type().isFloat()) {
            return "A is " + a.type() + " and B " + b.type() + "; both must be F64, F32, F16 or BF16";
        }
        if (shapeA.length != 2 || shapeB.length != 2 || shapeA[0] != rank || shapeB[1] != rank || shapeA[1] < 1 || shapeB[0] < 1) {
            return "A is " + TensorHeader.shown(shapeA) + " and B " + TensorHeader.shown(shapeB) + "; with rank " + rank + " they must be [" + rank
                    + ", n] and [m, " + rank + "]";
        }
        return null;
    }

    /** The adapter of a layer: its A and B when they are read, which the owner of the layer's device must do. */
    public static AdapterModule of(String name, LoraLinear layer) {
        return new AdapterModule(name, layer.config(), TensorData.of(layer.loraA()), TensorData.of(layer.loraB()));
    }

    /** m, the length of an output row. */
    public long outFeatures() {
        return b.shape()[0];
    }

    /** n, the length of an input row. */
    public long inFeatures() {
        return a.shape()[1];
    }

    /** A copy of the factors as they are now, in memory that lives as long as the copy: a start A0, B0 to be subtracted. */
    public AdapterModule snapshot() throws IOException {
        return new AdapterModule(name, config, copy(a), copy(b));
    }

    private static TensorData copy(TensorData data) throws IOException {
        MemorySegment memory = Arena.ofAuto().allocate(data.byteSize(), 8);
        data.read(data.type(), memory);
        return TensorData.of(data.type(), memory, data.shape());
    }

    /**
     * The same change of the weight from another base. A start A0, B0 that was taken out of the weight (LoRA-GA, PiSSA, any
     * pre-filled one) leaves W_fz = W0 − η·B0·A0, so on the untouched W0 the trained adapter is
     * <pre>
     * η·(B·A − B0·A0) = η·[B | −B0]·[A; A0]        of rank 2r, with α' = 2·α (or √2·α if η = α/√r) so that η is the same
     * </pre>
     * The factors are copied, as F32 unless all have one type.
     *
     * @param start A0 and B0 of the same module, by {@link #snapshot} before training
     * @throws IllegalArgumentException when the start has another shape or scale
     */
    public AdapterModule onUntouchedBase(AdapterModule start) throws IOException {
        if (!config.equals(start.config) || outFeatures() != start.outFeatures() || inFeatures() != start.inFeatures()) {
            throw new IllegalArgumentException("module " + name + ": the start is of " + start.outFeatures() + "×" + start.inFeatures() + " with "
                    + start.config + "; it must be of " + outFeatures() + "×" + inFeatures() + " with " + config);
        }
        boolean one = a.type() == b.type() && a.type() == start.a.type() && a.type() == start.b.type();
        TensorType type = one ? a.type() : TensorType.F32;
        double alpha = config.alpha() * (config.scaling() == Scaling.STANDARD ? 2 : Math.sqrt(2));
        return new AdapterModule(name, new LoraConfig(Math.multiplyExact(2, config.rank()), alpha, config.scaling()), below(start, type), beside(start, type));
    }

    /** [A; A0] (2r,n). */
    private TensorData below(AdapterModule start, TensorType type) throws IOException {
        long half = type.bytes(a.shape());
        MemorySegment memory = Arena.ofAuto().allocate(2 * half, 8);
        a.read(type, memory.asSlice(0, half));
        start.a.read(type, memory.asSlice(half));
        return TensorData.of(type, memory, 2L * config.rank(), inFeatures());
    }

    /** [B | −B0] (m,2r). */
    private TensorData beside(AdapterModule start, TensorType type) throws IOException {
        long row = (long) config.rank() * type.bytes();
        MemorySegment memory = Arena.ofAuto().allocate(2 * row * outFeatures(), 8);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment left = arena.allocate(row * outFeatures(), 8);
            MemorySegment right = arena.allocate(row * outFeatures(), 8);
            b.read(type, left);
            start.b.read(type, right);
            negate(type, right);
            for (long i = 0; i < outFeatures(); i++) {
                MemorySegment.copy(left, i * row, memory, 2 * i * row, row);
                MemorySegment.copy(right, i * row, memory, (2 * i + 1) * row, row);
            }
        }
        return TensorData.of(type, memory, outFeatures(), 2L * config.rank());
    }

    /** Flips the sign bit of every element, which is in its last byte. */
    private static void negate(TensorType type, MemorySegment values) {
        for (long i = type.bytes() - 1; i < values.byteSize(); i += type.bytes()) {
            values.set(ValueLayout.JAVA_BYTE, i, (byte) (values.get(ValueLayout.JAVA_BYTE, i) ^ 0x80));
        }
    }
}
