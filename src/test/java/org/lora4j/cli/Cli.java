package org.lora4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

/** The command run in this JVM, its streams captured. */
final class Cli {
    private Cli() {}

    /** How a command ended and what it wrote. */
    record Result(int status, String out, String err) {
        Result assertDone() {
            assertEquals(0, status, err);
            return this;
        }

        /** Asserts that the command failed with one line on standard error, nothing on standard output and no stack trace. */
        Result assertFailed(int expected, String... words) {
            assertEquals(expected, status, out + err);
            assertEquals("", out);
            assertEquals(1, err.lines().count(), err);
            assertTrue(err.endsWith(System.lineSeparator()) && err.startsWith("lora4j"), err);
            assertFalse(err.contains("Exception") || err.contains("\tat "), err);
            assertFalse(err.contains("a defect"), err);
            for (String word : words) {
                assertTrue(err.contains(word), "\"" + word + "\" in: " + err);
            }
            return this;
        }

        /** The one JSON document that standard output is. */
        JsonNode json() {
            try {
                return new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).readTree(out);
            } catch (JsonProcessingException e) {
                throw new UncheckedIOException((IOException) e);
            }
        }
    }

    static Result run(Object... arguments) {
        String[] texts = new String[arguments.length];
        for (int i = 0; i < texts.length; i++) {
            texts[i] = arguments[i].toString();
        }
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        int status = Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err)).execute(texts);
        return new Result(status, out.toString(), err.toString());
    }
}
