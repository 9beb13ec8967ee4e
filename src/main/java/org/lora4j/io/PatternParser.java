package org.lora4j.io;

import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;

import org.lora4j.io.PatternProgram.Kind;
import org.lora4j.io.PythonPattern.Refused;

/** Reads the text of a Python pattern. Greedy or not makes no difference to whether a name matches. */
final class PatternParser {
    private static final int DEEPEST = 200;
    private static final int MOST_REPEATS = 1000;

    private final int[] text;
    private final PatternProgram program = new PatternProgram();
    private int at;
    private int depth;

    PatternParser(String pattern) {
        text = pattern.codePoints().toArray();
    }

    PatternProgram program() {
        alternatives();
        if (at < text.length) {
            throw new Refused("a ) closes nothing");
        }
        program.add(Kind.END);
        return program;
    }

    private boolean accept(String expected) {
        for (int i = 0; i < expected.length(); i++) {
            if (at + i >= text.length || text[at + i] != expected.charAt(i)) {
                return false;
            }
        }
        at += expected.length();
        return true;
    }

    private boolean isAt(char c) {
        return at < text.length && text[at] == c;
    }

    private int next() {
        if (at == text.length) {
            throw new Refused("it ends in the middle");
        }
        return text[at++];
    }

    /** a|b|c: each but the last is split from the next and jumps to the end. */
    private void alternatives() {
        if (++depth > DEEPEST) {
            throw new Refused("its groups are nested too deeply");
        }
        int[] jumps = new int[4];
        int count = 0;
        while (true) {
            int split = program.add(Kind.SPLIT);
            sequence();
            if (!accept("|")) {
                program.link(split, split + 1);
                break;
            }
            if (count == jumps.length) {
                jumps = Arrays.copyOf(jumps, 2 * count);
            }
            jumps[count++] = program.add(Kind.JUMP);
            program.link(split, program.size());
        }
        for (int i = 0; i < count; i++) {
            program.link(jumps[i], program.size());
        }
        depth--;
    }

    private void sequence() {
        while (at < text.length && !isAt('|') && !isAt(')')) {
            int first = program.size();
            atom();
            repeats(first);
        }
    }

    /** Writes the atom whose steps stand from {@code first} on as often as what follows it says. */
    private void repeats(int first) {
        int behind = at;
        int least = 1;
        int most = 1; // −1: without end
        if (accept("*")) {
            least = 0;
            most = -1;
        } else if (accept("+")) {
            most = -1;
        } else if (accept("?")) {
            least = 0;
        } else if (isAt('{')) {
            at++;
            least = isAt(',') ? 0 : number();
            most = !accept(",") ? least : isAt('}') ? -1 : number();
            if (!accept("}") || most >= 0 && most < least) {
                throw new Refused("the repeat at character " + behind + " is not {n}, {n,}, {,m} or {n,m}");
            }
        } else {
            return;
        }
        if (accept("+") || isAt('*') || isAt('{') || accept("?") && (isAt('?') || isAt('*') || isAt('+') || isAt('{'))) {
            throw new Refused("the repeat at character " + behind + " is repeated or possessive");
        }
        List<PatternProgram.Step> block = program.cut(first);
        for (int i = 0; i < least; i++) {
            program.append(block, first);
        }
        if (most < 0) {
            int split = program.add(Kind.SPLIT);
            program.append(block, first);
            program.link(program.add(Kind.JUMP), split);
            program.link(split, program.size());
        }
        int[] splits = new int[Math.max(0, most - least)];
        for (int i = 0; i < splits.length; i++) {
            splits[i] = program.add(Kind.SPLIT);
            program.append(block, first);
        }
        for (int split : splits) {
            program.link(split, program.size());
        }
    }

    private int number() {
        int n = -1;
        while (at < text.length && text[at] >= '0' && text[at] <= '9') {
            n = Math.max(n, 0) * 10 + text[at++] - '0';
            if (n > MOST_REPEATS) {
                throw new Refused("it repeats more than " + MOST_REPEATS + " times");
            }
        }
        if (n < 0) {
            throw new Refused("the { at character " + at + " starts no repeat");
        }
        return n;
    }

    private void atom() {
        int c = next();
        switch (c) {
            case '(' -> group();
            case '[' -> characters(set());
            case '.' -> characters(x -> x != '\n');
            case '^' -> program.add(Kind.START);
            case '$' -> program.add(Kind.LINE_END);
            case '*', '+', '?', '{' -> throw new Refused("the " + Character.toString(c) + " at character " + (at - 1) + " repeats nothing");
            case '\\' -> escape();
            default -> characters(x -> x == c);
        }
    }

    private void characters(IntPredicate set) {
        program.add(new PatternProgram.Step(Kind.CHARACTER, set, -1));
    }

    private void group() {
        int open = at - 1;
        boolean not = accept("?!");
        int look = not || accept("?=") ? program.add(not ? Kind.LOOK_NOT : Kind.LOOK) : -1;
        if (look < 0 && accept("?P<")) {
            while (next() != '>') {
                // the group's name, which nothing refers to
            }
        } else if (look < 0 && !accept("?:") && isAt('?')) {
            throw new Refused("the group at character " + open + " is of a kind that this library does not know");
        }
        alternatives();
        if (!accept(")")) {
            throw new Refused("the ( at character " + open + " is not closed");
        }
        if (look >= 0) {
            program.add(Kind.END);
            program.link(look, program.size());
        }
    }

    private void escape() {
        switch (next()) {
            case 'A' -> program.add(Kind.START);
            case 'Z', 'z' -> program.add(Kind.LAST);
            case 'b' -> program.add(Kind.WORD_EDGE);
            case 'B' -> program.add(Kind.NO_WORD_EDGE);
            default -> {
                at--;
                characters(escaped());
            }
        }
    }

    /** The set that the character behind a backslash stands for, within brackets or not. */
    private IntPredicate escaped() {
        int c = next();
        return switch (c) {
            case 'd' -> Character::isDigit;
            case 'D' -> x -> !Character.isDigit(x);
            case 'w' -> PatternParser::isWord;
            case 'W' -> x -> !isWord(x);
            case 's' -> PatternParser::isSpace;
            case 'S' -> x -> !isSpace(x);
            default -> {
                int literal = literal(c);
                yield x -> x == literal;
            }
        };
    }

    private int literal(int c) {
        boolean letter = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9';
        int known = "abtnvfr".indexOf(c);
        if (letter && known < 0) {
            throw new Refused("the escape \\" + Character.toString(c) + " is one that this library does not know");
        }
        return letter ? "\u0007\b\t\n\u000b\f\r".charAt(known) : c;
    }

    /** […] behind its opening bracket. */
    private IntPredicate set() {
        boolean not = accept("^");
        IntPredicate set = x -> false;
        boolean first = true;
        for (int c = next(); first || c != ']'; c = next(), first = false) {
            boolean aSet = c == '\\' && at < text.length && "dDwWsS".indexOf(text[at]) >= 0;
            if (aSet) {
                set = set.or(escaped());
                continue;
            }
            int from = c == '\\' ? literal(next()) : c;
            int to = from;
            if (isAt('-') && at + 1 < text.length && text[at + 1] != ']') {
                at++;
                int last = next();
                to = last == '\\' ? literal(next()) : last;
                if (to < from || last == '\\' && "dDwWsS".indexOf(text[at - 1]) >= 0) {
                    throw new Refused("the range before character " + at + " runs backwards");
                }
            }
            int low = from;
            int high = to;
            set = set.or(x -> x >= low && x <= high);
        }
        return not ? set.negate() : set;
    }

    static boolean isWord(int x) {
        return Character.isLetterOrDigit(x) || x == '_';
    }

    private static boolean isSpace(int x) {
        return Character.isWhitespace(x) || Character.isSpaceChar(x);
    }
}
