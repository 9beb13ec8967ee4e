package org.lora4j.bench;

import java.util.ArrayList;
import java.util.List;

/**
 * One line of the report on singular value decompositions: of a synthetic gradient, or of all gradients that were given.
 *
 * @param spectrum null for those that were given; m and n are then 0
 * @param r of the adapter: 2r triplets are sought
 */
record SvdItem(Spectrum spectrum, int m, int n, int r) {
    /** What is asked of svd_lowrank's time over this library's: of given gradients with r from 8 on, and of 4096² with σᵢ = 1/i. */
    static final double LEAST_GIVEN = 3;
    static final double LEAST_SYNTHETIC = 4;

    private static final int[] GIVEN_RANKS = {4, 8, 16, 32};
    private static final int[] RANKS = {8, 16, 32};
    private static final int[][] SHAPES = {{4096, 4096}, {11008, 4096}};

    /** Lines of the same gradients follow each other. */
    static List<SvdItem> all(boolean given) {
        List<SvdItem> items = new ArrayList<>();
        for (int r : given ? GIVEN_RANKS : new int[] {}) {
            items.add(new SvdItem(null, 0, 0, r));
        }
        for (int[] shape : SHAPES) {
            for (Spectrum spectrum : Spectrum.values()) {
                for (int r : RANKS) {
                    items.add(new SvdItem(spectrum, shape[0], shape[1], r));
                }
            }
        }
        return items;
    }

    /** One line of each kind. */
    static List<SvdItem> quick(boolean given) {
        List<SvdItem> items = new ArrayList<>(given ? List.of(new SvdItem(null, 0, 0, 8)) : List.of());
        items.add(new SvdItem(Spectrum.INVERSE, 1024, 1024, 8));
        return items;
    }

    /** The most triplets that an item asks for. */
    static int mostTriplets() {
        return 2 * GIVEN_RANKS[GIVEN_RANKS.length - 1];
    }

    boolean isSynthetic() {
        return spectrum != null;
    }

    /** Whether an interval of svd_lowrank's time over this library's holds the least that is asked of it. */
    boolean isUndecided(Interval ratio) {
        return ratio.holds(leastRatio());
    }

    /** The least that is asked of svd_lowrank's time over this library's; 0 where nothing is. */
    private double leastRatio() {
        if (!isSynthetic()) {
            return r >= 8 ? LEAST_GIVEN : 0;
        }
        return spectrum == Spectrum.INVERSE && m == 4096 && n == 4096 ? LEAST_SYNTHETIC : 0;
    }

    /** Whether it is of the same gradients. */
    boolean sameGradients(SvdItem other) {
        return other != null && spectrum == other.spectrum && m == other.m && n == other.n;
    }

    @Override
    public String toString() {
        return "svd " + (isSynthetic() ? m + "×" + n + " σ " + spectrum : "of gradients") + " r " + r;
    }
}
