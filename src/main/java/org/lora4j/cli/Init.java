package org.lora4j.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

import org.lora4j.LoraConfig;
import org.lora4j.device.Device;
import org.lora4j.init.LayerMethod;
import org.lora4j.init.LoraGa;
import org.lora4j.init.ModelInitializer;
import org.lora4j.init.ModelReport;
import org.lora4j.init.Olora;
import org.lora4j.init.Pissa;
import org.lora4j.init.PlainLora;
import org.lora4j.init.Scale;
import org.lora4j.io.PeftConfig;
import org.lora4j.io.PeftExport;
import org.lora4j.io.SafeTensors;
import org.lora4j.svd.BlockKrylovSvd;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.TopSvd;

import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Starts of adapters, from weights and gradients to a folder that PEFT loads. */
@Command(name = "init", header = "Start adapters from weights and gradients.",
        description = {"Initialises an adapter for each weight matrix that has a gradient and writes adapter_config.json,"
        + " adapter_model.safetensors and, with the start taken out of the weights, base.safetensors. One layer is in memory at a time."}, footer = {
                "  lora4j init --weights model.safetensors --gradients grads.safetensors \\",
                "      --rank 16 --alpha 16 --out start",
                "  lora4j init --weights model.safetensors.index.json \\",
                "      --gradients grads.safetensors --rank 32 --alpha 16 --max-shift 0.1 \\",
                "      --target '.*\\.(q|k|v|o)_proj' --out start --report report.json",
                "  lora4j init --weights model.safetensors --method pissa \\",
                "      --target '.*query' --rank 8 --alpha 8 --out start"})
final class Init extends Verb {
    @Option(names = "--weights", order = 1, required = true, paramLabel = "FILE|INDEX|DIR",
            description = "The model: a safetensors file, the index of several, or the folder of either.")
    private Path weights;

    @Option(names = "--gradients", order = 2, paramLabel = "FILE",
            description = "The gradients, tensors of the weights' names. Those of two dimensions named <module>.weight are used.")
    private Path gradients;

    @Option(names = "--rank", order = 3, required = true, paramLabel = "R", description = "The rank of the adapters.")
    private int rank;

    @Option(names = "--alpha", order = 4, required = true, paramLabel = "A", description = "α of their scale η.")
    private double alpha;

    @Option(names = "--out", order = 5, required = true, paramLabel = "DIR", description = "The folder to write.")
    private Path target;

    @Option(names = "--scaling", order = 10, paramLabel = "KIND", description = "η: rslora (α/√r, the default) or standard (α/r).")
    private ScalingName scaling = ScalingName.RSLORA;

    @ArgGroup(exclusive = true, order = 11)
    private Size size;

    @Option(names = "--method", order = 12, paramLabel = "METHOD", description = "lora-ga (the default), lora, pissa or olora; only lora-ga needs gradients.")
    private Method method = Method.LORA_GA;

    @Option(names = "--svd", order = 13, paramLabel = "SVD", description = "How singular vectors are found: krylov (the default) or exact.")
    private Svd svd = Svd.KRYLOV;

    @Option(names = "--target", order = 14, paramLabel = "REGEX", converter = RegexOf.class,
            description = "Only modules whose whole name this Java regular expression matches.")
    private Pattern pattern;

    @Option(names = "--seed", order = 15, paramLabel = "S", description = "Of what is random (default: 0); each layer's own seed comes from it and its name.")
    private long seed;

    @Option(names = "--report", order = 16, paramLabel = "FILE", description = "Write what was measured of each matrix, as JSON.")
    private Path report;

    @Option(names = "--force", order = 17, description = "Overwrite an adapter and a report that are there.")
    private boolean force;

    @Mixin
    private DeviceChoice device;

    /** How large the LoRA-GA start is. */
    static final class Size {
        @Option(names = "--gamma", order = 11, paramLabel = "G", description = "Of lora-ga: γ of the stable scale (default: 16).")
        private Double gamma;

        @Option(names = "--max-shift", order = 11, paramLabel = "F",
                description = "Of lora-ga: the stable scale with γ = 16, smaller where more than this fraction of a weight's norm would move into the adapter.")
        private Double fraction;

        Scale scale() {
            return gamma != null ? new Scale.Stable(gamma) : new Scale.MaxShift(fraction);
        }
    }

    enum Method {
        LORA_GA, LORA, PISSA, OLORA
    }

    enum Svd {
        KRYLOV, EXACT
    }

    static final class RegexOf implements ITypeConverter<Pattern> {
        @Override
        public Pattern convert(String value) {
            try {
                return Pattern.compile(value);
            } catch (PatternSyntaxException e) {
                throw new TypeConversionException("'" + value + "': " + e.getDescription() + " at character " + e.getIndex());
            }
        }
    }

    @Override
    void run() throws Exception {
        long begin = System.nanoTime();
        LoraConfig config = new LoraConfig(rank, alpha, scaling.scaling());
        LayerMethod layerMethod = layerMethod();
        checkOptions();
        try (SafeTensors model = SafeTensors.open(weights); SafeTensors known = gradients == null ? null : SafeTensors.open(gradients)) {
            List<Target> targets = Target.choose(model, known, pattern);
            checkRank(targets);
            InitReport done;
            try (Staging staging = Staging.create(target); Device opened = device.open()) {
                done = initialise(targets, config, layerMethod, opened, staging.folder(), begin);
                staging.commitFolder(Staging.ADAPTER);
            }
            if (report != null) {
                try (Staging staging = Staging.create(report)) {
                    Files.writeString(staging.file(), json(done) + "\n");
                    staging.commitFile();
                }
            }
            show(done, () -> print(done));
        }
    }

    private void checkOptions() throws BadInput, IOException {
        if (method == Method.LORA_GA && gradients == null) {
            throw new BadInput("--gradients is missing; only --method lora, pissa and olora do without");
        }
        if (gradients == null && pattern == null) {
            throw new BadInput("--gradients and --target are missing; one of them must say which modules get an adapter");
        }
        if (method != Method.LORA_GA && size != null) {
            throw new BadInput("--gamma and --max-shift are of --method lora-ga; this is " + WordOf.word(method));
        }
        Staging.checkFolder(target, force);
        if (report != null) {
            Staging.checkFile(report, force);
        }
    }

    private void checkRank(List<Target> targets) throws BadInput {
        for (Target t : targets) {
            long vectors = method == Method.LORA_GA ? 2L * rank : rank;
            long most = Math.min(t.rows(), t.cols());
            if (method != Method.LORA && vectors > most) {
                throw new BadInput("--rank " + rank + ": " + WordOf.word(method) + " takes " + vectors + " vectors, but " + t.weight() + " has " + most
                        + "; the rank must be at most " + most * rank / vectors + ", or --target must leave it out");
            }
        }
    }

    private LayerMethod layerMethod() {
        TopSvd top = svd == Svd.EXACT ? new ExactSvd() : new BlockKrylovSvd();
        Scale scale = size == null ? Scale.stable() : size.scale();
        return (layer, gradient, layerSeed) -> switch (method) {
            case LORA_GA -> LoraGa.of(gradient).withScale(scale).withSeed(layerSeed).withSvd(top);
            case LORA -> PlainLora.kaimingUniform(layerSeed);
            case PISSA -> new Pissa(layerSeed, top);
            case OLORA -> new Olora();
        };
    }

    private InitReport initialise(List<Target> targets, LoraConfig config, LayerMethod layerMethod, Device opened, Path folder, long begin) throws IOException {
        boolean takenOut = method != Method.LORA; // B0 = 0 takes nothing out of the weight
        long elements = targets.stream().mapToLong(t -> t.rows() * t.cols()).sum();
        List<InitReport.Row> rows = new ArrayList<>();
        PeftExport export = new PeftExport(PeftConfig.standard());
        ModelReport started;
        try (Progress progress = Progress.start("init", (takenOut ? 3 : 1) * elements, err())) {
            ModelInitializer initializer = ModelInitializer.of(opened, layerMethod).withSeed(seed);
            List<AdapterStart> starts = new ArrayList<>();
            started = (gradients == null ? initializer : initializer.withAlignment())
                    .initialize(targets.stream().map(t -> t.layer(config)).toList(), start -> {
                        Target t = targets.get(start.index());
                        starts.add(AdapterStart.of(t, start));
                        rows.add(InitReport.Row.of(start));
                        progress.step(t.module(), t.rows() * t.cols());
                    });
            for (AdapterStart start : starts) {
                if (takenOut) {
                    export.add(start.module(), start.frozenWeight(opened, progress));
                } else {
                    export.add(start.module());
                }
            }
            export.write(folder);
        }
        double seconds = (System.nanoTime() - begin) * 1e-9;
        return InitReport.of(rows, seconds, opened.counters().peakBytes() + started.peakHostBytes());
    }

    private void print(InitReport done) {
        List<InitReport.Row> rows = done.matrices();
        out().println(String.format(Locale.ROOT, "Wrote %s: %d matrices, rank %d, %s; singular vectors %.3f s, in all %.2f s", target, rows.size(), rank, WordOf.word(method),
                done.totals().svdSeconds(), done.totals().seconds()));
        if (rows.getFirst().alignment() != null) {
            out().println(String.format(Locale.ROOT, "alignment of the first step with the gradient: %.4f to %.4f",
                    rows.stream().mapToDouble(InitReport.Row::alignment).min().orElseThrow(), rows.stream().mapToDouble(InitReport.Row::alignment).max().orElseThrow()));
        }
    }
}
