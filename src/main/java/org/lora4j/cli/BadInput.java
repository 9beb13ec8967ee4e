package org.lora4j.cli;

/** What the user gave can't be used: an argument, or a file that an argument names. */
final class BadInput extends Exception {
    private static final long serialVersionUID = 1;

    BadInput(String message) {
        super(message);
    }
}
