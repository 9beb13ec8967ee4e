package org.lora4j.cli;

import java.util.ArrayList;
import java.util.List;

import org.lora4j.LoraConfig;
import org.lora4j.analysis.ScaleStability;
import org.lora4j.demo.StabilityTable;
import org.lora4j.device.Device;
import org.lora4j.init.Scale;

import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;

/** Scale stability of the LoRA-GA start, measured and predicted. */
@Command(name = "stability", header = "Measure the scale stability of LoRA-GA starts.",
        description = {"Measures the second moments that a LoRA-GA start gives to output and input gradient, beside their closed form.",
        "A start is forward stable when E[y²] stays the same as m, n and r grow, and backward stable when E[dx²] does."},
        footer = {"  lora4j stability", "  lora4j stability --scaling standard 256x256x4 256x256x32", "  lora4j stability --gamma 64 --json"})
final class Stability extends Verb {
    private static final long LARGEST = 1L << 28; // elements of a matrix

    @Parameters(paramLabel = "MxNxR", arity = "0..*", converter = SizeOf.class, description = "Out features, in features and rank; by default eight that tell.")
    private List<StabilityTable.Size> sizes = List.of();

    @Option(names = "--alpha", paramLabel = "A", description = "α (default: 16).")
    private double alpha = 16;

    @Option(names = "--scaling", paramLabel = "KIND", description = "η: rslora (α/√r, the default) or standard (α/r).")
    private ScalingName scaling = ScalingName.RSLORA;

    @Option(names = "--gamma", paramLabel = "G", description = "γ of the stable scale (default: 16).")
    private double gamma = 16;

    @Option(names = "--samples", paramLabel = "S", description = "How many random rows are sent through (default: 1024).")
    private int samples = 1024;

    @Option(names = "--seed", paramLabel = "S", description = "Of the gradient and the rows (default: 0).")
    private long seed;

    @Mixin
    private DeviceChoice device;

    /** What is shown. */
    record Measured(String device, double alpha, String scaling, double gamma, int samples, long seed, List<ScaleStability> stability) {}

    /** Reads 512x256x16. */
    static final class SizeOf implements ITypeConverter<StabilityTable.Size> {
        @Override
        public StabilityTable.Size convert(String value) {
            if (!value.matches("[1-9][0-9]{0,5}x[1-9][0-9]{0,5}x[1-9][0-9]{0,5}")) {
                throw new TypeConversionException("'" + value + "' is no size as 512x256x16");
            }
            String[] numbers = value.split("x");
            return new StabilityTable.Size(Long.parseLong(numbers[0]), Long.parseLong(numbers[1]), Integer.parseInt(numbers[2]));
        }
    }

    @Override
    void run() throws BadInput {
        if (samples < 1) {
            throw new BadInput("--samples " + samples + ": it must be at least 1");
        }
        List<StabilityTable.Size> all = sizes.isEmpty() ? StabilityTable.SIZES : sizes;
        Scale scale = new Scale.Stable(gamma);
        for (StabilityTable.Size s : all) {
            if (Math.max(s.m() * s.n(), samples * Math.max(s.m(), s.n())) > LARGEST) {
                throw new BadInput(s.m() + "x" + s.n() + "x" + s.r() + " with " + samples + " samples: a matrix would have over " + LARGEST + " elements");
            }
        }
        List<ScaleStability> measured = new ArrayList<>();
        String description;
        try (Device opened = device.open(); Progress progress = Progress.start("stability", work(all), err())) {
            description = opened.description();
            for (StabilityTable.Size s : all) {
                LoraConfig config = new LoraConfig(s.r(), alpha, scaling.scaling());
                measured.add(ScaleStability.measure(opened, s.m(), s.n(), config, scale, samples, seed));
                progress.step(s.m() + "×" + s.n() + ", r " + s.r(), s.m() * s.n());
            }
        }
        show(new Measured(description, alpha, WordOf.word(scaling), gamma, samples, seed, measured), () -> {
            StabilityTable.rows(measured).forEach(out()::println);
        });
    }

    private static long work(List<StabilityTable.Size> sizes) {
        return sizes.stream().mapToLong(s -> s.m() * s.n()).sum();
    }
}
