package org.lora4j.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

import org.junit.jupiter.api.Test;

/** Who takes more rounds, and what is made of them. */
class PairedRunTest {
    /** Says that each call takes so long in the first round, and more in each after that: only ratios within a round are always the same. */
    private record Saying(String name, double ms) implements Timed {
        @Override
        public double[] run(int first, int calls) {
            double[] times = new double[calls];
            Arrays.fill(times, ms * (1 + first));
            return times;
        }
    }

    @Test
    void onlyTheUndecidedAndThisLibraryTakeMoreRounds() throws IOException {
        List<Timed> all = List.of(new Saying("ours", 20), new Saying("never", 20), new Saying("near", 21), new Saying("far", 40));
        PairedRun.Times times = PairedRun.inTurns(all, 1, 0, (name, ratio) -> name.equals("never") || (ratio.median() < 1.1 && ratio.count() < 50), c -> c.run(0, 1)[0]);
        Map<String, double[]> ms = times.ms();
        int most = times.rounds() + PairedRun.MOST_TIMES * PairedRun.MORE_ROUNDS;
        assertEquals(97, most);
        assertEquals(most, ms.get("ours").length);
        assertEquals(most, ms.get("never").length);
        assertEquals(times.rounds() + 2 * PairedRun.MORE_ROUNDS, ms.get("near").length);
        assertEquals(times.rounds(), ms.get("far").length);
        assertEquals(new Interval(1, 1, 1, most), times.ratio("never", "ours"));
        assertEquals(new Interval(1.05, 1.05, 1.05, times.rounds() + 2 * PairedRun.MORE_ROUNDS), times.ratio("near", "ours"));
        assertEquals(new Interval(2, 2, 2, times.rounds()), times.ratio("far", "ours"));
        assertEquals(times.rounds(), times.of("near").count());
    }

    @Test
    void aDecompositionIsUndecidedWhereTheIntervalHoldsWhatIsAsked() {
        Interval wide = new Interval(3.5, 2.5, 4.5, 7);
        assertTrue(new SvdItem(null, 0, 0, 8).isUndecided(wide));
        assertTrue(new SvdItem(Spectrum.INVERSE, 4096, 4096, 8).isUndecided(wide));
        assertFalse(new SvdItem(Spectrum.INVERSE, 4096, 4096, 8).isUndecided(new Interval(3.5, 2.5, 3.9, 7)), "4 is asked");
        assertFalse(new SvdItem(null, 0, 0, 8).isUndecided(new Interval(3.5, 3.1, 4.5, 7)), "3 is asked");
        assertFalse(new SvdItem(null, 0, 0, 4).isUndecided(wide), "nothing is asked of rank 4");
        assertFalse(new SvdItem(Spectrum.GEOMETRIC, 4096, 4096, 8).isUndecided(wide), "nothing is asked of this spectrum");
    }

    @Test
    void anItemIsUndecidedWhereTheIntervalHoldsWhatIsAsked() {
        Item pass = new Item(Work.FORWARD_BACKWARD, 512, 2048, 2048, 16);
        assertTrue(pass.isUndecided("peft", new Interval(1.2, 0.9, 1.4, 7)));
        assertFalse(pass.isUndecided("peft", new Interval(1.2, 1.1, 1.4, 7)));
        assertFalse(pass.isUndecided("peft", new Interval(0.9, 0.8, 0.95, 7)), "not reached is decided too");
        assertFalse(pass.isUndecided("nd4j", new Interval(1.2, 0.9, 1.4, 7)), "only its mean is asked for");
        assertTrue(pass.isUndecided("frozen", new Interval(0.95, 0.9, 0.96, 7)), "6 % overhead is a ratio of 0.943");
        assertFalse(pass.isUndecided("frozen", new Interval(0.97, 0.95, 0.98, 7)));
        double limit = pass.flops() / SquareProduct.FLOPS; // so many square products take as long at the limit
        assertTrue(pass.isUndecided(SquareProduct.NAME, new Interval(0.9 / limit, 0.8 / limit, 1 / limit, 7)));
        assertFalse(pass.isUndecided(SquareProduct.NAME, new Interval(0.9 / limit, 0.86 / limit, 1 / limit, 7)));
    }
}
