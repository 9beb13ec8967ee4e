package org.lora4j.bench;

import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/** A report for people, line by line, and what every one of them says of the machine and of who took part. */
abstract class Page {
    /** Percent of the processors that others may use without being noticed. */
    private static final double QUIET = 3;

    final Session session;
    final StringBuilder text = new StringBuilder();
    final double gflops;
    final double gbs;

    Page(Session session) {
        this.session = session;
        gflops = session.gemmCeiling();
        gbs = session.readGBs;
    }

    final void line(String format, Object... values) {
        text.append(values.length == 0 ? format : format.formatted(values)).append('\n');
    }

    /** A mark at what is of more rounds than the others. */
    static String mark(Measured x, String... others) {
        return Arrays.stream(others).map(x.ratios()::get).anyMatch(ratio -> ratio != null && ratio.count() > x.rounds()) ? "°" : "";
    }

    /** The percent of the limit. */
    final String ofLimit(Measured x) {
        return "%.0f %%%s".formatted(x.percentOfLimit(gflops, gbs), mark(x, SquareProduct.NAME, ReadingMemory.NAME));
    }

    /** What the mark means. */
    final String marked() {
        return ("° While the interval held what must be reached, this library and the other took %d more rounds, at most %d times. An interval looked at so often "
                + "holds a true median of just what must be reached with 89 %%, not 95 %% probability.").formatted(PairedRun.MORE_ROUNDS, PairedRun.MOST_TIMES);
    }

    /** The title and where the numbers come from. */
    final void head(String title, Machine machine, String command, String missing) {
        line("# " + title);
        line("");
        line("Written by `%s`; not edited. %s.", command, session.date.substring(0, 10));
        if (!session.finished) {
            line("");
            line("**Unfinished**: %s.", missing);
        }
        line("");
        line("- Machine: %s", machine);
        session.descriptions.forEach((name, words) -> line("- %s: %s", name, words));
        session.absent.forEach((name, reason) -> line("- **%s is absent**: %s", name, reason.replace('\n', ' ')));
        Map<String, Double> ceilings = new TreeMap<>(session.gemmGflops);
        line("- Ceilings: square product %.0f GFLOP/s (best of %s), reading memory %.1f GB/s by all threads, %d MiB", gflops,
                ceilings.entrySet().stream().map(e -> e.getKey() + " %.0f".formatted(e.getValue())).toList(), gbs, 512);
        double[] others = session.othersPercent();
        if (others.length > 0) {
            Interval busy = Interval.of(others);
            line("- Other processes used %.0f %% of the processors while an item was measured (median), at most %.0f %%%s", busy.median(), Arrays.stream(others).max().orElse(0),
                    busy.median() > QUIET ? ": **the machine was not quiet**, times and intervals are wider for it" : "");
        }
        line("");
    }
}
