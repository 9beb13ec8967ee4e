package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;

/** Merging the adapter into the weight, and taking it out again to the bit. */
class LoraLinearMergeTest extends DeviceTest {
    /** m, n, r. */
    private static final int[][] SHAPES = {{1, 1, 1}, {7, 11, 2}, {13, 4, 1}, {16, 16, 8}, {5, 3, 4}, {127, 65, 13}};

    final Random random = new Random(5);

    private LayerReference random(int[] shape, Scaling scaling, DataType type) {
        return LayerReference.random(new LoraConfig(shape[2], 8, scaling), shape[0], shape[1], true, type, random);
    }

    private Matrix effectiveWeight(LoraLinear layer) {
        Framed out = Framed.nan(device, layer.type(), layer.outFeatures(), layer.inFeatures());
        layer.effectiveWeight(out.inside());
        out.assertFrameUnchanged("effectiveWeight");
        return out.inside();
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void mergedForwardIsTheUnmergedOne(DataType type) {
        for (int[] shape : SHAPES) {
            for (boolean bias : new boolean[] {true, false}) {
                LayerReference reference = LayerReference.random(new LoraConfig(shape[2], 8, Scaling.STANDARD), shape[0], shape[1], bias, type, random);
                Reference x = Reference.random(9, shape[1], type, random);
                try (LoraLinear layer = reference.on(device, type, 9)) {
                    layer.forward(x.on(device, type), device.allocate(type, 9, shape[0])); // leaves T in the spare columns
                    layer.merge();
                    assertTrue(layer.isMerged());
                    reference.effectiveWeight().assertClose("W'", Reference.of(layer.weight()), type, shape[2] + 2,
                            reference.magnitudes().effectiveWeight());
                    assertArrayEquals(layer.weight().read(), effectiveWeight(layer).read());
                    layer.input(9).write(x.data());
                    for (Matrix place : new Matrix[] {layer.input(9), Framed.of(device, type, x).inside()}) {
                        Framed y = Framed.nan(device, type, 9, shape[0]);
                        layer.forward(place, y.inside());
                        reference.assertMergedY("merged", y.inside(), type, x);
                        y.assertFrameUnchanged("merged");
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void unmergeRestoresTheWeightBitForBit(DataType type) {
        for (int[] shape : SHAPES) {
            LayerReference reference = random(shape, Scaling.RANK_STABILISED, type);
            try (LoraLinear layer = reference.on(device, type, 1)) {
                double[] frozen = layer.weight().read();
                layer.merge(); // the device's own workspace is there then
                layer.unmerge();
                long held = device.counters().currentBytes();
                for (int round = 0; round < 3; round++) {
                    layer.merge();
                    layer.unmerge();
                    assertFalse(layer.isMerged());
                    assertArrayEquals(frozen, layer.weight().read());
                    assertEquals(held, device.counters().currentBytes(), "the merged weight is freed");
                }
            }
        }
    }

    @Test
    void mergedWeightStandsBesideTheFrozenOne() {
        LoraLinear layer = random(new int[] {7, 11, 2}, Scaling.STANDARD, DataType.FLOAT32).on(device, DataType.FLOAT32, 1);
        Matrix frozen = layer.weight();
        double[] before = frozen.read();
        layer.merge();
        Matrix merged = layer.weight();
        assertFalse(merged.overlaps(frozen));
        merged.write(new double[7 * 11]);
        assertArrayEquals(before, frozen.read());
        layer.unmerge();
        assertThrows(IllegalStateException.class, merged::read);
        assertArrayEquals(before, layer.weight().read());
    }

    @Test
    void factorsWrittenWhileMergedCountAfterUnmerge() {
        DataType type = DataType.FLOAT64;
        LayerReference old = random(new int[] {7, 11, 2}, Scaling.STANDARD, type);
        LayerReference fresh = new LayerReference(old.config(), old.weight(), old.bias(), old.a().times(3), old.b().times(-2));
        LoraLinear layer = old.on(device, type, 4);
        Reference x = Reference.random(4, 11, type, random);
        Matrix dX = x.on(device, type);
        Matrix y = device.allocate(type, 4, 7);
        layer.merge();
        layer.loraA().write(fresh.a().data());
        layer.loraB().write(fresh.b().data());
        layer.forward(dX, y);
        old.assertMergedY("merged", y, type, x);
        layer.unmerge();
        layer.forward(dX, y);
        fresh.assertY("unmerged", y, type, x, false);
    }

    @Test
    void whileMergedTheWeightIsNotTouched() {
        LoraLinear layer = random(new int[] {3, 5, 2}, Scaling.STANDARD, DataType.FLOAT32).on(device, DataType.FLOAT32, 4);
        Matrix x = layer.input(2);
        Matrix y = device.allocate(DataType.FLOAT32, 2, 3);
        Matrix w0 = device.allocate(DataType.FLOAT32, 3, 5);
        assertThrows(IllegalStateException.class, layer::unmerge);
        layer.forward(x, y);
        layer.merge();
        double[] merged = layer.weight().read();
        assertThrows(IllegalStateException.class, layer::merge);
        assertThrows(IllegalStateException.class, () -> layer.backward(x, y, null));
        assertThrows(IllegalStateException.class, () -> layer.load(w0));
        assertThrows(IllegalStateException.class, () -> layer.load(Reference.zeros(3, 5).inHostMemory(DataType.FLOAT32, 5), 5));
        assertThrows(IllegalStateException.class, () -> layer.prefill(device.allocate(DataType.FLOAT32, 2, 5), device.allocate(DataType.FLOAT32, 3, 2)));
        assertArrayEquals(merged, layer.weight().read());
        layer.unmerge();
        assertThrows(IllegalStateException.class, layer::unmerge);
    }
}
