package org.lora4j.io;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;

/** What {@link PatternParser} makes of a pattern and {@link PythonPattern} runs. */
final class PatternProgram {
    private static final int MOST_STEPS = 100_000;

    enum Kind {
        /** The pattern, or what is looked ahead for, has matched. */
        END,
        /** One character of a set. */
        CHARACTER,
        /** Go on behind it, or at {@code other}. */
        SPLIT,
        /** Go on at {@code other}. */
        JUMP,
        /** What stands behind it, up to an END, must match here; then go on at {@code other}. */
        LOOK,
        /** The same, and must not match. */
        LOOK_NOT,
        /** Before the first character. */
        START,
        /** Behind the last character. */
        LAST,
        /** There, or before a last line feed. */
        LINE_END,
        /** Between a word's character and another. */
        WORD_EDGE,
        /** Not there. */
        NO_WORD_EDGE
    }

    record Step(Kind kind, IntPredicate characters, int other) {}

    private final List<Step> steps = new ArrayList<>();

    int size() {
        return steps.size();
    }

    Step step(int index) {
        return steps.get(index);
    }

    int add(Kind kind) {
        return add(new Step(kind, null, -1));
    }

    int add(Step step) {
        if (steps.size() == MOST_STEPS) {
            throw new PythonPattern.Refused("it is too large when its repeats are written out");
        }
        steps.add(step);
        return steps.size() - 1;
    }

    /** Takes the steps from {@code first} on away, which lead to each other only, for {@link #append}. */
    List<Step> cut(int first) {
        List<Step> block = new ArrayList<>(steps.subList(first, steps.size()));
        steps.subList(first, steps.size()).clear();
        return block;
    }

    /** Adds steps that were cut off at {@code first}. */
    void append(List<Step> block, int first) {
        int moved = steps.size() - first;
        block.forEach(s -> add(new Step(s.kind, s.characters, s.other < 0 ? -1 : s.other + moved)));
    }

    /** Lets the step at {@code index} go on at {@code other}. */
    void link(int index, int other) {
        steps.set(index, new Step(steps.get(index).kind, steps.get(index).characters, other));
    }
}
