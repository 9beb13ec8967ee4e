package org.lora4j.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Measures in pairs: every contender's result is verified, then all take turns, round by round, each time in another
 * order. A turn is a pause, in which the worker threads of the one before go to sleep; one call that is not counted, which wakes
 * this one's and takes up to 2 ms longer (of calls of a second none is needed); then calls for at least {@link #LEAST_MS}. What counts is the mean of a turn, and
 * ratios are within a round.
 */
final class PairedRun {
    private static final double LEAST_MS = 20;
    private static final int MOST_CALLS = 64;
    /** OpenBLAS's threads spin for 25 ms after a product. */
    private static final int PAUSE_MS = 35;
    private static final int FEWEST_ROUNDS = 7;
    private static final int MOST_ROUNDS = 21;
    /** While the JVM compiles, its compiler and spinning threads fight for the processors. */
    private static final double WARM_MS = 500;
    /** Short calls are made of many small operations, each of which the JVM has to compile: below this they warm up longer. */
    private static final double SHORT_MS = 10;
    private static final double WARM_SHORT_MS = 2500;
    /** For longer calls waking counts for nothing. */
    private static final double LONG_MS = 1000;
    /** Slower ones take part in three rounds only. */
    private static final double SLOW_MS = 3000;
    private static final int SLOW_ROUNDS = 3;
    /** Of those that are undecided, after the rounds of all; so often at most. */
    static final int MORE_ROUNDS = 30;
    static final int MOST_TIMES = 3;

    /** Whether by a contender's time over this library's so far it takes more rounds with this library. */
    interface Undecided {
        boolean test(String contender, Interval ratio);
    }

    /**
     * Milliseconds by contender, one value a round; how many rounds all but slow ones took part in, before those of the undecided;
     * for each that was left out the reason; and how much of the processors other processes used meanwhile, which spoils times.
     */
    record Times(Map<String, double[]> ms, int rounds, Map<String, String> absent, double othersPercent) {
        /** Milliseconds in the rounds in which all took part. */
        Interval of(String name) {
            double[] all = ms.get(name);
            return Interval.of(Arrays.copyOf(all, Math.min(all.length, rounds)));
        }

        /** The other's time over the time of {@code name}, round by round. */
        Interval ratio(String other, String name) {
            double[] a = ms.get(other);
            double[] b = ms.get(name);
            double[] ratios = new double[Math.min(a.length, b.length)];
            for (int i = 0; i < ratios.length; i++) {
                ratios[i] = a[i] / b[i];
            }
            return Interval.of(ratios);
        }
    }

    /** Gets a contender ready. */
    interface Start<T extends Timed> {
        /**
         * Prepares it, runs it once and verifies what it found.
         *
         * @return the milliseconds of that run
         * @throws ArithmeticException saying what is wrong
         */
        double verified(T contender) throws IOException;
    }

    /** A contender's turn: calls that are not counted, calls that are, and whether it has few turns. */
    private record Turn(int warm, int calls, boolean slow) {
        static Turn of(double ms) {
            return new Turn(ms < LONG_MS ? 1 : 0, (int) Math.clamp(Math.ceil(LEAST_MS / ms), 1, MOST_CALLS), ms > SLOW_MS);
        }
    }

    private PairedRun() {}

    /**
     * Measures one item.
     *
     * @param contenders the first is this library, which must be right; another that is wrong is left out with the reason
     * @param seconds about how long the rounds of all may take; at least {@link #FEWEST_ROUNDS} are made
     */
    static Measured measure(Item item, List<Contender> contenders, long seed, double seconds, Undecided undecided, Machine machine) throws IOException {
        Map<String, Double> captured = new LinkedHashMap<>();
        List<Contender> prepared = new ArrayList<>();
        try {
            Inputs inputs = new Inputs(item, seed, machine.cacheBytes());
            Times times = inTurns(contenders.stream().filter(c -> c.takes(item)).toList(), 1, seconds, undecided, c -> {
                prepared.add(c);
                c.prepare(item, inputs);
                double ms = c.run(0, 1)[0];
                if (c.hasResults()) {
                    captured.put(c.name(), Verification.check(item, inputs.get(0), c.results(Verification.wanted(item.work()))));
                }
                return ms;
            });
            return Measured.of(item, times, captured);
        } finally {
            for (Contender c : prepared) {
                c.release();
            }
            System.gc();
        }
    }

    /**
     * Runs the rounds.
     *
     * @param contenders the first is this library, which must be right; another that is wrong is left out with the reason
     * @param works of which a call consists: whether these are short decides how long they warm up
     * @param seconds about how long the rounds of all may take; at least {@link #FEWEST_ROUNDS} are made
     */
    static <T extends Timed> Times inTurns(List<T> contenders, int works, double seconds, Undecided undecided, Start<T> start) throws IOException {
        Map<String, String> absent = new LinkedHashMap<>();
        Map<Timed, Turn> turns = new LinkedHashMap<>();
        double round = 0;
        for (T c : contenders) {
            try {
                double ms = start.verified(c);
                long warming = System.nanoTime();
                for (double spent = 0; ms < SLOW_MS && spent < (ms / works < SHORT_MS ? WARM_SHORT_MS : WARM_MS);) {
                    ms = c.run(1, 1)[0];
                    spent = (System.nanoTime() - warming) / 1e6;
                }
                Turn turn = Turn.of(ms);
                turns.put(c, turn);
                round += turn.slow ? 0 : PAUSE_MS + (turn.warm + turn.calls) * ms;
            } catch (IOException | RuntimeException e) {
                if (c == contenders.getFirst()) {
                    throw e;
                }
                absent.put(c.name(), String.valueOf(e.getMessage()));
            }
        }
        int rounds = round == 0 ? FEWEST_ROUNDS : (int) Math.clamp(1000 * seconds / round, FEWEST_ROUNDS, MOST_ROUNDS);
        long began = System.nanoTime();
        double before = Machine.othersSeconds();
        Map<String, double[]> ms = new LinkedHashMap<>();
        List<Timed> order = new ArrayList<>(turns.keySet());
        rounds(order, turns, rounds, ms);
        Times times = new Times(ms, rounds, absent, 0);
        String ours = contenders.getFirst().name();
        for (int i = 0; i < MOST_TIMES && !turns.get(contenders.getFirst()).slow; i++) {
            order.removeIf(c -> !c.name().equals(ours) && (turns.get(c).slow || !undecided.test(c.name(), times.ratio(c.name(), ours))));
            rounds(order, turns, order.size() > 1 ? MORE_ROUNDS : 0, ms);
        }
        double others = (Machine.othersSeconds() - before) / ((System.nanoTime() - began) / 1e9) / Runtime.getRuntime().availableProcessors();
        return new Times(ms, rounds, absent, 100 * Math.max(0, others));
    }

    /** Adds rounds of those in {@code order} to what each of them has. */
    private static void rounds(List<Timed> order, Map<Timed, Turn> turns, int rounds, Map<String, double[]> ms) throws IOException {
        for (int i = 0; i < rounds; i++) {
            for (Timed c : order) {
                double[] so = ms.getOrDefault(c.name(), new double[0]);
                Turn turn = turns.get(c);
                if (!turn.slow || so.length < SLOW_ROUNDS) {
                    pause();
                    double[] times = c.run(3 + 5 * so.length, turn.warm + turn.calls);
                    so = Arrays.copyOf(so, so.length + 1);
                    so[so.length - 1] = Arrays.stream(times).skip(turn.warm).average().orElseThrow();
                    ms.put(c.name(), so);
                }
            }
            Collections.rotate(order, 1);
        }
    }

    private static void pause() {
        try {
            Thread.sleep(PAUSE_MS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }
}
