package org.lora4j.demo;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

import org.lora4j.analysis.ScaleStability;

/** A table of measurements of scale stability, for people. */
public final class StabilityTable {
    /** Sizes that show what depends on which: m out features, n in features, rank r. */
    public static final List<Size> SIZES = List.of(new Size(64, 64, 4), new Size(256, 256, 4), new Size(256, 256, 32), new Size(512, 512, 8),
            new Size(512, 512, 32), new Size(512, 128, 16), new Size(128, 512, 16), new Size(1024, 256, 16));

    /** The size of a layer and its adapter. */
    public record Size(long m, long n, int r) {}

    private StabilityTable() {}

    /** The table's lines, its heading first. */
    public static List<String> rows(List<ScaleStability> measured) {
        List<String> rows = new ArrayList<>();
        rows.add(String.format(Locale.ROOT, "%6s%6s%6s%12s%12s%14s%12s", "m", "n", "r", "E[y²]", "predicted", "E[dx²]", "predicted"));
        for (ScaleStability s : measured) {
            rows.add(String.format(Locale.ROOT, "%6d%6d%6d%12.4f%12.4f%14.4f%12.4f", s.m(), s.n(), s.r(), s.forward(), s.forwardPredicted(), s.backward(),
                    s.backwardPredicted()));
        }
        return rows;
    }
}
