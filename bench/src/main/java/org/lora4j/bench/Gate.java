package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;

/**
 * Compares ratios, not times, with those of a baseline: a ratio is another contender's time over this library's in the same
 * round, so a slower machine or a busy neighbour changes it little. It is a regression only where the two confidence
 * intervals lie apart by more than a tenth.
 */
final class Gate {
    private static final double MARGIN = 1.10;
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /** The ratio of one contender's time at one item to this library's. */
    record Ratio(String work, int b, int m, int n, int r, String peer, double ratio, double low, double high) {
        private boolean sameAs(Ratio other) {
            return Objects.equals(work, other.work) && b == other.b && m == other.m && n == other.n && r == other.r && peer.equals(other.peer);
        }

        @Override
        public String toString() {
            return new Item(Work.of(work), b, m, n, r) + " against " + peer;
        }
    }

    /** @param regressions in words; {@code missing} those of the baseline that this run has not measured */
    record Verdict(List<String> regressions, List<String> missing, int compared) {}

    private Gate() {}

    static List<Ratio> ratios(List<Measured> items) {
        List<Ratio> ratios = new ArrayList<>();
        for (Measured measured : items) {
            Item i = measured.item();
            measured.ratios().forEach((peer, ratio) -> {
                if (!peer.equals(ReadingMemory.NAME)) { // how fast memory is beside the processor changes with the neighbours
                    ratios.add(new Ratio(i.work().toString(), i.b(), i.m(), i.n(), i.r(), peer, ratio.median(), ratio.low(), ratio.high()));
                }
            });
        }
        return ratios;
    }

    static Verdict compare(List<Ratio> baseline, List<Ratio> now) {
        List<String> regressions = new ArrayList<>();
        List<String> missing = new ArrayList<>();
        for (Ratio before : baseline) {
            Ratio after = now.stream().filter(before::sameAs).findFirst().orElse(null);
            if (after == null) {
                missing.add(before.toString());
            } else if (after.high * MARGIN < before.low) {
                regressions.add("%s: the ratio was %.3f (%.3f to %.3f) and is %.3f (%.3f to %.3f)".formatted(before, before.ratio, before.low, before.high,
                        after.ratio, after.low, after.high));
            }
        }
        return new Verdict(regressions, missing, baseline.size() - missing.size());
    }

    /** What lies between the runs of a baseline is not a regression: its intervals grow to hold those of one more run. */
    static List<Ratio> widened(List<Ratio> baseline, List<Ratio> now) {
        List<Ratio> all = new ArrayList<>(now);
        for (Ratio before : baseline) {
            Ratio after = now.stream().filter(before::sameAs).findFirst().orElse(null);
            if (after == null) {
                all.add(before);
            } else {
                all.set(all.indexOf(after), new Ratio(before.work, before.b, before.m, before.n, before.r, before.peer, (before.ratio + after.ratio) / 2,
                        Math.min(before.low, after.low), Math.max(before.high, after.high)));
            }
        }
        return all;
    }

    /** The ratios in a file; none where there is no file. */
    static List<Ratio> read(Path file) throws IOException {
        return Files.isRegularFile(file) ? JSON.readValue(file.toFile(), new TypeReference<>() {}) : List.of();
    }

    static void write(Path file, List<Ratio> ratios) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, JSON.writeValueAsString(ratios) + "\n");
    }
}
