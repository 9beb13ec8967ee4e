package org.lora4j.init;

import java.util.Random;

/**
 * Which of the 2r leading singular vectors of the gradient go into A0 (right ones) and which into B0 (left ones).
 * Their index sets are disjoint, so that A and B move in different directions (arXiv 2407.05000, section 3.2 and the
 * ablation in its appendix).
 */
public enum Direction {
    /** A0 takes 1 … r, B0 takes r+1 … 2r: the paper's choice. */
    AR_B2R {
        @Override
        int[][] indices(int r, long seed) {
            return new int[][] {range(0, 1, r), range(r, 1, r)};
        }
    },
    /** A0 takes r+1 … 2r, B0 takes 1 … r. */
    A2R_BR {
        @Override
        int[][] indices(int r, long seed) {
            return new int[][] {range(r, 1, r), range(0, 1, r)};
        }
    },
    /** A0 takes the even ones 2, 4, … 2r, B0 the odd ones 1, 3, … 2r−1. */
    AR_BR {
        @Override
        int[][] indices(int r, long seed) {
            return new int[][] {range(1, 2, r), range(0, 2, r)};
        }
    },
    /** A random half each, without a common one. */
    RANDOM {
        @Override
        int[][] indices(int r, long seed) {
            int[] p = range(0, 1, 2 * r);
            Random random = new Random(seed);
            for (int i = 2 * r - 1; i > 0; i--) {
                int j = random.nextInt(i + 1);
                int swap = p[i];
                p[i] = p[j];
                p[j] = swap;
            }
            return new int[][] {java.util.Arrays.copyOfRange(p, 0, r), java.util.Arrays.copyOfRange(p, r, 2 * r)};
        }
    };

    /** The r indices, from 0, for A0 and the r for B0. */
    abstract int[][] indices(int r, long seed);

    private static int[] range(int first, int step, int count) {
        int[] indices = new int[count];
        for (int i = 0; i < count; i++) {
            indices[i] = first + i * step;
        }
        return indices;
    }
}
