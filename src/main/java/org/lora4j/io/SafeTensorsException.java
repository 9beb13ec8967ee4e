package org.lora4j.io;

import java.io.IOException;
import java.nio.file.Path;

/**
 * A safetensors file, or the index of several, that breaks the format's rules or is not what it was. The message is one
 * line: file, tensor, reason. It is an {@link IOException} because whoever opens a file must handle one anyway, and a
 * malformed file is to them what an unreadable one is.
 */
public final class SafeTensorsException extends IOException {
    private static final long serialVersionUID = 1;
    private static final int LONGEST_NAME = 200;

    private final transient Path file;
    private final String tensor;

    SafeTensorsException(Path file, String tensor, String reason) {
        super(oneLine(file + ": " + (tensor == null ? "" : "tensor \"" + shortened(tensor) + "\": ") + reason));
        this.file = file;
        this.tensor = tensor;
    }

    /** The file that is wrong. */
    public Path file() {
        return file;
    }

    /** The name of the tensor that is wrong; null where the file as a whole is. */
    public String tensor() {
        return tensor;
    }

    /** A name from a file, not longer than a message bears. */
    static String shortened(String name) {
        return name.length() <= LONGEST_NAME ? name : name.substring(0, LONGEST_NAME) + "… (" + name.length() + " characters)";
    }

    /** The text with a space for every control character. */
    static String oneLine(String text) {
        StringBuilder line = new StringBuilder(text);
        for (int i = 0; i < line.length(); i++) {
            if (Character.isISOControl(line.charAt(i))) {
                line.setCharAt(i, ' ');
            }
        }
        return line.toString();
    }
}
