package org.lora4j.bench;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What was found for one item.
 *
 * @param rounds in which all took part, but slow ones in fewer; ratios may be of more
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
        times.ms().keySet().forEach(other -> {
            if (!other.equals(name)) {
                others.put(other, times.of(other));
                ratios.put(other, times.ratio(other, name));
            }
        });
        Interval ours = times.of(name);
        return new Measured(item, ours.count(), ours, others, ratios, captured, times.absent(), times.othersPercent());
    }

    /** The least time over ours, in percent, by the speed in the same round of a square product and of reading memory, where these took turns. */
    double percentOfLimit(double gflops, double gbs) {
        return 100 * Math.max(share(item.flops(), SquareProduct.NAME, SquareProduct.FLOPS, gflops), share(item.bytes(), ReadingMemory.NAME, ReadingMemory.BYTES, gbs));
    }

    /** Of our time, what {@code amount} would take at the speed of what took turns, {@code whole} in a call, or at that of the whole run. */
    private double share(double amount, String other, double whole, double speed) {
        return ratios.containsKey(other) ? amount / whole * ratios.get(other).median() : amount / speed / 1e6 / ours.median();
    }

    /** Whether arithmetic, not memory, sets the least time: by the speeds of the same rounds. */
    boolean isComputeBound(double gflops, double gbs) {
        return share(item.flops(), SquareProduct.NAME, SquareProduct.FLOPS, gflops) > share(item.bytes(), ReadingMemory.NAME, ReadingMemory.BYTES, gbs);
    }

    /** Whether the interval beside that other, if it took part, does not say whether what is asked is reached. */
    boolean isUndecided(String other) {
        return ratios.containsKey(other) && item.isUndecided(other, ratios.get(other));
    }

    /** The adapter's share on top of the frozen products, in percent, beside the products of the given name. */
    Interval overheadPercent(Lora4jContender.Form frozen) {
        Interval ratio = ratios.get(frozen.word());
        return new Interval(100 * (1 / ratio.median() - 1), 100 * (1 / ratio.high() - 1), 100 * (1 / ratio.low() - 1), ratio.count());
    }
}
