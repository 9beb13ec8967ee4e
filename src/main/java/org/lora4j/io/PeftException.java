package org.lora4j.io;

import java.io.IOException;
import java.nio.file.Path;

/**
 * An adapter folder that is incomplete, contradicts itself, or uses what this library does not compute. The message is one
 * line: file, field or tensor or module, reason.
 */
public final class PeftException extends IOException {
    private static final long serialVersionUID = 1;

    private final transient Path file;
    private final String subject;

    PeftException(Path file, String subject, String reason) {
        super(SafeTensorsException.oneLine(file + ": " + (subject == null ? "" : SafeTensorsException.shortened(subject) + ": ") + reason));
        this.file = file;
        this.subject = subject;
    }

    /** The file or folder that is wrong. */
    public Path file() {
        return file;
    }

    /** The field, tensor or module that is wrong; null where the file as a whole is. */
    public String subject() {
        return subject;
    }
}
