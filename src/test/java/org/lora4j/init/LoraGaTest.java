package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.Types;
import org.lora4j.analysis.FirstOrderAlignment;
import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.gradient.FactoredGradient;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/** Oracles O1 and O2 of the gradient-aligned start, its optimality, its invariances and its reproducibility. */
class LoraGaTest extends DeviceTest {
    private static final int[][] SHAPES = {{2, 2, 1}, {13, 9, 2}, {9, 31, 4}, {33, 33, 16}, {64, 48, 8}};

    private LoraLinear layer(DataType type, int m, int n, int r, Scaling scaling, Reference w) {
        LoraLinear layer = new LoraLinear(device, new LoraConfig(r, 16, scaling), type, m, n, false, 1);
        try (Matrix on = w.on(device, type)) {
            layer.load(on);
        }
        return layer;
    }

    private Reference effective(LoraLinear layer) {
        try (Matrix out = device.allocate(layer.type(), layer.outFeatures(), layer.inFeatures())) {
            layer.effectiveWeight(out);
            return Reference.of(out);
        }
    }

    /** O1: W_fz + η·B0·A0 = W0, for every direction and scale; of 16 bits to the rounding of W_fz and of W'. */
    @ParameterizedTest
    @EnumSource(DataType.class)
    void theEffectiveWeightStaysW0(DataType type) {
        Scale[] scales = {Scale.stable(), new Scale.Forward(1), new Scale.Backward(1), new Scale.GradientDescent(), new Scale.Unit(), new Scale.WeightSvd()};
        for (int[] s : SHAPES) {
            Random random = new Random(3);
            Reference w = Reference.random(s[0], s[1], type, random);
            try (Matrix g = Reference.random(s[0], s[1], type, random).on(device, type)) {
                for (Direction direction : Direction.values()) {
                    for (Scale scale : scales) {
                        try (LoraLinear layer = layer(type, s[0], s[1], s[2], Scaling.RANK_STABILISED, w)) {
                            LoraGa.of(g).withDirection(direction).withScale(scale).initialize(layer);
                            Reference a = Reference.of(layer.loraA());
                            Reference b = Reference.of(layer.loraB());
                            double eta = layer.config().eta();
                            Reference once = w.magnitudes().plus(eta, b.magnitudes().times(a.magnitudes()));
                            Reference frozen = w.plus(-eta, b.times(a)).stored(type, s[2] + 1, once, Reference.zeros(s[0], s[1]));
                            // two roundings of a sum of r products and W0
                            w.assertClose(direction + " " + scale, effective(layer), type, s[2],
                                    w.magnitudes().plus(2 * eta, b.magnitudes().times(a.magnitudes())), frozen);
                        }
                    }
                }
            }
        }
    }

    /** O2: a small step of gradient descent moves W' by −λζ·G₂ᵣ, whose residual is Eckart and Young's optimum. */
    @ParameterizedTest
    @EnumSource(Scaling.class)
    void aSmallStepMovesTheWeightAlongTheBestApproximationOfTheGradient(Scaling scaling) {
        DataType type = DataType.FLOAT64;
        for (int[] s : SHAPES) {
            Random random = new Random(4);
            Reference w = Reference.random(s[0], s[1], type, random);
            Reference g = Reference.random(s[0], s[1], type, random);
            try (Matrix on = g.on(device, type); LoraLinear layer = layer(type, s[0], s[1], s[2], scaling, w);
                    SingularTriplets all = new ExactSvd().top(on, Math.min(s[0], s[1]), 0)) {
                Initialization start = LoraGa.of(on).initialize(layer);
                double eta = layer.config().eta();
                Reference a = Reference.of(layer.loraA());
                Reference b = Reference.of(layer.loraB());
                double lambda = 1e-9;
                layer.loraA().write(a.plus(-lambda * eta, b.transpose().times(g)).data()); // ∂L/∂A = η·Bᵀ·G
                layer.loraB().write(b.plus(-lambda * eta, g.times(a.transpose())).data()); // ∂L/∂B = η·G·Aᵀ
                Reference move = effective(layer).plus(-1, w).times(-1 / (lambda * start.zeta()));
                double optimum = FirstOrderAlignment.optimum(all.values(), 2 * s[2]);
                double residual = move.plus(-1, g).norm() / g.norm();
                assertEquals(optimum, residual, 1e-4, s[0] + "×" + s[1] + " r " + s[2]);
                assertEquals(eta * eta * start.scale() * start.scale(), start.zeta(), 1e-12 * start.zeta());
                assertEquals(optimum, FirstOrderAlignment.of(on, layerMatrix(a, type), layerMatrix(b, type)).residual(eta, start.zeta()), 1e-6);
            }
        }
    }

    private Matrix layerMatrix(Reference a, DataType type) {
        return a.on(device, type); // freed with the device
    }

    /** O2 in float32, by the first-order terms: the optimum to 1e-4. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theFirstOrderResidualIsTheOptimum(DataType type) {
        for (int[] s : SHAPES) {
            Random random = new Random(5);
            Reference w = Reference.random(s[0], s[1], type, random);
            try (Matrix g = Reference.random(s[0], s[1], type, random).on(device, type);
                    LoraLinear layer = layer(type, s[0], s[1], s[2], Scaling.STANDARD, w);
                    SingularTriplets all = new ExactSvd().top(g, Math.min(s[0], s[1]), 0)) {
                Initialization start = LoraGa.of(g).initialize(layer);
                FirstOrderAlignment alignment = FirstOrderAlignment.of(g, layer.loraA(), layer.loraB());
                double optimum = FirstOrderAlignment.optimum(all.values(), 2 * s[2]);
                // the residual is the root of a difference of sums of squares: near 0 its error is the root of theirs
                double root = Math.sqrt(64 * type.unitRoundoff() * Math.sqrt(s[0] + s[1]));
                assertEquals(optimum, alignment.residual(layer.config().eta(), start.zeta()), optimum > 0.1 ? 1e-4 : root);
                assertEquals(Math.sqrt(1 - optimum * optimum), alignment.cosine(), 1e-4);
            }
        }
    }

    /** On σᵢ = e^(−i/8) the paper's form reaches far more of the gradient than PEFT's, and plain LoRA little. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void thePapersFormIsBetterAlignedThanPeftsAndPlainLora(DataType type) {
        int size = 64;
        Random random = new Random(6);
        Reference w = Reference.random(size, size, type, random);
        Reference spectrum = Reference.zeros(size, size);
        for (int i = 0; i < size; i++) {
            spectrum.data()[i * size + i] = Math.exp(-i / 8.0);
        }
        try (Matrix u = Reference.random(size, size, type, random).on(device, type); Matrix v = Reference.random(size, size, type, random).on(device, type);
                Matrix r = device.allocate(type, size, size)) {
            device.qr(u, r);
            device.qr(v, r);
            try (Matrix g = Reference.of(u).times(spectrum).times(Reference.of(v).transpose()).on(device, type)) {
                double paper = alignment(LoraGa.of(g), g, w, type);
                double peft = alignment(PeftLoraGa.of(g), g, w, type);
                double plain = alignment(PlainLora.kaimingUniform(1), g, w, type);
                // σ² sums: the paper's D is G cut at 2r, cos = √(1 − e^(−2r/4)); 8 of 64 directions at random give about √(r/n)
                assertEquals(Math.sqrt((1 - Math.exp(-16 / 4.0)) / (1 - Math.exp(-size / 4.0))), paper, 1e-4);
                assertTrue(paper > peft + 0.05, paper + " and " + peft);
                assertTrue(peft > plain + 0.2, peft + " and " + plain);
            }
        }
    }

    private double alignment(Initializer initializer, Matrix g, Reference w, DataType type) {
        try (LoraLinear layer = layer(type, w.rows(), w.cols(), 8, Scaling.RANK_STABILISED, w)) {
            initializer.initialize(layer);
            return FirstOrderAlignment.of(g, layer.loraA(), layer.loraB()).cosine();
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void theScaleOfTheGradientDoesNotMatter(DataType type) {
        Random random = new Random(7);
        Reference w = Reference.random(20, 12, type, random);
        Reference g = Reference.random(20, 12, type, random);
        double[][] start = start(g, w, type);
        for (double scale : new double[] {0x1p-100, 0x1p+100}) {
            double[][] scaled = start(g.times(scale), w, type);
            assertArrayEquals(start[0], scaled[0], "A0 is the same to the bit for a power of two");
            assertArrayEquals(start[1], scaled[1], "B0 is the same to the bit for a power of two");
        }
        for (double scale : new double[] {1e-30, 1e+30}) { // the scaled gradient is rounded anew, so the vectors move by ε·σ₁/gap
            double[][] scaled = start(g.times(scale), w, type);
            assertArrayEquals(start[0], scaled[0], 200 * type.unitRoundoff());
            assertArrayEquals(start[1], scaled[1], 200 * type.unitRoundoff());
        }
    }

    private double[][] start(Reference g, Reference w, DataType type) {
        try (Matrix on = g.on(device, type); LoraLinear layer = layer(type, g.rows(), g.cols(), 2, Scaling.STANDARD, w)) {
            LoraGa.of(on).initialize(layer);
            return new double[][] {layer.loraA().read(), layer.loraB().read()};
        }
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void aGradientOfLowRankIsCompletedAndSaysSo(DataType type) {
        Random random = new Random(8);
        Reference w = Reference.random(30, 20, type, random);
        Reference g = Reference.random(30, 3, type, random).times(Reference.random(3, 20, type, random));
        try (Matrix on = g.on(device, type); LoraLinear layer = layer(type, 30, 20, 4, Scaling.STANDARD, w)) {
            Initialization start = LoraGa.of(on).withScale(new Scale.Unit()).withSeed(9).initialize(layer);
            assertTrue(start.basisCompleted());
            assertEquals(3, start.numericalRank());
            Reference a = Reference.of(layer.loraA());
            Reference b = Reference.of(layer.loraB());
            double tolerance = 400 * type.unitRoundoff();
            Reference.identity(4).assertNear("A0·A0ᵀ", a.times(a.transpose()), tolerance);
            Reference.identity(4).assertNear("B0ᵀ·B0", b.transpose().times(b), tolerance);
            g.assertNear("A0 spans the gradient's rows", g.times(a.transpose()).times(a), tolerance);
            assertTrue(b.transpose().times(g).norm() <= tolerance * g.norm(), "B0 is orthogonal to the gradient");
        }
    }

    @ParameterizedTest
    @EnumSource(Direction.class)
    void theSameSeedGivesTheSameStartAndDirectionsAreDisjoint(Direction direction) {
        for (int r : new int[] {1, 2, 7, 64}) {
            int[][] indices = direction.indices(r, 5);
            assertArrayEquals(indices, direction.indices(r, 5));
            int[] all = java.util.stream.IntStream.concat(java.util.stream.IntStream.of(indices[0]), java.util.stream.IntStream.of(indices[1])).sorted().toArray();
            assertArrayEquals(java.util.stream.IntStream.range(0, 2 * r).toArray(), all, "each of the 2r vectors once");
        }
        assertFalse(java.util.Arrays.deepEquals(Direction.RANDOM.indices(16, 1), Direction.RANDOM.indices(16, 2)));
    }

    @ParameterizedTest
    @EnumSource(DataType.class)
    void aSecondStartKeepsTheEffectiveWeightToo(DataType type) {
        Random random = new Random(10);
        Reference w = Reference.random(16, 16, type, random);
        try (Matrix g = Reference.random(16, 16, type, random).on(device, type); LoraLinear layer = layer(type, 16, 16, 4, Scaling.STANDARD, w)) {
            LoraGa.of(g).initialize(layer);
            PlainLora.gaussian(1).initialize(layer);
            double tolerance = 4 * 2 * type.unitRoundoff() * 3 * (1 + layer.config().eta() * 4); // three corrections of ‖η·B·A‖ = η·c²·√r
            w.assertNear("W'", effective(layer), tolerance);
            assertArrayEquals(new double[16 * 4], layer.loraB().read());
        }
    }

    /** A gradient that was never formed starts the layer as its matrix does. */
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void aFactoredGradientGivesTheStartOfItsMatrix(DataType type) {
        Random random = new Random(12);
        Reference w = Reference.random(30, 24, type, random);
        Reference x = Reference.random(9, 24, type, random);
        Reference dy = Reference.random(9, 30, type, random);
        try (FactoredGradient factored = new FactoredGradient(device, type, 30, 24, 9); Matrix xs = x.on(device, type); Matrix dys = dy.on(device, type);
                Matrix g = dy.transpose().times(x).on(device, type); LoraLinear one = layer(type, 30, 24, 3, Scaling.STANDARD, w);
                LoraLinear other = layer(type, 30, 24, 3, Scaling.STANDARD, w)) {
            factored.add(xs, dys);
            LoraGa.of(g).initialize(one);
            LoraGa.of(factored).initialize(other);
            double turn = 1000 * type.unitRoundoff(); // ε·σ₁ over gaps of a few per cent
            Reference.of(one.loraA()).assertNear("A0", Reference.of(other.loraA()), turn);
            Reference.of(one.loraB()).assertNear("B0", Reference.of(other.loraB()), turn);
        }
    }
}
