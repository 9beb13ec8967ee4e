package org.lora4j.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Callable;

import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

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
        Machine machine = Machine.of(threads);
        Path target = Files.createDirectories(bench.resolve("target"));
        String mode = quick ? "quick" : gate ? "gate" : "full";
        file = target.resolve("session-" + mode + ".json");
        if (reportOnly) {
            if (!Files.isRegularFile(file)) {
                OUT.println("There is no run to report on: " + file + " is missing");
                return 1;
            }
            session = Session.read(file);
            report(machine, target, session.items.size());
            return 0;
        }
        session = Session.of(file, mode + ", " + machine + ", lora4j.jar " + Files.size(bench.resolve("../target/lora4j.jar")) + " "
                + Files.getLastModifiedTime(bench.resolve("../target/lora4j.jar")), Instant.now().toString(), fresh || gate);
        List<Item> items = quick ? Item.quick() : gate ? Item.gate() : Item.full();
        OUT.println("Machine class " + machine.name() + ": " + machine);
        if (!session.items.isEmpty()) {
            OUT.println("Going on with the run of " + session.date + ": " + session.items.size() + " of " + items.size() + " items are there; --fresh starts anew");
        }
        double seconds = quick || gate ? 4 : 8;
        int work = items.size() * (int) seconds + (gate ? 0 : points());
        boolean finished;
        try (ProgressBar bar = new ProgressBarBuilder().setTaskName("bench").setInitialMax(work).setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(1000).build()) {
            finished = items(items, seconds, machine, bar) && (gate || growth(bar, target));
        }
        session.seconds += (System.nanoTime() - started) / 1e9;
        session.finished = finished;
        session.save(file);
        if (!finished) {
            if (!gate && !session.items.isEmpty()) {
                report(machine, target, items.size());
            }
            OUT.println("Stopped after " + session.items.size() + " of " + items.size() + " items; start it again to go on");
            return STOPPED;
        }
        if (gate) {
            return gate(machine);
        }
        report(machine, target, items.size());
        return 0;
    }

    private boolean isTimeUp() {
        return (System.nanoTime() - started) / 1e9 > stopAfter;
    }

    private boolean items(List<Item> items, double seconds, Machine machine, ProgressBar bar) throws IOException {
        if (items.stream().allMatch(session::has)) {
            bar.stepBy((long) (seconds * items.size()));
            return true;
        }
        bar.setExtraMessage(" loading");
        try (Contenders contenders = new Contenders(session, threads, python, bench, Contenders.PEERS)) {
            session.absent.forEach((name, reason) -> OUT.println(System.lineSeparator() + "absent: " + name + ": " + reason));
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
                    session.items.add(PairedRun.measure(item, contenders.all(), session.seed ^ item.hashCode(), seconds, machine));
                    session.save(file);
                }
                bar.stepBy((long) seconds);
            }
            contenders.probe(threads);
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
