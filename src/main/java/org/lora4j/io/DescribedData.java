package org.lora4j.io;

import java.io.IOException;

/** Elements by their type, their shape and what gives them. */
record DescribedData(TensorType type, long[] shape, Source source) implements TensorData {
    /** @throws IllegalArgumentException when the shape has no size in bytes */
    DescribedData {
        try {
            type.bytes(shape);
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException(type + " of shape " + TensorHeader.shown(shape) + ": " + e.getMessage());
        }
    }

    @Override
    public long[] shape() {
        return shape.clone();
    }

    @Override
    public void writeTo(Sink sink) throws IOException {
        source.writeTo(sink);
    }
}
