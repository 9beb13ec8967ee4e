package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.device.Counters.Call;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;

/** What layers of 16 bits do beyond the others: gradients in float32, factors and effective weights of either type. */
class LoraLinearNarrowTest extends DeviceTest {
    private static final LoraConfig CONFIG = new LoraConfig(3, 6, Scaling.STANDARD);
    private static final int M = 13;
    private static final int N = 18;

    final Random random = new Random(19);

    private LayerReference random(DataType type) {
        return LayerReference.random(CONFIG, M, N, true, type, random);
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void gradientsAloneAreFloat32(DataType type) {
        LoraLinear layer = random(type).on(device, type, 4);
        assertEquals(type, layer.type());
        assertEquals(DataType.FLOAT32, layer.gradA().type());
        assertEquals(DataType.FLOAT32, layer.gradB().type());
        for (Matrix m : new Matrix[] {layer.weight(), layer.bias(), layer.loraA(), layer.loraB(), layer.input(1), layer.outputGradient(1)}) {
            assertEquals(type, m.type());
        }
    }

    /** A sum of 16 bits stands still when it is 2⁸ or 2¹¹ times what is added; this one goes on to 3000 times that. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void gradientsOfManyStepsAddUp(DataType type) {
        int steps = 3000;
        LayerReference reference = random(type);
        for (boolean own : new boolean[] {true, false}) {
            LoraLinear layer = reference.on(device, type, 2);
            Reference x = Reference.random(2, N, type, random);
            Reference dy = Reference.random(2, M, type, random);
            Matrix inX = own ? layer.input(2) : device.allocate(type, 2, N);
            Matrix inDy = own ? layer.outputGradient(2) : device.allocate(type, 2, M);
            inX.write(x.data());
            inDy.write(dy.data());
            layer.forward(inX, device.allocate(type, 2, M));
            for (int i = 0; i < steps; i++) {
                layer.backward(inX, inDy, null);
            }
            reference.assertGradients(steps + " steps", layer, x, dy, steps);
            layer.zeroGradients();
            layer.backward(inX, inDy, null);
            reference.assertGradients("one step", layer, x, dy, 1);
        }
    }

    // ---- prefill and the effective weight, in either type

    /** O1. A0 and B0 are rounded on their way in, and what is taken off the weight is their rounded product. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void factorsOfEitherTypeAreRoundedAndTheEffectiveWeightStays(DataType type) {
        for (DataType ofA : new DataType[] {type, DataType.FLOAT32}) {
            for (DataType ofB : new DataType[] {type, DataType.FLOAT32}) {
                LayerReference w = random(type);
                Reference a0 = Reference.random(3, N, ofA, random);
                Reference b0 = Reference.random(M, 3, ofB, random);
                LayerReference start = new LayerReference(CONFIG, w.weight(), null, a0.rounded(type), b0.rounded(type));
                Matrix inA = Framed.of(device, ofA, a0).inside();
                Matrix inB = Framed.of(device, ofB, b0).inside();
                LoraLinear layer = w.on(device, type, 1);
                layer.load(w.weight().on(device, type));
                layer.prefill(inA, inB);
                assertArrayEquals(start.a().data(), layer.loraA().read());
                assertArrayEquals(start.b().data(), layer.loraB().read());
                assertArrayEquals(a0.data(), inA.read(), "a0 is not modified");
                assertArrayEquals(b0.data(), inB.read(), "b0 is not modified");

                Reference none = Reference.zeros(M, N);
                Reference scale = start.magnitudes().effectiveWeight();
                Reference frozen = w.weight().plus(-CONFIG.eta(), start.b().times(start.a()));
                frozen.assertClose("W_fz", Reference.of(layer.weight()), type, 4, scale);
                Reference off = frozen.stored(type, 4, scale, none);
                w.weight().assertClose("W' of 16 bits", effective(layer, type), type, 4, scale, off);
                w.weight().assertClose("W' in float32", effective(layer, DataType.FLOAT32), DataType.FLOAT32, 4, scale, off);
            }
        }
    }

    private Reference effective(LoraLinear layer, DataType type) {
        Framed out = Framed.nan(device, type, layer.outFeatures(), layer.inFeatures());
        layer.effectiveWeight(out.inside());
        out.assertFrameUnchanged("effectiveWeight");
        return Reference.of(out.inside());
    }

    /** In float32 the effective weight is W_fz + η·B·A of what is stored, with nothing rounded to 16 bits. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void theEffectiveWeightInFloat32IsNotRounded(DataType type) {
        LayerReference reference = random(type);
        LoraLinear layer = reference.on(device, type, 1);
        reference.effectiveWeight().assertClose("W'", effective(layer, DataType.FLOAT32), DataType.FLOAT32, 5, reference.magnitudes().effectiveWeight());
        layer.merge();
        assertArrayEquals(layer.weight().read(), effective(layer, DataType.FLOAT32).data(), "merged, it is what is stored");
        assertArrayEquals(layer.weight().read(), effective(layer, type).data());
        reference.effectiveWeight().assertClose("merged", Reference.of(layer.weight()), type, 5, reference.magnitudes().effectiveWeight());
    }

    // ---- refusals

    @ParameterizedTest
    @EnumSource(DataType.class)
    void anEffectiveWeightOfAnotherTypeIsRefusedByNameAndNotTouched(DataType type) {
        LoraLinear layer = random(type).on(device, type, 1);
        for (boolean merged : new boolean[] {false, true}) {
            for (DataType wrong : DataType.values()) {
                if (wrong != type && wrong != type.accumulation()) {
                    Matrix out = device.allocate(wrong, M, N);
                    device.fill(out, 7);
                    refuses(() -> layer.effectiveWeight(out), wrong, type);
                    assertTrue(Arrays.stream(out.read()).allMatch(x -> x == 7), wrong + " is untouched");
                }
            }
            if (!merged) {
                layer.merge();
            }
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void factorsOfAnotherTypeAreRefusedByNameAndChangeNothing(DataType type) {
        LoraLinear layer = random(type).on(device, type, 1);
        double[] weight = layer.weight().read();
        double[] loraA = layer.loraA().read();
        for (DataType wrong : DataType.values()) {
            if (wrong != type && wrong != type.accumulation()) {
                refuses(() -> layer.prefill(device.allocate(wrong, 3, N), device.allocate(type, M, 3)), wrong, type);
                refuses(() -> layer.prefill(device.allocate(type, 3, N), device.allocate(wrong, M, 3)), wrong, type);
            }
        }
        assertArrayEquals(weight, layer.weight().read());
        assertArrayEquals(loraA, layer.loraA().read());
    }

    /** Also in the type that is summed in: activations have the layer's own. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void activationsAndWeightsOfAnotherTypeAreRefusedByName(DataType type) {
        LoraLinear layer = random(type).on(device, type, 2);
        Matrix x = device.allocate(type, 2, N);
        Matrix y = device.allocate(type, 2, M);
        layer.forward(x, y);
        for (DataType wrong : DataType.values()) {
            if (wrong != type) {
                Matrix wrongX = device.allocate(wrong, 2, N);
                Matrix wrongY = device.allocate(wrong, 2, M);
                refuses(() -> layer.forward(wrongX, y), wrong, type);
                refuses(() -> layer.forward(x, wrongY), wrong, type);
                refuses(() -> layer.backward(x, wrongY, null), wrong, type);
                refuses(() -> layer.backward(x, y, wrongX), wrong, type);
                refuses(() -> layer.load(device.allocate(wrong, M, N)), wrong, type);
            }
        }
        layer.backward(x, y, null);
    }

    private void refuses(Runnable call, DataType wrong, DataType right) {
        long products = device.counters().calls(Call.GEMM);
        String message = assertThrows(IllegalArgumentException.class, call::run).getMessage();
        assertTrue(message.contains(wrong.toString()) && message.contains(right.toString()), message);
        assertEquals(products, device.counters().calls(Call.GEMM), "no product");
    }
}
