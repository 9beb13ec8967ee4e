package org.lora4j.io;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** A tensor of an open {@link SafeTensors}. Nothing of it is in memory but its name, type and shape. */
public final class Tensor implements TensorData {
    private final TensorFile file;
    private final TensorHeader.Entry entry;

    Tensor(TensorFile file, TensorHeader.Entry entry) {
        this.file = file;
        this.entry = entry;
    }

    /** Its name in the file. */
    public String name() {
        return entry.name();
    }

    @Override
    public TensorType type() {
        return entry.type();
    }

    @Override
    public long[] shape() {
        return entry.shape().clone();
    }

    /**
     * Its bytes in the mapped file, read-only, not always aligned to its type; nothing is copied. Valid until
     * {@link SafeTensors#close()}.
     *
     * <p>If somebody cuts the file while it is mapped, Java code that touches what is gone gets an {@link InternalError},
     * and native code ends the process. So read with the other methods, which go through the file and find that out in
     * time, before native code gets the numbers.
     *
     * @throws IllegalStateException on use after close
     */
    public MemorySegment segment() {
        return file.segment(entry);
    }

    @Override
    public void writeTo(Sink sink) throws IOException {
        file.read(entry, sink);
    }

    @Override
    public String toString() {
        return "\"" + name() + "\" " + type() + " " + TensorHeader.shown(entry.shape());
    }
}
