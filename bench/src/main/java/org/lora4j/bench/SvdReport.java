package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import org.lora4j.bench.SvdMeasured.Overlap;
import org.lora4j.svd.BlockKrylovSvd;

/** The results on leading singular triplets for people: SVD.md. */
final class SvdReport extends Page {
    private static final String OURS = "lora4j";
    private static final String OTHER = LowRankContender.NAME;

    private SvdReport(Session session) {
        super(session);
    }

    static void write(Session session, Machine machine, String command, int asked, Path file) throws IOException {
        SvdReport report = new SvdReport(session);
        report.head("Leading singular triplets", machine, command,
                "%d of %d lines are there".formatted(session.svd.size() + session.items.size(), asked));
        report.method();
        report.given(session.svd.stream().filter(x -> !x.item().isSynthetic()).toList());
        report.synthetic(session.svd.stream().filter(x -> x.item().isSynthetic()).toList());
        report.kernels();
        Files.writeString(file, report.text);
    }

    private void method() {
        line("The 2r leading triplets of a gradient by `new BlockKrylovSvd().top(g, 2r, seed)`, beside `torch.svd_lowrank(g, q=min(4r, m, n), niter=4)` as PEFT's "
                + "LoRA-GA calls it, of whose triplets it keeps 2r; svd_lowrank always makes 10 products with 4r vectors. Float32, the same threads, %d rounds in turns; "
                + "given are medians of the rounds and, in brackets, an interval that holds the true median with 95 %% probability. The ratio is svd_lowrank's "
                + "time over this library's, round by round. Before anything was timed, every singular value was found within %s·σ₁ of the known one. "
                + "At least %.0f is asked of the ratio with real gradients and r from 8 on, %.0f with 4096×4096 and σᵢ = 1/i.",
                session.svd.stream().mapToInt(SvdMeasured::rounds).min().orElse(0), BlockKrylovSvd.DEFAULT_TOLERANCE, SvdItem.LEAST_GIVEN, SvdItem.LEAST_SYNTHETIC);
        line("");
        line("An overlap is ‖PᵀQ‖²/2r for the first 2r vectors found and the true ones, the mean squared cosine of the angles between the two spaces. *Products* are "
                + "those of G or Gᵀ with a block of vectors, *steps* those of the iteration, *converged* means that all residuals are within the default tolerance. "
                + "*Extra memory* is the most that the device held at a time beside G, U and V included; allowed are 8·(m + n)·4r bytes.");
        if (session.absent.containsKey("peft")) {
            line("");
            line("The columns of svd_lowrank are empty, because its Python is absent; the reason stands above.");
        }
    }

    private void given(List<SvdMeasured> rows) {
        line("");
        line("## Real gradients, all of them one after the other");
        line("");
        if (rows.isEmpty()) {
            line("The rows are absent: no gradients were given (`--gradients FOLDER`; they are not part of the repository).");
            return;
        }
        line("The true triplets are those of the whole decomposition in float64. Products are the sum over all gradients, steps and the residual the most of one; memory is that of the gradient "
                + "that took the most of what is allowed.");
        table("gradients | r", rows, x -> "%d | %d".formatted(x.count(), x.item().r()));
    }

    private void synthetic(List<SvdMeasured> rows) {
        line("");
        line("## Synthetic gradients");
        line("");
        double bound = rows.stream().mapToDouble(SvdReport::lost).max().orElse(0);
        line("G = P·diag(σ)·Qᵀ + E, P and Q products of four random reflections each, all min(m, n) σ of the formula. E has independent random elements "
                + "and ‖E‖₂ ≈ %.0e, so little that the true spaces are those of P and Q: E takes at most %.0e from an overlap (Wedin's bound at the gap "
                + "after the 2r-th σ).", Gradient.NOISE, bound);
        table("m | n | σᵢ | r", rows, x -> "%d | %d | %s | %d".formatted(x.item().m(), x.item().n(), x.item().spectrum(), x.item().r()));
    }

    /** What the noise may take from an overlap: (‖E‖₂/gap)². */
    private static double lost(SvdMeasured x) {
        int k = 2 * x.item().r();
        return Math.pow(Gradient.NOISE / (x.item().spectrum().value(k) - x.item().spectrum().value(k + 1)), 2);
    }

    private interface Cells {
        String of(SvdMeasured x);
    }

    private void table(String head, List<SvdMeasured> rows, Cells cells) {
        line("");
        String all = head + " | lora4j ms | svd_lowrank ms | ratio | U | V | svd_lowrank U | svd_lowrank V | products | steps | largest residual | converged | extra memory MiB | allowed";
        line("| " + all + " |");
        line("|" + "---|".repeat(all.split("\\|").length));
        for (SvdMeasured x : rows) {
            line("| %s | %s | %s | %s%s | %s | %s | %d | %d | %.1e | %s | %.2f | %.2f |", cells.of(x), interval(x.ms().get(OURS)), interval(x.ms().get(OTHER)),
                    interval(x.ratio()), x.ratio() != null && x.ratio().count() > x.rounds() ? "°" : "", overlap(x.overlaps().get(OURS)), overlap(x.overlaps().get(OTHER)), x.products(), x.steps(), x.largestResidual(),
                    x.converged() == x.count() ? "yes" : "**" + x.converged() + " of " + x.count() + "**", x.memory().extraBytes() / (1 << 20),
                    x.memory().allowedBytes() / (1 << 20));
        }
        for (SvdMeasured x : rows) {
            x.absent().forEach((name, reason) -> line("%n%s, %s: %s", x.item(), name, reason));
        }
    }

    private static String interval(Interval x) {
        return x == null ? "–" : "%.2f (%.2f–%.2f)".formatted(x.median(), x.low(), x.high());
    }

    /** Of what may take microseconds. */
    private static String precise(Interval x) {
        return "%.3f (%.3f–%.3f)".formatted(x.median(), x.low(), x.high());
    }

    private static String overlap(Overlap x) {
        return x == null ? "– | –" : "%.5f | %.5f".formatted(x.u(), x.v());
    }

    private void kernels() {
        line("");
        line("## The kernels beside their limit");
        line("");
        line("*Power step* is Y = G·V and Z = Gᵀ·Y for k vectors, G read once. The limit is the larger of operations over a square product's rate and bytes "
                + "over the rate of reading memory, each matrix read or written once; these took turns with the kernel, and the rates are those of the same rounds. The Gs that the calls go round are twice as large as the last-level cache, which may still hold some of one. "
                + "At least %.0f %% of the limit is asked; *limit ms* is this library's ms times *of limit*.", Item.LEAST_KERNEL_PERCENT);
        line("");
        line("| kernel | m | n | k | rounds | ms | GFLOP/s | GB/s | limit ms | of limit | bound by |");
        line("|---|---|---|---|---|---|---|---|---|---|---|");
        for (Measured x : session.items) {
            Item i = x.item();
            line("| %s | %d | %d | %d | %d | %s | %.0f | %.1f | %.3f | %s | %s |", i.work(), i.m(), i.n(), i.r(), x.rounds(), precise(x.ours()),
                    i.flops() / x.ours().median() / 1e6, i.bytes() / x.ours().median() / 1e6, x.ours().median() * x.percentOfLimit(gflops, gbs) / 100, ofLimit(x),
                    x.isComputeBound(gflops, gbs) ? "arithmetic" : "memory");
        }
        line("");
        line(marked());
    }
}
