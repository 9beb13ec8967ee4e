package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;

import org.junit.jupiter.api.Test;

/** Steps that must all be tried are, whichever fail. */
class FailuresTest {
    final List<Integer> tried = new ArrayList<>();

    private Runnable step(int number, RuntimeException failure) {
        return () -> {
            tried.add(number);
            if (failure != null) {
                throw failure;
            }
        };
    }

    @Test
    void theFirstFailureIsThrownWithTheOthers() {
        RuntimeException first = new IllegalStateException("first");
        RuntimeException second = new IllegalArgumentException("second");
        assertSame(first, assertThrows(RuntimeException.class,
                () -> Failures.runAll(List.of(step(1, null), step(2, first), step(3, null), step(4, second), step(5, null)))));
        assertArrayEquals(new Throwable[] {second}, first.getSuppressed());
        assertEquals(List.of(1, 2, 3, 4, 5), tried);
    }

    /** As where one broken library gives every step the same answer. */
    @Test
    void theSameFailureTwiceDoesNotEndTheSteps() {
        RuntimeException same = new IllegalStateException("same");
        assertSame(same, assertThrows(RuntimeException.class, () -> Failures.runAll(List.of(step(1, same), step(2, same), step(3, null)))));
        assertEquals(List.of(1, 2, 3), tried);
    }

    @Test
    void withoutAFailureNothingIsThrown() {
        Failures.runAll(List.of());
        Failures.runAll(List.of(step(1, null), step(2, null)));
        assertEquals(List.of(1, 2), tried);
    }
}
