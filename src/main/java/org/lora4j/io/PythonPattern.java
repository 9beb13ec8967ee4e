package org.lora4j.io;

import java.util.Arrays;
import java.util.BitSet;
import java.util.HashSet;
import java.util.Set;

/**
 * A regular expression of Python's {@code re}, for telling whether a name matches. What Java reads differently is read as
 * Python does, and the time is bounded by pattern times name, whatever a file may hold: each instruction is tried at most
 * once at each place of the name. What that leaves out (groups that are referred to, looking behind, flags) is refused.
 */
final class PythonPattern {
    /** How many instructions all matches of one adapter may take together: seconds, where honest ones take milliseconds. */
    static final class Budget {
        private long left = 500_000_000;
    }

    /** A pattern that is refused, with the reason. */
    static final class Refused extends RuntimeException {
        private static final long serialVersionUID = 1;

        Refused(String reason) {
            super(reason, null, false, false);
        }
    }

    private static final int MOST_STATES = 1 << 26; // 8 MB of memory

    private final PatternProgram program;
    private final Set<String> literals; // all that it matches; null where the pattern is more than an alternative of texts
    private final Budget budget;

    private PythonPattern(String whole, Set<String> literals, Budget budget) {
        this.literals = literals;
        this.budget = budget;
        this.program = literals != null ? null : new PatternParser(whole).program();
    }

    /** A pattern for {@link #fullMatch}. */
    static PythonPattern of(String python, Budget budget) {
        return new PythonPattern(python, literals(python), budget);
    }

    /** {@code (.*\.)?(python)$} for {@link #match}, which is how PEFT matches a key of rank_pattern or alpha_pattern. */
    static PythonPattern suffix(String python, Budget budget) {
        Set<String> literals = python.startsWith("^") ? literals(python.substring(1)) : null;
        return new PythonPattern("(.*\\.)?(" + python + ")$", literals != null && literals.size() == 1 ? literals : null, budget);
    }

    /** All that the pattern matches where it is an alternative of texts; null where it is more. */
    Set<String> literals() {
        return literals;
    }

    /** Whether all of {@code name} matches, as {@code re.fullmatch}. */
    boolean fullMatch(String name) {
        return run(name, true);
    }

    /** Whether {@code name} matches from its start on, as {@code re.match}. */
    boolean match(String name) {
        return run(name, false);
    }

    private boolean run(String name, boolean full) {
        if (literals != null) {
            return literals.contains(name);
        }
        return new Run(name.codePoints().toArray()).reaches(0, 0, full);
    }

    /** The search of one name: depth first, remembering where it has been. */
    private final class Run {
        private final int[] text;
        private final int width;

        Run(int[] text) {
            this.text = text;
            this.width = text.length + 1;
            if ((long) width * program.size() > MOST_STATES) {
                throw new Refused("it is too long for a name of " + text.length + " characters");
            }
        }

        /** Whether the end of the program that starts at {@code instruction} can be reached from {@code place}. */
        boolean reaches(int instruction, int place, boolean atEnd) {
            BitSet been = new BitSet();
            Stack open = new Stack();
            open.push(instruction * width + place);
            while (open.size > 0) {
                int state = open.states[--open.size];
                int pc = state / width;
                int at = state % width;
                if (--budget.left < 0) {
                    throw new Refused("matching it takes too long");
                }
                if (been.get(state)) {
                    continue;
                }
                been.set(state);
                PatternProgram.Step step = program.step(pc);
                switch (step.kind()) {
                    case END -> {
                        if (!atEnd || at == text.length) {
                            return true;
                        }
                    }
                    case CHARACTER -> {
                        if (at < text.length && step.characters().test(text[at])) {
                            open.push(state + width + 1);
                        }
                    }
                    case SPLIT -> {
                        open.push(step.other() * width + at);
                        open.push(state + width);
                    }
                    case JUMP -> open.push(step.other() * width + at);
                    case LOOK, LOOK_NOT -> {
                        if (reaches(pc + 1, at, false) == (step.kind() == PatternProgram.Kind.LOOK)) {
                            open.push(step.other() * width + at);
                        }
                    }
                    default -> {
                        if (holds(step.kind(), at)) {
                            open.push(state + width);
                        }
                    }
                }
            }
            return false;
        }

        private boolean holds(PatternProgram.Kind kind, int at) {
            return switch (kind) {
                case START -> at == 0;
                case LAST -> at == text.length;
                case LINE_END -> at == text.length || at == text.length - 1 && text[at] == '\n';
                case WORD_EDGE -> isEdge(at);
                default -> !isEdge(at);
            };
        }

        private boolean isEdge(int at) {
            boolean before = at > 0 && PatternParser.isWord(text[at - 1]);
            return before != (at < text.length && PatternParser.isWord(text[at]));
        }
    }

    private static final class Stack {
        private int[] states = new int[64];
        private int size;

        void push(int state) {
            if (size == states.length) {
                states = Arrays.copyOf(states, 2 * size);
            }
            states[size++] = state;
        }
    }

    /** A pattern that matches {@code name} and nothing else. */
    static String quoted(String name) {
        StringBuilder quoted = new StringBuilder();
        for (char c : name.toCharArray()) {
            quoted.append(isPlain(c) || c > 127 ? "" : "\\").append(c);
        }
        return quoted.toString();
    }

    private static boolean isPlain(char c) {
        return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_';
    }

    /** What a pattern like {@code a\.b|c} matches: the fast way for adapters that name each module. Null for any other. */
    private static Set<String> literals(String python) {
        Set<String> literals = new HashSet<>();
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < python.length(); i++) {
            char c = python.charAt(i);
            boolean escaped = c == '\\' && i + 1 < python.length() && !isPlain(python.charAt(i + 1));
            if (c == '|') {
                literals.add(text.toString());
                text.setLength(0);
            } else if (escaped || isPlain(c)) {
                text.append(escaped ? python.charAt(++i) : c);
            } else {
                return null;
            }
        }
        literals.add(text.toString());
        return literals;
    }
}
