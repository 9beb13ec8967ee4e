package org.lora4j.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.lora4j.bench.Gate.Ratio;

/** The gate sees what has become slower, and nothing else. */
class GateTest {
    private static final int ROUNDS = 11;

    /** The ratio of a peer that takes 20 ms to a library that takes {@code ms}, both with 3 % noise. */
    private static Ratio ratio(double ms, Random random) {
        double[] ratios = random.doubles(ROUNDS, 0.97, 1.03).map(noise -> 20 / ms * noise).toArray();
        Interval i = Interval.of(ratios);
        return new Ratio("forward", 512, 64, 64, 4, "nd4j", i.median(), i.low(), i.high());
    }

    @Test
    void aFifthSlowerIsARegression() {
        Random random = new Random(1);
        for (int i = 0; i < 100; i++) {
            assertEquals(1, Gate.compare(List.of(ratio(10, random)), List.of(ratio(12, random))).regressions().size());
        }
    }

    @Test
    void unchangedOrFasterIsNone() {
        Random random = new Random(2);
        for (int i = 0; i < 100; i++) {
            assertEquals(List.of(), Gate.compare(List.of(ratio(10, random)), List.of(ratio(10, random), ratio(5, random))).regressions());
            assertEquals(List.of(), Gate.compare(List.of(ratio(10, random)), List.of(ratio(5, random))).regressions());
        }
    }

    @Test
    void whatWasNotMeasuredIsNamed() {
        Gate.Verdict verdict = Gate.compare(List.of(ratio(10, new Random(3))), List.of());
        assertEquals(0, verdict.compared());
        assertEquals(List.of("forward 512×64×64 r 4 against nd4j"), verdict.missing());
    }

    @Test
    void aBaselineOfTwoRunsHoldsBoth() {
        Ratio a = new Ratio("init", 0, 8, 8, 2, "peft", 2, 1.9, 2.1);
        Ratio b = new Ratio("init", 0, 8, 8, 2, "peft", 3, 2.8, 3.1);
        assertEquals(List.of(new Ratio("init", 0, 8, 8, 2, "peft", 2.5, 1.9, 3.1)), Gate.widened(List.of(a), List.of(b)));
        assertEquals(List.of(a), Gate.widened(List.of(a), List.of()));
    }

    @Test
    void theIntervalHoldsTheMedianOfItsDistribution() {
        Random random = new Random(4);
        for (int n : new int[] {7, 11, 21}) {
            int held = 0;
            for (int i = 0; i < 2000; i++) {
                Interval interval = Interval.of(random.doubles(n).toArray());
                held += interval.low() <= 0.5 && 0.5 <= interval.high() ? 1 : 0;
            }
            assertTrue(held >= 0.94 * 2000, n + " values: " + held + " of 2000");
        }
    }
}
