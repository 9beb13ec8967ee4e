package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.Random;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Types;
import org.lora4j.gradient.FactoredGradient;
import org.lora4j.gradient.GradientSketch;
import org.lora4j.svd.BlockKrylovSvd;
import org.lora4j.svd.ExactSvd;

/** Whatever factorises refuses 16 bits, by its own name and with what it takes, before anything is done. */
class NarrowRefusalTest extends DeviceTest {
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void factorisations(DataType type) {
        Matrix a = device.allocate(type, 3, 3);
        Matrix b = device.allocate(type, 3, 3);
        Matrix c = device.allocate(type, 3, 3);
        Matrix row = device.allocate(type, 1, 3);
        refuse(type, Map.of("svd", () -> device.svd(a, b, row, c), "qr", () -> device.qr(a, b), "cholesky", () -> device.cholesky(a),
                "symmetricEigen", () -> device.symmetricEigen(a, row),
                "triangularSolve", () -> device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, a, b)));
    }

    /** Also where only one operand has 16 bits. */
    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void factorisationsIntoAnotherType(DataType type) {
        Matrix wide = device.allocate(DataType.FLOAT32, 3, 3);
        Matrix narrow = device.allocate(type, 3, 3);
        Matrix row = device.allocate(type, 1, 3);
        refuse(type, Map.of("qr", () -> device.qr(wide, narrow), "symmetricEigen", () -> device.symmetricEigen(wide, row),
                "triangularSolve", () -> device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, wide, narrow)));
    }

    @ParameterizedTest
    @MethodSource(Types.NARROW)
    void singularVectorsAndWhatIsKeptForThem(DataType type) {
        try (Matrix g = Reference.random(100, 100, type, new Random(1)).on(device, type)) {
            refuse(type, Map.of("triplets", () -> new ExactSvd().top(g, 4, 0).close()));
            refuse(type, Map.of("triplets", () -> new BlockKrylovSvd().top(g, 4, 0).close(), "sketch", () -> new GradientSketch(device, type, 100, 100, 16, 0).close(),
                    "factored", () -> new FactoredGradient(device, type, 100, 100, 10).close()));
        }
    }

    private void refuse(DataType type, Map<String, Runnable> calls) {
        calls.forEach((name, call) -> {
            Counters before = device.counters();
            String message = assertThrows(IllegalArgumentException.class, call::run, name).getMessage();
            assertTrue(message.contains(name) && message.contains(type.toString()) && message.contains("FLOAT32"), name + ": " + message);
            assertEquals(before.calls(), device.counters().calls(), name + ": a refused call is not counted");
            assertEquals(before.currentBytes(), device.counters().currentBytes(), name);
        });
    }
}
