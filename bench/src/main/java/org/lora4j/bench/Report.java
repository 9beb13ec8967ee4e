package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;

import org.lora4j.bench.Lora4jContender.Form;

/** The results for people: RESULTS.md with its tables; at its end what a person has found out about them, notes.md. */
final class Report extends Page {
    private static final String[] COLUMNS = {"nd4j", "nd4j usual", "djl", "djl usual", "peft"};

    private Report(Session session) {
        super(session);
    }

    static void write(Session session, Machine machine, String command, int asked, List<String> pictures, Path notes, Path file) throws IOException {
        Report report = new Report(session);
        report.head("Results", machine, command,
                "%d of %d items, and %d lines of growth, are there".formatted(session.items.size(), asked, session.growth.size()));
        report.method();
        report.goals();
        report.works();
        report.overheads();
        report.starts();
        report.growths();
        report.line("");
        pictures.stream().filter(name -> !name.isEmpty()).forEach(name -> report.line("![" + name.replace(".png", "") + "](pictures/" + name + ")"));
        report.line("");
        report.text.append(Files.readString(notes));
        Files.writeString(file, report.text);
    }

    private void method() {
        line("Every ratio is the other's time over this library's, measured in turns within one round; given is the median of the rounds' ratios and, in "
                + "brackets, an interval that holds the true median with 95 % probability (order statistics; for what takes over 3 s a call, three rounds and "
                + "their extremes). All have the same threads, float32 and the same fresh random inputs, and every result was verified against sums in float64 "
                + "before it was timed. Between turns the bench waits until the spinning threads of the one before sleep. `OPENBLAS_CORETYPE` is removed from "
                + "the environment, for all, and names the widest kernels while ND4J loads its OpenBLAS, which knows no processor newer than itself. ND4J is "
                + "loaded first, so each of the two OpenBLAS libraries serves its own. *usual* is what users write (a new array for each result; recorded "
                + "gradients), the plain name the best form known.");
        line("");
        line("The limit is the larger of operations over the square product's rate and bytes over the reading rate; what each work counts is in `Work.java`. "
                + "A square product by this library takes turns with what is arithmetic, and reading memory with what waits for that: the rates are then those of the same rounds.");
    }

    // ---- goals

    private void goals() {
        line("");
        line("## What must be reached");
        line("");
        line("| against | must reach | measured | |");
        line("|---|---|---|---|");
        Predicate<Measured> pass = x -> x.item().work() == Work.FORWARD_BACKWARD;
        Predicate<Measured> noStart = x -> x.item().work() != Work.INIT;
        goal("PEFT, forward + backward", "peft", pass, 1.0, 1.15);
        goal("PyTorch through DJL (best form)", "djl", noStart, 1.0, 1.15);
        goal("PyTorch through DJL (usual form)", "djl usual", noStart, 1.0, 1.15);
        goal("ND4J (best form), all works", "nd4j", x -> true, 0, 1.5);
        goal("ND4J (best form), without the starts", "nd4j", noStart, 0, 1.5);
        goal("ND4J (usual form)", "nd4j usual", noStart, 0, 2);
        goal("ND4J's SVD at 1024²", "nd4j", x -> x.item().work() == Work.INIT && x.item().m() == 1024, 0, 100);
        goal("PEFT's svd_lowrank", "peft", x -> x.item().work() == Work.INIT, 0, 3);
        overheadGoal(Work.FORWARD);
        overheadGoal(Work.FORWARD_BACKWARD);
        List<Measured> bound = session.items.stream().filter(x -> x.item().work().isPass() && x.isComputeBound(gflops, gbs)).toList();
        if (!bound.isEmpty()) {
            double least = bound.stream().mapToDouble(x -> x.percentOfLimit(gflops, gbs)).min().orElseThrow();
            line("| GEMM-bound items | at least %.0f %% of the limit | %d of %d; least %.0f %% | %s |", Item.LEAST_PERCENT,
                    bound.stream().filter(x -> x.percentOfLimit(gflops, gbs) >= Item.LEAST_PERCENT).count(), bound.size(), least,
                    word(least >= Item.LEAST_PERCENT, bound, SquareProduct.NAME));
        }
    }

    private void goal(String name, String peer, Predicate<Measured> which, double least, double mean) {
        List<Measured> beside = session.items.stream().filter(which).filter(x -> x.ratios().containsKey(peer)).toList();
        double[] ratios = beside.stream().mapToDouble(x -> x.ratios().get(peer).median()).toArray();
        if (ratios.length == 0) {
            line("| %s | %s | not measured | |", name, asked(least, mean));
            return;
        }
        double smallest = Double.MAX_VALUE;
        double logs = 0;
        for (double ratio : ratios) {
            smallest = Math.min(smallest, ratio);
            logs += Math.log(ratio);
        }
        double geometric = Math.exp(logs / ratios.length);
        line("| %s | %s | geometric mean %.2f, least %.2f, %d items | %s |", name, asked(least, mean), geometric, smallest, ratios.length,
                word(smallest >= least && geometric >= mean, beside, peer));
    }

    private static String asked(double least, double mean) {
        return (least > 0 ? "never below %.1f, ".formatted(least) : "") + "geometric mean at least " + mean;
    }

    private void overheadGoal(Work work) {
        double most = Item.mostOverheadPercent(work);
        List<Measured> which = session.items.stream().filter(x -> x.item().work() == work && x.item().isJudgedByOverhead()).toList();
        if (!which.isEmpty()) {
            double inPlace = which.stream().mapToDouble(x -> x.overheadPercent(Form.FROZEN_IN_PLACE).median()).max().orElseThrow();
            double plain = which.stream().mapToDouble(x -> x.overheadPercent(Form.FROZEN).median()).max().orElseThrow();
            line("| overhead, %s, b ≥ 512, m = n ≥ 2048, r ≤ 16 | at most %.0f %% | largest of %d items %.1f %% in place, %.1f %% beside plain buffers | %s |", work,
                    most, which.size(), inPlace, plain, word(Math.max(inPlace, plain) <= most, which, Form.FROZEN_IN_PLACE.word(), Form.FROZEN.word()));
        }
    }

    /** The verdict by the medians, and how many of the items' intervals beside the others hold what must be reached still. */
    private static String word(boolean reached, List<Measured> items, String... others) {
        long undecided = items.stream().filter(x -> Arrays.stream(others).anyMatch(x::isUndecided)).count();
        return (reached ? "reached" : "**not reached**") + (undecided > 0 ? ", %d undecided".formatted(undecided) : "");
    }

    // ---- tables

    private void works() {
        line("");
        line("## Works");
        line("");
        line("| work | b | m | n | r | rounds | lora4j ms | of limit | bound by | %s |", String.join(" | ", COLUMNS));
        line("|---|---|---|---|---|---|---|---|---|%s", "---|".repeat(COLUMNS.length));
        for (Measured x : session.items) {
            Item i = x.item();
            List<String> cells = new ArrayList<>();
            for (String column : COLUMNS) {
                Interval ratio = x.ratios().get(column);
                cells.add(ratio != null ? "%.2f (%.2f–%.2f)%s".formatted(ratio.median(), ratio.low(), ratio.high(), mark(x, column)) : x.absent().containsKey(column) ? "†" : "–");
            }
            line("| %s | %s | %d | %d | %d | %d | %.2f (%.2f–%.2f) | %s | %s | %s |", i.work(), i.b() > 0 ? i.b() : "", i.m(), i.n(), i.r(), x.rounds(),
                    x.ours().median(), x.ours().low(), x.ours().high(), ofLimit(x), x.isComputeBound(gflops, gbs) ? "arithmetic" : "memory",
                    String.join(" | ", cells));
        }
        for (Measured x : session.items) {
            x.absent().forEach((name, reason) -> line("%n† %s, %s: %s", x.item(), name, reason));
        }
        line("");
        line(marked());
        line("");
        line("– not taken part: DJL binds no SVD; ND4J's takes the whole matrix apart, so only up to 1024², with its best form for the rest of the start. This "
                + "library's merge makes a matrix of its own beside the frozen weight, which stays exactly as it is; the peers' adds in place.");
    }

    private void overheads() {
        line("");
        line("## The adapter's overhead over the frozen products");
        line("");
        line("| work | b | m | n | r | in place | beside plain buffers | least possible |");
        line("|---|---|---|---|---|---|---|---|");
        for (Measured x : session.items) {
            Item i = x.item();
            if (i.work().isPass()) {
                Interval place = x.overheadPercent(Form.FROZEN_IN_PLACE);
                Interval plain = x.overheadPercent(Form.FROZEN);
                line("| %s | %d | %d | %d | %d | %+.1f %% (%+.1f to %+.1f)%s | %+.1f %% (%+.1f to %+.1f)%s | %+.1f %% |", i.work(), i.b(), i.m(), i.n(), i.r(),
                        place.median(), place.low(), place.high(), mark(x, Form.FROZEN_IN_PLACE.word()), plain.median(), plain.low(), plain.high(), mark(x, Form.FROZEN.word()), 100 * i.leastOverhead(gflops, gbs));
            }
        }
    }

    private void starts() {
        line("");
        line("## What the starts are worth");
        line("");
        line("The energy that the directions of A0 and B0 hold, over the most that 2r directions can hold (G has the singular values 1, 1/2, 1/3, …):");
        line("");
        for (Measured x : session.items) {
            if (x.item().work() == Work.INIT) {
                List<String> shares = new ArrayList<>();
                x.captured().forEach((name, share) -> shares.add(name + " %.6f".formatted(share)));
                line("- %s: %s", x.item(), String.join(", ", shares));
            }
        }
    }

    private void growths() {
        line("");
        line("## Growth");
        line("");
        line("One process for each point (JMH, average time, median of %d iterations after two seconds of warming up). Exponents are fitted to the larger half of the points.", LayerBenchmark.ITERATIONS);
        line("");
        line("| along | work | %s | time ~ | memory ~ |", "value: ms, MiB at most on the device");
        line("|---|---|---|---|---|");
        for (Growth g : session.growth) {
            List<String> points = g.points().stream().map(p -> "%d: %.4g, %.4g".formatted(p.value(), p.ms(), p.bytes() / (1 << 20))).toList();
            line("| %s | %s | %s | %s^%.2f | %s^%.2f |", g.axis(), g.work(), String.join("; ", points), g.axis(),
                    g.timeExponent(), g.axis(), g.memoryExponent());
        }
    }
}
