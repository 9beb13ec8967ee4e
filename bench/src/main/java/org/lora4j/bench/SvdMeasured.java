package org.lora4j.bench;

import java.util.List;
import java.util.Map;

/**
 * What was found for one line of the report on singular value decompositions.
 *
 * @param count how many gradients a call decomposes
 * @param rounds in which all took part; the ratio may be of more
 * @param ms milliseconds of a call, by contender
 * @param ratio the other's time over ours; null where there is no other
 * @param overlaps of the spaces that each contender found with the true ones, means over the gradients
 * @param products of all our decompositions; the most {@code steps} that one took
 * @param converged how many of ours met the tolerance
 * @param largestResidual of all of ours
 * @param memory of that one of ours that took the most of what is allowed
 * @param absent who was left out, and why
 * @param othersPercent of the processors, used by other processes meanwhile
 */
record SvdMeasured(SvdItem item, int count, int rounds, Map<String, Interval> ms, Interval ratio, Map<String, Overlap> overlaps, int products, int steps,
        int converged, double largestResidual, Memory memory, Map<String, String> absent, double othersPercent) {
    /** Mean squared cosines of the angles between the spaces of the first 2r vectors and the true ones. */
    record Overlap(double u, double v) {
        static Overlap of(List<Gradient> gradients, List<Triplets> found, int k) {
            double u = 0;
            double v = 0;
            for (int i = 0; i < gradients.size(); i++) {
                u += gradients.get(i).known().overlapU(found.get(i), k) / gradients.size();
                v += gradients.get(i).known().overlapV(found.get(i), k) / gradients.size();
            }
            return new Overlap(u, v);
        }
    }

    /** The most that the device held beside G, and 8·(m + n)·4r. */
    record Memory(double extraBytes, double allowedBytes) {
        double share() {
            return extraBytes / allowedBytes;
        }
    }
}
