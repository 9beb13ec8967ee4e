package org.lora4j.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;

import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The command {@code bench/run}. */
@Command(name = "bench/run", mixinStandardHelpOptions = true, sortOptions = false, description = {
    "Measures lora4j against ND4J, PyTorch through DJL and PEFT, and against the limit of the machine.",
    "Without options: everything, about half an hour on two cores; writes bench/RESULTS.md, bench/pictures and bench/target/results.json.",
    "A run that was stopped goes on where it was when it is started again.", ""},
        exitCodeListHeading = "%nExit codes:%n", exitCodeList = {"0:done", "1:failed, or a regression", "2:bad usage", "3:stopped by --stop-after; start it again"})
public final class Main implements Callable<Integer> {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final int STOPPED = 3;
    private static final int PROBE_EVERY = 6;

    @Option(names = "--quick", description = "One item of each kind, less than three minutes; the report goes to bench/target/quick.")
    private boolean quick;
    @Option(names = "--gate", description = "Compare counters, exactly, and ratios with bench/baseline/<machine class>.json; exit 1 on a regression.")
    private boolean gate;
    @Option(names = "--svd", description = "Leading singular triplets against torch.svd_lowrank, and power steps, instead of all else; eight minutes; writes bench/SVD.md and bench/target/svd.json.")
    private boolean svd;
    @Option(names = "--gradients", paramLabel = "FOLDER", description = "With --svd: a folder of files *-grads.safetensors; all their tensors are decomposed too.")
    private Path gradients;
    @Option(names = "--write-baseline", description = "With --gate: make this run part of the baseline instead; its intervals grow to hold it.")
    private boolean writeBaseline;
    @Option(names = "--fresh", description = "Forget what a stopped run has found.")
    private boolean fresh;
    @Option(names = "--report", description = "Measure nothing: write the report of the last run again, with bench/notes.md as it is now.")
    private boolean reportOnly;
    @Option(names = "--stop-after", paramLabel = "SECONDS", description = "Stop after the item that ends then; the next run goes on.")
    private double stopAfter = Double.POSITIVE_INFINITY;
    @Option(names = "--threads", description = "Threads for everything; by default one for each processor.")
    private int threads = Runtime.getRuntime().availableProcessors();
    @Option(names = "--python", description = "A Python that has torch and peft; by default LORA4J_BENCH_PYTHON, then python3.")
    private String python;
    @Option(names = "--folder", hidden = true)
    private Path bench = Path.of("bench");
    @Spec
    private CommandSpec spec;

    private final long started = System.nanoTime();
    private Session session;
    private Path file;

    /** Runs the command and ends the process. */
    public static void main(String[] args) {
        int code = new CommandLine(new Main()).execute(args);
        System.out.flush();
        System.err.flush();
        Runtime.getRuntime().halt(code); // not by way of the peers' shutdown hooks
    }

    @Override
    public Integer call() throws IOException {
        checkOptions();
        Machine machine = Machine.of(threads);
        Path target = Files.createDirectories(bench.resolve("target"));
        String mode = (svd ? "svd-" : "") + (quick ? "quick" : gate ? "gate" : "full");
        file = target.resolve("session-" + mode + ".json");
        if (reportOnly) {
            if (!Files.isRegularFile(file)) {
                OUT.println("There is no run to report on: " + file + " is missing");
                return 1;
            }
            session = Session.read(file);
            report(machine, target, session.items.size() + session.svd.size());
            return 0;
        }
        session = Session.of(file, mode + (gradients == null ? "" : " " + gradients) + ", " + machine + ", lora4j.jar " + Files.size(bench.resolve("../target/lora4j.jar")) + " "
                + Files.getLastModifiedTime(bench.resolve("../target/lora4j.jar")), Instant.now().toString(), fresh || gate);
        List<Item> items = svd ? Item.kernels(quick) : quick ? Item.quick() : gate ? Item.gate() : Item.full();
        List<SvdItem> decompositions = !svd ? List.of() : quick ? SvdItem.quick(gradients != null) : SvdItem.all(gradients != null);
        int asked = items.size() + decompositions.size();
        OUT.println("Machine class " + machine.name() + ": " + machine);
        if (there() > 0) {
            OUT.println("Going on with the run of " + session.date + ": " + there() + " of " + asked + " items are there; --fresh starts anew");
        }
        double seconds = quick ? 4 : gate ? 10 : 8; // intervals of seven rounds hold a regression of a factor of two
        int work = (items.stream().mapToInt(this::weight).sum() + decompositions.size()) * (int) seconds + (gate || svd ? 0 : points());
        boolean finished;
        try (ProgressBar bar = new ProgressBarBuilder().setTaskName("bench").setInitialMax(work).setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(1000).build()) {
            finished = items(decompositions, items, seconds, machine, bar) && (gate || svd || growth(bar, target));
        }
        session.seconds += (System.nanoTime() - started) / 1e9;
        session.finished = finished;
        session.save(file);
        if (!finished) {
            if (!gate && there() > 0) {
                report(machine, target, asked);
            }
            OUT.println("Stopped after " + there() + " of " + asked + " items; start it again to go on");
            return STOPPED;
        }
        if (gate) {
            return gate(machine);
        }
        report(machine, target, asked);
        return 0;
    }

    private void checkOptions() throws IOException {
        if (svd && gate) {
            throw new ParameterException(spec.commandLine(), "--svd and --gate exclude each other: the gate compares works of a layer");
        }
        if (gradients != null && !svd) {
            throw new ParameterException(spec.commandLine(), "--gradients is for --svd");
        }
        if (gradients != null && (!Files.isDirectory(gradients) || Gradient.files(gradients).isEmpty())) {
            throw new ParameterException(spec.commandLine(), "--gradients " + gradients + ": no folder with files *-grads.safetensors");
        }
    }

    /** How many items have been measured. */
    private int there() {
        return session.items.size() + session.svd.size();
    }

    private boolean isTimeUp() {
        return (System.nanoTime() - started) / 1e9 > stopAfter;
    }

    private boolean items(List<SvdItem> decompositions, List<Item> items, double seconds, Machine machine, ProgressBar bar) throws IOException {
        if (items.stream().allMatch(session::has) && decompositions.stream().allMatch(session::has)) {
            bar.stepBy((long) (seconds * (items.stream().mapToInt(this::weight).sum() + decompositions.size())));
            return true;
        }
        bar.setExtraMessage(" loading");
        try (Contenders contenders = new Contenders(session, threads, python, bench, svd ? Set.of("peft") : Contenders.PEERS)) {
            session.absent.forEach((name, reason) -> OUT.println(System.lineSeparator() + "absent: " + name + ": " + reason));
            if (!decompositions.isEmpty()) {
                contenders.probe(threads); // the report needs the ceilings even of a run that is stopped
            }
            if (!decompositions(decompositions, contenders, seconds, bar)) {
                return false;
            }
            int since = 0;
            for (Item item : items) {
                if (!session.has(item)) {
                    if (isTimeUp()) {
                        return false;
                    }
                    bar.setExtraMessage(" " + item);
                    if (since++ % PROBE_EVERY == 0) {
                        contenders.probe(threads);
                    }
                    session.items.add(PairedRun.measure(item, contenders.all(), session.seed ^ item.hashCode(), seconds, decides() ? item::isUndecided : (name, ratio) -> false, machine));
                    session.save(file);
                }
                bar.stepBy(weight(item) * (long) seconds);
            }
            contenders.probe(threads);
        }
        return true;
    }

    /** Whether what does not yet show whether it reaches what is asked takes more rounds. */
    private boolean decides() {
        return !quick && !gate;
    }

    /** How much longer than another it may take, for the progress bar: as if all that is beside what must be reached were undecided. */
    private int weight(Item item) {
        return decides() && item.work() != Work.INIT ? 4 : 1;
    }

    private boolean decompositions(List<SvdItem> items, Contenders contenders, double seconds, ProgressBar bar) throws IOException {
        SvdRun run = new SvdRun(contenders, gradients, session.seed);
        for (SvdItem item : items) {
            if (!session.has(item)) {
                if (isTimeUp()) {
                    return false;
                }
                bar.setExtraMessage(" " + item);
                session.svd.add(run.measure(item, decides()));
                session.save(file);
            }
            bar.stepBy((long) seconds);
        }
        return true;
    }

    private int points() {
        return Growth.Axis.ALL.stream().mapToInt(axis -> axis.works().size() * (quick ? axis.quickValues() : axis.values()).length).sum();
    }

    private boolean growth(ProgressBar bar, Path target) throws IOException {
        for (Growth.Axis axis : Growth.Axis.ALL) {
            for (String work : axis.works()) {
                for (int value : quick ? axis.quickValues() : axis.values()) {
                    Growth growth = session.growth(axis.name(), work);
                    if (growth.points().stream().noneMatch(point -> point.value() == value)) {
                        if (isTimeUp()) {
                            return false;
                        }
                        bar.setExtraMessage(" " + work + ", " + axis.name() + " " + value);
                        session.put(growth.with(Growth.measure(axis, work, value, target.resolve("jmh.log"))));
                        session.save(file);
                    }
                    bar.step();
                }
            }
        }
        return true;
    }

    private void report(Machine machine, Path target, int asked) throws IOException {
        Path folder = quick ? Files.createDirectories(target.resolve("quick")) : bench;
        if (svd) {
            Path page = folder.resolve("SVD.md");
            Path results = (quick ? folder : target).resolve("svd.json");
            Results.write(session, machine, results);
            SvdReport.write(session, machine, "bench/run --svd" + (quick ? " --quick" : "") + (session.hasGiven() ? " --gradients FOLDER" : ""), asked, page);
            OUT.printf("%nWrote %s and %s after %.0f s%n", page, results, session.seconds);
            return;
        }
        Results.write(session, machine, (quick ? folder : target).resolve("results.json"));
        List<String> pictures = Pictures.draw(session, folder.resolve("pictures"));
        Report.write(session, machine, "bench/run" + (quick ? " --quick" : ""), asked, pictures, bench.resolve("notes.md"), folder.resolve("RESULTS.md"));
        OUT.printf("%nWrote %s, %s and %s after %.0f s%n", folder.resolve("RESULTS.md"), folder.resolve("pictures"),
                (quick ? folder : target).resolve("results.json"), session.seconds);
    }

    private int gate(Machine machine) throws IOException {
        Path baseline = bench.resolve("baseline").resolve(machine.name() + ".json");
        List<Gate.Ratio> now = Gate.ratios(session.items);
        if (writeBaseline) {
            Gate.write(baseline, Gate.widened(Gate.read(baseline), now));
            OUT.println("Wrote " + baseline);
            return 0;
        }
        if (!Files.isRegularFile(baseline)) {
            OUT.println("NOTHING WAS COMPARED: there is no " + baseline + ". bench/run --gate --write-baseline, three times or more, makes it; then commit it.");
            return 0;
        }
        Gate.Verdict verdict = Gate.compare(Gate.read(baseline), now);
        verdict.missing().forEach(missing -> OUT.println("not measured here: " + missing));
        verdict.regressions().forEach(regression -> OUT.println("REGRESSION " + regression));
        OUT.printf("%d ratios compared with %s, %d regressions%n", verdict.compared(), baseline, verdict.regressions().size());
        return verdict.regressions().isEmpty() && verdict.compared() > 0 ? 0 : 1;
    }
}
