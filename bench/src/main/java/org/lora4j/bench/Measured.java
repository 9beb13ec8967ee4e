package org.lora4j.bench;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What was found for one item.
 *
 * @param ours milliseconds of this library
 * @param others milliseconds of each of the others
 * @param ratios each other's time over ours, pair by pair
 * @param captured of a start: the share of the best possible energy that each one's directions hold
 * @param absent who was left out, and why
 * @param othersPercent of the processors, used by other processes meanwhile; null in what an older bench has measured
 */
record Measured(Item item, int rounds, Interval ours, Map<String, Interval> others, Map<String, Interval> ratios, Map<String, Double> captured,
        Map<String, String> absent, Double othersPercent) {
    static Measured of(Item item, PairedRun.Times times, Map<String, Double> captured) {
        String name = Lora4jContender.Form.LAYER.word();
        Map<String, Interval> others = new LinkedHashMap<>();
        Map<String, Interval> ratios = new LinkedHashMap<>();
        times.ms().forEach((other, ms) -> {
            if (!other.equals(name)) {
                others.put(other, Interval.of(ms));
                ratios.put(other, times.ratio(other, name));
            }
        });
        double[] ours = times.ms().get(name);
        return new Measured(item, ours.length, Interval.of(ours), others, ratios, captured, times.absent(), times.othersPercent());
    }

    /** The least time over ours, in percent: where that is arithmetic's and a square product took turns, by its speed in the same round. */
    double percentOfLimit(double gflops, double gbs) {
        Interval square = ratios.get(SquareProduct.NAME);
        if (square != null && item.isComputeBound(gflops, gbs)) {
            return 100 * item.flops() / SquareProduct.FLOPS * square.median();
        }
        return 100 * item.limitMs(gflops, gbs) / ours.median();
    }

    /** The adapter's share on top of the frozen products, in percent, beside the products of the given name. */
    Interval overheadPercent(Lora4jContender.Form frozen) {
        Interval ratio = ratios.get(frozen.word());
        return new Interval(100 * (1 / ratio.median() - 1), 100 * (1 / ratio.high() - 1), 100 * (1 / ratio.low() - 1));
    }
}
