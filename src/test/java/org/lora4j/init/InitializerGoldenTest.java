package org.lora4j.init;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.Golden;
import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.Scaling;
import org.lora4j.Types;
import org.lora4j.device.DataType;
import org.lora4j.init.PeftLoraGa.PeftScale;
import org.lora4j.svd.ExactSvd;

import com.fasterxml.jackson.databind.JsonNode;

/** Every initialiser against what PEFT and the paper's formulas give in golden.json. */
class InitializerGoldenTest extends DeviceTest {
    private static final Map<String, Direction> DIRECTIONS = Map.of("ArB2r", Direction.AR_B2R, "A2rBr", Direction.A2R_BR, "ArBr", Direction.AR_BR,
            "random", Direction.RANDOM);

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void startsAreTheGoldenOnes(DataType type) {
        int compared = 0;
        for (JsonNode item : Golden.items("initialisers")) {
            if (!item.has("a0")) {
                continue; // the random ones, below
            }
            compared++;
            String name = item.get("name").textValue();
            Reference w = Golden.matrix(item, "weight");
            Reference a0 = Golden.matrix(item, "a0");
            Reference b0 = Golden.matrix(item, "b0");
            LoraConfig config = Golden.config(item);
            try (LoraLinear layer = new LoraLinear(device, config, type, w.rows(), w.cols(), false, 1)) {
                layer.load(w.on(device, type));
                Initialization start = initializer(item, type).initialize(layer);
                boolean single = type == DataType.FLOAT32 || item.get("precision").textValue().equals("float32");
                double roundoff = (single ? DataType.FLOAT32 : DataType.FLOAT64).unitRoundoff();
                // Vectors of σᵢ = 2⁻ⁱ up to i = 5 turn by a few ε·σ₁/gap, where σ₁/gap is at most 64.
                double tolerance = 8 * 2 * roundoff * 64;
                a0.assertNear(name + ": A0", Reference.of(layer.loraA()), tolerance);
                b0.assertNear(name + ": B0", Reference.of(layer.loraB()), tolerance);
                double shift = config.eta() * b0.norm() * a0.norm();
                Golden.matrix(item, "frozen").assertNear(name + ": W_fz", Reference.of(layer.weight()), tolerance * (1 + 2 * shift / w.norm()));
                if (item.get("method").textValue().equals("lora-ga")) {
                    assertEquals(item.get("options").get("c").doubleValue(), start.scale(), tolerance * start.scale(), name);
                    assertEquals(item.get("options").get("zeta").doubleValue(), start.zeta(), 2 * tolerance * start.zeta(), name);
                }
                Reference ba = b0.times(a0).times(config.eta());
                assertEquals(ba.dot(ba) / w.rows(), start.forwardMoment(), 8 * tolerance * start.forwardMoment(), name);
                assertEquals(ba.dot(ba) / w.cols(), start.backwardMoment(), 8 * tolerance * start.backwardMoment(), name);
            }
        }
        assertEquals(32, compared);
    }

    private Initializer initializer(JsonNode item, DataType type) {
        JsonNode options = item.get("options");
        return switch (item.get("method").textValue()) {
            case "lora-ga" -> LoraGa.of(Golden.matrix(item, "gradient").on(device, type))
                    .withDirection(DIRECTIONS.get(options.get("direction").textValue())).withScale(scale(options));
            case "peft-lora-ga" -> new PeftLoraGa(Golden.matrix(item, "gradient").on(device, type),
                    DIRECTIONS.get(options.get("direction").textValue()),
                    PeftScale.valueOf(options.get("scale").textValue().toUpperCase(java.util.Locale.ROOT)), options.path("gamma").asDouble(16), seed(item), new ExactSvd());
            case "pissa" -> new Pissa();
            case "olora" -> new Olora();
            case "prefilled" -> new PreFilled(Golden.matrix(item, "a0").on(device, type), Golden.matrix(item, "b0").on(device, type));
            default -> throw new IllegalStateException("unknown method in " + item.get("name"));
        };
    }

    private static Scale scale(JsonNode options) {
        return switch (options.get("scale").textValue()) {
            case "stable" -> new Scale.Stable(options.get("gamma").doubleValue());
            case "gd" -> new Scale.GradientDescent();
            case "unit" -> new Scale.Unit();
            case "weight-svd" -> new Scale.WeightSvd();
            case "zeta-forward" -> new Scale.Forward(options.get("v").doubleValue());
            case "zeta-backward" -> new Scale.Backward(options.get("v").doubleValue());
            default -> throw new IllegalStateException("unknown scale in " + options);
        };
    }

    /** A seed whose random permutation starts as PEFT's did. */
    private static long seed(JsonNode item) {
        int r = item.get("r").intValue();
        int[] wanted = IntStream.range(0, r).map(i -> item.get("indicesA").get(i).intValue()).toArray();
        return LongStream.range(0, 10_000).filter(s -> Arrays.equals(wanted, Direction.RANDOM.indices(r, s)[0])).findFirst().orElse(0);
    }

    /** The distribution of A, B = 0, and the same numbers from the same seed. */
    @Test
    void plainLoraHasPeftsDistributions() {
        for (JsonNode item : Golden.items("initialisers")) {
            if (item.has("a0")) {
                continue;
            }
            boolean kaiming = item.get("method").textValue().equals("kaiming");
            int m = item.get("m").intValue();
            int n = item.get("n").intValue();
            int r = item.get("r").intValue();
            double[] values = new double[0];
            int seeds = 20;
            for (int seed = 0; seed < seeds; seed++) {
                double[] a = plain(kaiming, seed, m, n, r);
                assertArrayEquals(a, plain(kaiming, seed, m, n, r), "the same seed");
                values = Arrays.copyOf(values, values.length + a.length);
                System.arraycopy(a, 0, values, values.length - a.length, a.length);
            }
            double variance = Arrays.stream(values).map(x -> x * x).average().orElseThrow();
            // The sample variance of N numbers of kurtosis κ deviates by √((κ − 1)/N): κ = 9/5 uniform, 3 normal.
            double deviation = Math.sqrt((kaiming ? 0.8 : 2.0) / values.length);
            double expected = kaiming ? Math.pow(item.get("bound").doubleValue(), 2) / 3 : Math.pow(item.get("standardDeviation").doubleValue(), 2);
            assertEquals(1, variance / expected, 5 * deviation);
            assertEquals(1, item.get("variance").doubleValue() / expected, 5 * deviation, "PEFT's own numbers");
            if (kaiming) {
                double bound = item.get("bound").doubleValue();
                double largest = Arrays.stream(values).map(Math::abs).max().orElseThrow();
                assertTrue(largest <= bound && largest > 0.999 * bound, largest + " and " + bound);
            }
        }
    }

    private double[] plain(boolean kaiming, long seed, int m, int n, int r) {
        try (LoraLinear layer = new LoraLinear(device, new LoraConfig(r, 16, Scaling.STANDARD), DataType.FLOAT32, m, n, false, 1)) {
            (kaiming ? PlainLora.kaimingUniform(seed) : PlainLora.gaussian(seed)).initialize(layer);
            assertArrayEquals(new double[m * r], layer.loraB().read());
            return layer.loraA().read();
        }
    }
}
