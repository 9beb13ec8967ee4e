package org.lora4j.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** What all commands have in common. */
@Command(synopsisHeading = "Usage: ", descriptionHeading = "%n", optionListHeading = "%nOptions:%n", footerHeading = "%nExamples:%n",
        sortOptions = false, showDefaultValues = false)
abstract class Verb implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(names = "--json", order = 100, description = "Print one JSON document on standard output and nothing else there.")
    private boolean json;

    @Option(names = "--verbose", order = 101, description = "After a failure, show where it happened.")
    private boolean verbose;

    @Option(names = {"-h", "--help"}, order = 102, usageHelp = true, description = "Show this help and exit.")
    private boolean help;

    /** Carries an {@link Error} that has a meaning for the user: no memory, no native library, too deep a recursion. */
    static final class Fatal extends RuntimeException {
        private static final long serialVersionUID = 1;

        Fatal(Error cause) {
            super(cause);
        }
    }

    /** Does the work and shows its result. */
    abstract void run() throws Exception;

    @Override
    public final Integer call() throws Exception {
        try {
            run();
            return Failures.DONE;
        } catch (Error e) {
            throw new Fatal(e);
        }
    }

    final boolean isVerbose() {
        return verbose;
    }

    final boolean isJson() {
        return json;
    }

    final PrintWriter out() {
        return spec.commandLine().getOut();
    }

    final PrintWriter err() {
        return spec.commandLine().getErr();
    }

    /** Shows a result: as text for people, or as JSON. */
    final void show(Object result, Runnable text) {
        if (json) {
            out().println(json(result));
        } else {
            text.run();
        }
        out().flush();
    }

    static String json(Object value) {
        try {
            return new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }
}
