package org.lora4j.demo;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

import org.lora4j.LoraConfig;
import org.lora4j.Scaling;
import org.lora4j.analysis.ScaleStability;
import org.lora4j.demo.Adaptation.Method;
import org.lora4j.demo.Adaptation.Outcome;
import org.lora4j.demo.Adaptation.Plan;
import org.lora4j.device.Device;
import org.lora4j.init.Scale;

/** The main job: LoRA-GA against LoRA and full fine-tuning on digits, scale stability, and the cost of an adapter. */
public final class Main {
    /** The file of all results. */
    public static final String REPORT = "report.json";
    /** The file of the losses over the steps. */
    public static final String PICTURE = "convergence.png";

    private static final long SEED = 0;
    private static final int SAMPLES = 1024;
    private static final int[][] KERNELS = {{512, 4096, 4096, 16}, {2048, 768, 768, 8}, {32, 4096, 4096, 16}};
    private static final int ROUNDS = 15;
    private static final int SMOOTH = 5;
    private static final int[] SHOWN_STEPS = {10, 30, 60, 120};

    private final PrintStream out;
    private final Path folder;

    /**
     * A demonstration.
     *
     * @param out where it tells what it finds
     * @param folder where it writes {@link #REPORT} and {@link #PICTURE}
     */
    public Main(PrintStream out, Path folder) {
        this.out = out;
        this.folder = folder;
    }

    /** Runs the demonstration; takes no arguments. */
    public static void main(String[] args) throws IOException {
        try (Device device = Device.open()) {
            PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
            Path folder = Path.of("target", "demo");
            new Main(out, folder).run(device);
            out.printf("%nWrote %s and %s%n", folder.resolve(REPORT), folder.resolve(PICTURE));
        }
    }

    /** Runs the demonstration on a device. */
    public void run(Device device) throws IOException {
        Files.createDirectories(folder);
        out.println("Device: " + device.description());
        if (System.getenv("OPENBLAS_CORETYPE") != null) {
            out.println("Note: OPENBLAS_CORETYPE=" + System.getenv("OPENBLAS_CORETYPE")
                    + " is set in the environment; it may keep OpenBLAS from this processor's best kernels.");
        }
        Map<Method, List<Outcome>> outcomes;
        List<ScaleStability> stability = new ArrayList<>();
        List<KernelTiming> kernels = new ArrayList<>();
        int work = Plan.DEMONSTRATION.runs() + StabilityTable.SIZES.size() + KERNELS.length * ROUNDS;
        try (ProgressBar bar = new ProgressBarBuilder().setTaskName("lora4j").setInitialMax(work).setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(500).build()) {
            bar.setExtraMessage(" training");
            outcomes = new Adaptation(device, Plan.DEMONSTRATION, SEED, bar::step).run();
            bar.setExtraMessage(" scale stability");
            for (StabilityTable.Size s : StabilityTable.SIZES) {
                LoraConfig config = new LoraConfig(s.r(), Network.ALPHA, Scaling.RANK_STABILISED);
                stability.add(ScaleStability.measure(device, s.m(), s.n(), config, Scale.stable(), SAMPLES, SEED));
                bar.step();
            }
            bar.setExtraMessage(" kernels");
            for (int[] k : KERNELS) {
                kernels.add(KernelTiming.measure(device, k[0], k[1], k[2], k[3], ROUNDS, bar::step));
            }
        }
        Map<Method, Outcome> best = new LinkedHashMap<>();
        outcomes.forEach((method, tried) -> best.put(method, Adaptation.best(tried)));
        printLearningRates(outcomes);
        printConvergence(best);
        printStability(stability);
        printKernels(kernels);

        new Report(device.description(), device.library(), SEED, Map.of("full", best.get(Method.FULL), "lora", best.get(Method.LORA),
                "loraGa", best.get(Method.LORA_GA)), stability, kernels).write(folder.resolve(REPORT));
        Map<String, Outcome> curves = new LinkedHashMap<>();
        best.forEach((method, outcome) -> curves.put(name(method), outcome));
        ConvergencePlot.draw(curves, folder.resolve(PICTURE));
    }

    private void printLearningRates(Map<Method, List<Outcome>> outcomes) {
        out.printf("%nMean log-loss over %d steps and %d seeds, by learning rate (* the best)%n%n", Plan.DEMONSTRATION.steps(), Plan.DEMONSTRATION.seeds());
        out.printf("%-18s", "");
        for (double rate : Plan.DEMONSTRATION.learningRates()) {
            out.printf("%9.4g ", rate);
        }
        out.println();
        outcomes.forEach((method, tried) -> {
            Outcome best = Adaptation.best(tried);
            out.printf("%-18s", name(method));
            for (Outcome o : tried) {
                out.printf("%9.4f%s", o.meanLoss(), o == best ? "*" : " ");
            }
            boolean edge = best == tried.getFirst() || best == tried.getLast();
            out.println(edge ? "  the best is at the edge of the range tried: a better one may lie outside" : "");
        });
    }

    private void printConvergence(Map<Method, Outcome> best) {
        out.printf("%nDigits 0–4 adapt to 5–9: log-loss on the training digits, each method at its best learning rate%n%n");
        out.printf("%-18s%10s", "", "rate");
        for (int step : SHOWN_STEPS) {
            out.printf("%10s", "step " + step);
        }
        out.printf("%10s%12s%n", "accuracy", "alignment");
        best.forEach((method, o) -> {
            out.printf("%-18s%10.4g", name(method), o.learningRate());
            for (int step : SHOWN_STEPS) {
                out.printf("%10.4f", o.loss()[step - 1]);
            }
            out.printf("%9.1f%%%12.3f%n", 100 * o.accuracy(), o.firstStepAlignment());
        });
        double[] lora = best.get(Method.LORA).loss();
        double[] loraGa = best.get(Method.LORA_GA).loss();
        out.print("LoRA-GA's loss over LoRA's:");
        for (int step : SHOWN_STEPS) {
            out.printf(" %.2f after %d steps%s", loraGa[step - 1] / lora[step - 1], step, step == SHOWN_STEPS[SHOWN_STEPS.length - 1] ? ".\n" : ",");
        }
        out.println(comparison(loraGa, lora));
    }

    /** Where LoRA catches up, told of losses averaged over {@link #SMOOTH} steps, since single steps jump. */
    static String comparison(double[] loraGa, double[] lora) {
        int ahead = 0;
        int first = 0; // the first step at which LoRA is not behind after LoRA-GA has been ahead
        for (int i = SMOOTH - 1; i < lora.length; i++) {
            double difference = 0;
            for (int j = i - SMOOTH + 1; j <= i; j++) {
                difference += lora[j] - loraGa[j];
            }
            if (difference > 0) {
                ahead++;
            } else if (ahead > 0 && first == 0) {
                first = i + 1;
            }
        }
        String caught = first == 0 ? "LoRA doesn't catch up within these steps" : "LoRA first catches up at step " + first;
        return "Averaged over " + SMOOTH + " steps, " + caught + "; LoRA-GA is ahead at " + ahead + " of " + (lora.length - SMOOTH + 1) + " steps.";
    }

    private void printStability(List<ScaleStability> stability) {
        out.printf("%nScale stability of the LoRA-GA start (α = γ = 16, η = α/√r): second moments, measured and predicted%n%n");
        StabilityTable.rows(stability).forEach(out::println);
    }

    private void printKernels(List<KernelTiming> kernels) {
        out.printf("%nAn adapter beside the frozen products: medians of %d paired rounds, milliseconds%n", ROUNDS);
        out.printf("(in place: beside the same products in the layer's own buffers)%n%n");
        out.printf("%6s%6s%6s%4s%10s%10s%9s%9s%11s%10s%9s%9s%n", "b", "m", "n", "r", "X·Wᵀ", "forward", "adds", "in place", "dY·W", "backward",
                "both add", "in place");
        for (KernelTiming k : kernels) {
            out.printf("%6d%6d%6d%4d%10.3f%10.3f%+8.1f%%%+8.1f%%%11.3f%10.3f%+8.1f%%%+8.1f%%%n", k.b(), k.m(), k.n(), k.r(), k.frozenGemmMs(),
                    k.forwardMs(), 100 * (k.forwardRatio() - 1), 100 * (k.forwardRatioInPlace() - 1), k.frozenBackwardMs(), k.backwardMs(),
                    100 * (k.totalRatio() - 1), 100 * (k.totalRatioInPlace() - 1));
        }
    }

    private static String name(Method method) {
        return switch (method) {
            case FULL -> "full fine-tuning";
            case LORA -> "LoRA";
            case LORA_GA -> "LoRA-GA";
        };
    }
}
