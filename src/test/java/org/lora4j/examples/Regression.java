package org.lora4j.examples;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;
import org.lora4j.init.PlainLora;

/**
 * What the examples train: an adapter that moves Y = X·W'ᵀ towards a target, by gradient descent on ‖Y − target‖²/(2b), and
 * what plain loops in float64 make of it.
 */
public final class Regression {
    /** m. */
    public static final int OUT = 12;
    /** n. */
    public static final int IN = 20;
    /** b. */
    public static final int BATCH = 7;
    /** How often A and B are moved. */
    public static final int STEPS = 10;
    /** λ of A ← A − λ·dA and B ← B − λ·dB. */
    public static final float RATE = 0.01f;
    /** r and η. */
    public static final LoraConfig CONFIG = new LoraConfig(3, 3, Scaling.RANK_STABILISED);
    /** Of A's start. */
    public static final long SEED = 5;

    private static final int PRODUCTS_PER_STEP = 6;

    private static final Reference WEIGHT = Reference.random(OUT, IN, DataType.FLOAT32, new Random(1));
    private static final Reference INPUT = Reference.random(BATCH, IN, DataType.FLOAT32, new Random(2));
    private static final Reference TARGET = Reference.random(BATCH, OUT, DataType.FLOAT32, new Random(3));

    private Regression() {}

    /** W0 (m,n). */
    public static float[] weight() {
        return floats(WEIGHT);
    }

    /** X (b,n). */
    public static float[] input() {
        return floats(INPUT);
    }

    /** What Y (b,m) should become. */
    public static float[] target() {
        return floats(TARGET);
    }

    /** Asserts that A (r,n), B (m,r) and the last step's dX (b,n) are those of float64 and that training got somewhere. */
    public static void assertTrained(float[] a, float[] b, float[] dx) {
        double eta = CONFIG.eta();
        Reference refA = startOfA();
        Reference refB = Reference.zeros(OUT, CONFIG.rank());
        Reference refDx = null;
        double first = 0;
        double last = 0;
        for (int i = 0; i < STEPS; i++) {
            Reference t = INPUT.times(refA.transpose()).times(eta);
            Reference error = INPUT.times(WEIGHT.transpose()).plus(1, t.times(refB.transpose())).plus(-1, TARGET);
            Reference dy = error.times(1.0 / BATCH);
            Reference dt = dy.times(refB).times(eta);
            refDx = dy.times(WEIGHT).plus(1, dt.times(refA));
            refA = refA.plus(-RATE, dt.transpose().times(INPUT));
            refB = refB.plus(-RATE, dy.transpose().times(t));
            last = error.norm();
            first = i == 0 ? last : first;
        }
        assertTrue(last < 0.9 * first, "the regression is none: " + first + " to " + last);
        double tolerance = 4 * 0x1p-23 * Math.sqrt(IN) * PRODUCTS_PER_STEP * STEPS; // 4ε√k for each product on the way
        refA.assertNear("A", reference(refA, a), tolerance);
        refB.assertNear("B", reference(refB, b), tolerance);
        refDx.assertNear("dX", reference(refDx, dx), tolerance);
    }

    /** What {@link PlainLora} gives for {@link #SEED}. */
    private static Reference startOfA() {
        try (Device device = HostDevice.open(); LoraLinear layer = new LoraLinear(device, CONFIG, DataType.FLOAT32, OUT, IN, false, 1)) {
            PlainLora.kaimingUniform(SEED).initialize(layer);
            return Reference.of(layer.loraA());
        }
    }

    private static float[] floats(Reference a) {
        float[] values = new float[a.data().length];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) a.data()[i];
        }
        return values;
    }

    private static Reference reference(Reference shape, float[] values) {
        Reference a = Reference.zeros(shape.rows(), shape.cols());
        assertTrue(values.length == a.data().length, "length " + values.length);
        for (int i = 0; i < values.length; i++) {
            a.data()[i] = values[i];
        }
        return a;
    }
}
