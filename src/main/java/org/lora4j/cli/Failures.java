package org.lora4j.cli;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

import org.lora4j.device.DeviceUnavailableException;
import org.lora4j.device.NativeException;
import org.lora4j.device.OutOfDeviceMemoryException;
import org.lora4j.init.IncompleteModelException;
import org.lora4j.init.ModelReport;
import org.lora4j.io.PeftException;
import org.lora4j.io.SafeTensorsException;

import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/** What the user sees of a failure: one line and an exit status. With {@code --verbose} the stack trace too. */
final class Failures {
    static final int DONE = 0;
    static final int FAILED = 1;
    static final int BAD_INPUT = 2;

    private Failures() {}

    /** Arguments that can't be understood. */
    static int wrongUsage(ParameterException e, String[] args) {
        CommandLine command = e.getCommandLine();
        String name = command.getCommandSpec().qualifiedName();
        String hint = e instanceof UnmatchedArgumentException u ? String.join(" or ", u.getSuggestions().stream().limit(2).toList()) : "";
        print(command, e.getMessage() + (hint.isEmpty() ? "" : "; is it " + hint + "?") + "; see " + name + " --help");
        return BAD_INPUT;
    }

    /** A command that ended with an exception. */
    static int failed(Exception e, CommandLine command, ParseResult arguments) {
        if (!Staging.isInterrupted()) {
            print(command, message(cause(e)));
            if (command.getCommand() instanceof Verb verb && verb.isVerbose()) {
                cause(e).printStackTrace(command.getErr());
            }
        }
        return isBadInput(cause(e)) ? BAD_INPUT : FAILED;
    }

    private static Throwable cause(Exception e) {
        return e instanceof Verb.Fatal ? e.getCause() : e;
    }

    private static void print(CommandLine command, String message) {
        command.getErr().println(oneLine(command.getCommandSpec().qualifiedName() + ": " + message));
        command.getErr().flush();
    }

    private static boolean isBadInput(Throwable e) {
        if (e instanceof IncompleteModelException incomplete && incomplete.report() != null) {
            return incomplete.report().failures().stream().allMatch(f -> isBadInput(f.cause()));
        }
        return e instanceof BadInput || e instanceof SafeTensorsException || e instanceof PeftException || e instanceof IllegalArgumentException || e instanceof NoSuchFileException;
    }

    private static String message(Throwable e) {
        return switch (e) {
            case NoSuchFileException f -> f.getFile() + ": there is no such file or folder";
            case AccessDeniedException f -> f.getFile() + ": access denied";
            case NotDirectoryException f -> f.getFile() + ": it is not a folder";
            case FileSystemException f -> f.getMessage();
            case IOException f when f.getMessage() != null -> f.getMessage();
            case OutOfMemoryError f -> "out of memory: " + f.getMessage() + "; give Java more with -Xmx and -XX:MaxDirectMemorySize";
            case DeviceUnavailableException f -> f.getMessage() + "; see lora4j devices";
            case IncompleteModelException f when f.report() != null && !f.report().failures().isEmpty() -> message(f.report());
            case IncompleteModelException f -> f.getMessage();
            case BadInput f -> f.getMessage();
            case IllegalArgumentException f when f.getMessage() != null -> f.getMessage();
            case NativeException f -> f.getMessage();
            case OutOfDeviceMemoryException f -> f.getMessage();
            case UnsatisfiedLinkError f -> f.getMessage();
            default -> "a defect of lora4j: " + e + "; --verbose shows where";
        };
    }

    /** The first layer that failed, and how many. */
    private static String message(ModelReport report) {
        ModelReport.Failure first = report.failures().getFirst();
        int others = report.failures().size() - 1;
        return first.name() + ": " + message(first.cause()) + (others == 0 ? "" : " (and " + others + " other layers failed)");
    }

    /** The text on one line, a space for every stretch of control characters and white space beside it. */
    static String oneLine(String text) {
        return text.replaceAll("\\s*[\\p{Cc}\\u2028\\u2029]+\\s*", " ").strip();
    }
}
