package org.lora4j.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

import org.lora4j.bench.Lora4jContender.Form;

/** One line of the report: a work at one shape. b is 0 where the work has no batch. */
record Item(Work work, int b, int m, int n, int r) {
    /** α of every adapter; η = α/√r. */
    static final double ALPHA = 16;
    /** What is asked of products that are arithmetic, in percent of the limit. */
    static final double LEAST_PERCENT = 85;
    /** What is asked of what reads G. */
    static final double LEAST_KERNEL_PERCENT = 70;

    private static final int[][] SHAPES = {{512, 4096, 4096, 16}, {2048, 2048, 2048, 16}, {32, 4096, 4096, 16}, {2048, 768, 768, 8},
        {1024, 1536, 384, 16}, {1, 4096, 4096, 8}};
    private static final int[] RANKS = {4, 8, 16, 32, 64, 128};
    private static final int[] RANKS_AT = {512, 2048, 2048};
    private static final int[][] STARTS = {{384, 384, 8}, {384, 384, 16}, {1536, 384, 16}, {1024, 1024, 16}, {4096, 4096, 8}, {4096, 4096, 16},
        {4096, 4096, 32}};

    /** Everything that the issue of a release is judged by. */
    static List<Item> full() {
        List<Item> items = new ArrayList<>();
        for (int[] s : SHAPES) {
            items.add(new Item(Work.FORWARD, s[0], s[1], s[2], s[3]));
            items.add(new Item(Work.FORWARD_BACKWARD, s[0], s[1], s[2], s[3]));
        }
        for (int r : RANKS) {
            items.add(new Item(Work.FORWARD, RANKS_AT[0], RANKS_AT[1], RANKS_AT[2], r));
            items.add(new Item(Work.FORWARD_BACKWARD, RANKS_AT[0], RANKS_AT[1], RANKS_AT[2], r));
        }
        for (int[] s : STARTS) {
            items.add(new Item(Work.INIT, 0, s[0], s[1], s[2]));
        }
        for (int[] s : SHAPES) {
            Item merge = new Item(Work.MERGE, 0, s[1], s[2], s[3]);
            if (!items.contains(merge)) {
                items.add(merge);
            }
        }
        return items;
    }

    /** One item of each kind. */
    static List<Item> quick() {
        return List.of(new Item(Work.FORWARD, 512, 4096, 4096, 16), new Item(Work.FORWARD_BACKWARD, 2048, 768, 768, 8),
                new Item(Work.FORWARD, 1, 4096, 4096, 8), new Item(Work.INIT, 0, 384, 384, 8), new Item(Work.INIT, 0, 4096, 4096, 16),
                new Item(Work.MERGE, 0, 2048, 2048, 16));
    }

    /** What the gate compares: short items, of every kind. */
    static List<Item> gate() {
        return List.of(new Item(Work.FORWARD, 512, 2048, 2048, 16), new Item(Work.FORWARD_BACKWARD, 512, 2048, 2048, 16),
                new Item(Work.FORWARD_BACKWARD, 2048, 768, 768, 8), new Item(Work.FORWARD, 32, 4096, 4096, 16),
                new Item(Work.INIT, 0, 1536, 384, 16), new Item(Work.MERGE, 0, 2048, 2048, 16));
    }

    /** What reads G where singular vectors are found: the steps of the iteration, products, the norm. */
    static List<Item> kernels(boolean quick) {
        if (quick) {
            return List.of(new Item(Work.POWER_STEP, 0, 4096, 4096, 16));
        }
        List<Item> items = new ArrayList<>();
        IntStream.of(8, 16, 32, 64).forEach(k -> items.add(new Item(Work.POWER_STEP, 0, 4096, 4096, k)));
        for (Work work : new Work[] {Work.PRODUCT, Work.TRANSPOSED_PRODUCT}) {
            IntStream.of(16, 32).forEach(k -> items.add(new Item(work, 0, 4096, 4096, k)));
        }
        items.add(new Item(Work.SQUARES, 0, 4096, 4096, 1));
        return items;
    }

    /** Whether the adapter's overhead is judged by it: a large square layer, many rows, a small rank. */
    boolean isJudgedByOverhead() {
        return work.isPass() && b >= 512 && m >= 2048 && m == n && r <= 16;
    }

    /** The most that the adapter may add to the frozen products, in percent, where it is judged by that. */
    static double mostOverheadPercent(Work work) {
        return work == Work.FORWARD ? 3 : 6;
    }

    /** Whether an interval of another's time over this library's holds the least that is asked of it, so that it does not say whether that is reached. */
    boolean isUndecided(String other, Interval ratio) {
        return ratio.holds(leastRatio(other));
    }

    /** The least that is asked of another's time over this library's; 0 where nothing is. */
    private double leastRatio(String other) {
        return switch (other) {
            case "peft" -> work == Work.FORWARD_BACKWARD ? 1 : 0;
            case "djl", "djl usual" -> 1;
            case SquareProduct.NAME -> (work.isPass() ? LEAST_PERCENT : LEAST_KERNEL_PERCENT) / 100 * SquareProduct.FLOPS / flops();
            case ReadingMemory.NAME -> work.isKernel() ? LEAST_KERNEL_PERCENT / 100 * ReadingMemory.BYTES / bytes() : 0;
            default -> isJudgedByOverhead() && (other.equals(Form.FROZEN_IN_PLACE.word()) || other.equals(Form.FROZEN.word())) ? 1 / (1 + mostOverheadPercent(work) / 100) : 0;
        };
    }

    double eta() {
        return ALPHA / Math.sqrt(r);
    }

    double flops() {
        return work.flops(b, m, n, r);
    }

    double bytes() {
        return work.bytes(b, m, n, r);
    }

    /** The least time in milliseconds. */
    private double limitMs(double gflops, double gbs) {
        return Math.max(flops() / gflops, bytes() / gbs) / 1e6;
    }

    /** The least overhead over the frozen products: the least time beside the least time without the adapter. */
    double leastOverhead(double gflops, double gbs) {
        return limitMs(gflops, gbs) / new Item(work, b, m, n, 0).limitMs(gflops, gbs) - 1;
    }

    @Override
    public String toString() {
        return work + (b > 0 ? " " + b + "×" : " ") + m + "×" + n + " r " + r;
    }
}
