package org.lora4j.io;

import java.io.IOException;
import java.io.StringWriter;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

import com.fasterxml.jackson.core.JsonGenerator;

import org.lora4j.file.AtomicFile;

/** The header and the order of the data of a file to be written, byte for byte as the format's reference has them. */
final class SafeTensorsWriter {
    private final Map<String, TensorData> tensors = new LinkedHashMap<>(); // in the order of the data
    private final byte[] header;

    SafeTensorsWriter(Map<String, ? extends TensorData> tensors, Map<String, String> metadata) throws IOException {
        tensors.entrySet().stream().map(e -> Map.entry(e.getKey(), (TensorData) e.getValue()))
                .sorted((a, b) -> a.getValue().type() != b.getValue().type()
                        ? b.getValue().type().compareTo(a.getValue().type())
                        : Arrays.compareUnsigned(utf8(a.getKey()), utf8(b.getKey())))
                .forEach(e -> this.tensors.put(e.getKey(), e.getValue()));
        StringWriter json = new StringWriter();
        try (JsonGenerator generator = Json.compact(json)) {
            writeHeader(generator, metadata);
        }
        byte[] text = utf8(json.toString());
        header = Arrays.copyOf(text, Math.ceilDiv(text.length, 8) * 8);
        Arrays.fill(header, text.length, header.length, (byte) ' ');
        if (header.length > TensorHeader.MAX_BYTES) {
            throw new IllegalArgumentException("a header of " + header.length + " bytes is over the format's limit of " + TensorHeader.MAX_BYTES);
        }
    }

    private void writeHeader(JsonGenerator generator, Map<String, String> metadata) throws IOException {
        generator.writeStartObject();
        if (!metadata.isEmpty()) {
            generator.writeObjectFieldStart(TensorHeader.METADATA);
            for (Map.Entry<String, String> e : metadata.entrySet()) {
                generator.writeStringField(checked(e.getKey()), checked(e.getValue()));
            }
            generator.writeEndObject();
        }
        long end = 0;
        for (Map.Entry<String, TensorData> e : tensors.entrySet()) {
            long begin = end;
            end = end(e.getKey(), e.getValue(), begin);
            generator.writeObjectFieldStart(checked(e.getKey()));
            generator.writeStringField("dtype", e.getValue().type().name());
            long[] shape = e.getValue().shape();
            generator.writeFieldName("shape");
            generator.writeArray(shape, 0, shape.length);
            generator.writeFieldName("data_offsets");
            generator.writeArray(new long[] {begin, end}, 0, 2);
            generator.writeEndObject();
        }
        generator.writeEndObject();
    }

    private static long end(String name, TensorData tensor, long begin) {
        if (name.equals(TensorHeader.METADATA)) {
            throw new IllegalArgumentException("a tensor can't be named " + name);
        }
        try {
            return Math.addExact(begin, tensor.byteSize());
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException("tensor \"" + name + "\", " + tensor.type() + " of shape " + TensorHeader.shown(tensor.shape()) + ": "
                    + e.getMessage());
        }
    }

    private static String checked(String text) {
        if (!Json.isWellFormed(text)) {
            throw new IllegalArgumentException("\"" + text + "\" has half of a surrogate pair and can't be written");
        }
        return text;
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Writes the whole file. */
    void writeTo(AtomicFile file) throws IOException {
        byte[] length = ByteBuffer.allocate(TensorHeader.LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array();
        file.write(MemorySegment.ofArray(length));
        file.write(MemorySegment.ofArray(header));
        for (Map.Entry<String, TensorData> e : tensors.entrySet()) {
            long expected = e.getValue().byteSize();
            long[] written = {0};
            e.getValue().writeTo(piece -> {
                written[0] += piece.byteSize();
                if (written[0] > expected) {
                    throw tooMany(e, written[0], expected);
                }
                file.write(piece);
            });
            if (written[0] != expected) {
                throw tooMany(e, written[0], expected);
            }
        }
        file.finish();
    }

    private static IllegalStateException tooMany(Map.Entry<String, TensorData> e, long written, long expected) {
        return new IllegalStateException("the source of tensor \"" + e.getKey() + "\" gave " + written + " bytes; " + e.getValue().type() + " of shape "
                + TensorHeader.shown(e.getValue().shape()) + " takes " + expected);
    }
}
