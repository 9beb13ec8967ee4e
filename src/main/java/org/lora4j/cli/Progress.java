package org.lora4j.cli;

import java.io.Console;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.Locale;

import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * Says on standard error how far a work is: a bar with the time left on a terminal; elsewhere a line now and then, and none
 * where the work is short.
 */
final class Progress implements AutoCloseable {
    private static final long INTERVAL = Duration.ofSeconds(2).toNanos();
    private static final int WIDTH = 100;
    private static final long MILLION = 1_000_000;

    private final String task;
    private final long total;
    private final PrintWriter lines;
    private final ProgressBar bar; // null where lines are printed
    private final long begin = System.nanoTime();
    private long lastLine = begin;
    private long done;

    private Progress(String task, long total, PrintWriter lines, ProgressBar bar) {
        this.task = task;
        this.total = total;
        this.lines = lines;
        this.bar = bar;
    }

    /**
     * Begins.
     *
     * @param total the work in all, in whatever unit; the time left is told from it
     */
    static Progress start(String task, long total, PrintWriter lines) {
        Console console = System.console();
        ProgressBar bar = console == null || !console.isTerminal() ? null
                : new ProgressBarBuilder().setTaskName(task).setInitialMax(total).setStyle(ProgressBarStyle.ASCII)
                        .setUnit(total < MILLION ? "" : "M", total < MILLION ? 1 : MILLION).setUpdateIntervalMillis(200).setConsumer(new ConsoleProgressBarConsumer(System.err, WIDTH)).build();
        return new Progress(task, total, lines, bar);
    }

    /** One part, which was {@code work} of the total, is done. */
    void step(String part, long work) {
        done += work;
        if (bar != null) {
            bar.setExtraMessage(" " + Failures.oneLine(part));
            bar.stepTo(done);
            return;
        }
        long now = System.nanoTime();
        if (now - lastLine >= INTERVAL || done >= total && now - begin >= INTERVAL) {
            lastLine = now;
            double left = (now - begin) * 1e-9 * (total - done) / Math.max(1, done);
            lines.println(String.format(Locale.ROOT, "%s: %.0f %%, %s%s", task, 100.0 * done / Math.max(1, total), Failures.oneLine(part),
                    done >= total ? "" : String.format(Locale.ROOT, ", about %.0f s left", left)));
            lines.flush();
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
