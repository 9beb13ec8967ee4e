package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

import org.lora4j.bench.KrylovContender.Cost;
import org.lora4j.svd.BlockKrylovSvd;

/** Measures leading singular triplets in turns with {@code svd_lowrank}, where that can be had. */
final class SvdRun {
    private final Contenders contenders;
    private final Path folder;
    private final long seed;
    private final KrylovContender ours;
    private final List<SvdContender> all = new ArrayList<>();
    private SvdItem last;
    private List<Gradient> gradients; // of the last item

    /** @param folder of the gradients that were given; null if none were */
    SvdRun(Contenders contenders, Path folder, long seed) {
        this.contenders = contenders;
        this.folder = folder;
        this.seed = seed;
        ours = new KrylovContender(contenders.device());
        all.add(ours);
        contenders.python().ifPresent(python -> all.add(new LowRankContender(python)));
    }

    /**
     * Measures one item in seven rounds, three of what takes over 3 s; every singular value that was found is verified first.
     *
     * @param decides whether what does not yet show whether it reaches what is asked takes more rounds
     */
    SvdMeasured measure(SvdItem item, boolean decides) throws IOException {
        if (!item.sameGradients(last)) {
            gradients = null; // not both in memory
            gradients = item.isSynthetic()
                    ? List.of(Gradient.synthetic(item.m(), item.n(), item.spectrum(), SvdItem.mostTriplets(), new SplittableRandom(seed)))
                    : Gradient.read(folder, SvdItem.mostTriplets(), contenders.device());
            last = item;
        }
        Map<String, SvdMeasured.Overlap> overlaps = new LinkedHashMap<>();
        List<SvdContender> prepared = new ArrayList<>();
        try {
            PairedRun.Times times = PairedRun.inTurns(all, gradients.size(), 0, (name, ratio) -> decides && item.isUndecided(ratio), c -> {
                prepared.add(c);
                c.prepare(gradients, item.r());
                double ms = c.run(0, 1)[0];
                List<Triplets> found = c.found();
                for (int i = 0; i < gradients.size(); i++) {
                    Verification.singularValues(found.get(i).values(), gradients.get(i).known().values(), BlockKrylovSvd.DEFAULT_TOLERANCE);
                }
                overlaps.put(c.name(), SvdMeasured.Overlap.of(gradients, found, 2 * item.r()));
                return ms;
            });
            return measured(item, times, overlaps);
        } finally {
            for (SvdContender c : prepared) {
                c.release();
            }
            System.gc();
        }
    }

    private SvdMeasured measured(SvdItem item, PairedRun.Times times, Map<String, SvdMeasured.Overlap> overlaps) {
        Map<String, Interval> ms = new LinkedHashMap<>();
        times.ms().keySet().forEach(name -> ms.put(name, times.of(name)));
        String other = LowRankContender.NAME;
        List<Cost> costs = ours.costs();
        return new SvdMeasured(item, gradients.size(), ms.get(ours.name()).count(), ms,
                ms.containsKey(other) ? times.ratio(other, ours.name()) : null, overlaps,
                costs.stream().mapToInt(cost -> cost.certificate().products()).sum(), costs.stream().mapToInt(cost -> cost.certificate().steps()).max().orElseThrow(),
                (int) costs.stream().filter(cost -> cost.certificate().converged()).count(),
                costs.stream().mapToDouble(cost -> cost.certificate().largestResidual()).max().orElseThrow(),
                costs.stream().map(Cost::memory).max(Comparator.comparingDouble(SvdMeasured.Memory::share)).orElseThrow(), times.absent(), times.othersPercent());
    }
}
