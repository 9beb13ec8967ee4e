package org.lora4j.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;

/**
 * What a safetensors file says of itself, checked against every rule of the format:
 * <pre>
 *     8 bytes  N, unsigned, little-endian
 *     N        JSON: {"__metadata__": {text: text}, name: {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …}
 *     the rest the data; together the ranges [begin, end) cover it without gap or overlap
 * </pre>
 *
 * @param metadata free texts by name
 * @param entries the tensors in the order of their data
 * @param dataStart where the data start in the file
 */
record TensorHeader(Map<String, String> metadata, List<Entry> entries, long dataStart) {
    static final int LENGTH_BYTES = 8;
    static final long MAX_BYTES = 100_000_000; // of the JSON, as the format's reference has it
    static final String METADATA = "__metadata__";

    /** A tensor; its range counts from the start of the data. */
    record Entry(String name, TensorType type, long[] shape, long begin, long end) {}

    /** Reads and checks the header. What it allocates grows with the header's own bytes, not with the sizes that they name. */
    static TensorHeader read(Path file, FileChannel channel, long size) throws IOException {
        if (size < LENGTH_BYTES) {
            throw new SafeTensorsException(file, null, "its " + size + " bytes are fewer than the 8 of a header's length");
        }
        long length = ByteBuffer.wrap(bytes(file, channel, 0, LENGTH_BYTES)).order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length < 0 || length > MAX_BYTES) {
            throw new SafeTensorsException(file, null, "a header of " + Long.toUnsignedString(length) + " bytes is over the limit of " + MAX_BYTES);
        }
        if (length > size - LENGTH_BYTES) {
            throw new SafeTensorsException(file, null, "its header should have " + length + " bytes, but only " + (size - LENGTH_BYTES) + " follow");
        }
        byte[] json = bytes(file, channel, LENGTH_BYTES, (int) length);
        if (length == 0 || json[0] != '{') {
            throw new SafeTensorsException(file, null, "its header does not begin with {");
        }
        Parsing parsing = new Parsing(file, size - LENGTH_BYTES - length);
        try {
            Json.read(json, parsing);
        } catch (Json.Malformed e) {
            throw new SafeTensorsException(file, parsing.tensor, "header: " + e.getMessage());
        }
        List<Entry> entries = new ArrayList<>(parsing.entries.values());
        entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
        checkCover(file, entries, parsing.dataBytes);
        return new TensorHeader(Collections.unmodifiableMap(parsing.metadata), Collections.unmodifiableList(entries), LENGTH_BYTES + length);
    }

    /** Entries by their begin must follow each other and fill the data. */
    private static void checkCover(Path file, List<Entry> entries, long dataBytes) throws SafeTensorsException {
        long end = 0;
        String last = null;
        for (Entry e : entries) {
            if (e.begin < end) {
                throw new SafeTensorsException(file, e.name, "data_offsets [" + e.begin + ", " + e.end + "] overlap those of \""
                        + SafeTensorsException.shortened(last) + "\", which end at " + end);
            }
            if (e.begin > end) {
                throw new SafeTensorsException(file, e.name, "data_offsets [" + e.begin + ", " + e.end + "] leave a gap of " + (e.begin - end)
                        + " bytes before them");
            }
            end = e.end;
            last = e.name;
        }
        if (end != dataBytes) {
            throw new SafeTensorsException(file, null, dataBytes - end + " bytes behind the last tensor belong to none");
        }
    }

    private static byte[] bytes(Path file, FileChannel channel, long position, int count) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(count);
        while (bytes.hasRemaining()) {
            if (channel.read(bytes, position + bytes.position()) < 0) {
                throw new SafeTensorsException(file, null, "it was cut while its header was read");
            }
        }
        return bytes.array();
    }

    /** The walk through the JSON; {@code tensor} is the one at hand, for messages. */
    private static final class Parsing implements Json.Reader<Void> {
        final Path file;
        final long dataBytes;
        final Map<String, Entry> entries = new LinkedHashMap<>();
        Map<String, String> metadata = Map.of();
        String tensor;

        Parsing(Path file, long dataBytes) {
            this.file = file;
            this.dataBytes = dataBytes;
        }

        @Override
        public Void read(JsonParser parser) throws IOException, Json.Malformed {
            Json.expect(parser, JsonToken.START_OBJECT, "it");
            boolean hasMetadata = false;
            for (String name = Json.nextName(parser); name != null; name = Json.nextName(parser)) {
                parser.nextToken();
                if (!name.equals(METADATA)) {
                    tensor = name;
                    Entry entry = entry(parser);
                    if (entries.put(name, entry) != null) {
                        throw new Json.Malformed("the name stands twice");
                    }
                    tensor = null;
                } else if (hasMetadata) {
                    throw new Json.Malformed(METADATA + " stands twice");
                } else {
                    metadata = texts(parser);
                    hasMetadata = true;
                }
            }
            return null;
        }

        private static Map<String, String> texts(JsonParser parser) throws IOException, Json.Malformed {
            Json.expect(parser, JsonToken.START_OBJECT, METADATA);
            Map<String, String> texts = new LinkedHashMap<>();
            for (String name = Json.nextName(parser); name != null; name = Json.nextName(parser)) {
                parser.nextToken();
                String what = METADATA + ": \"" + SafeTensorsException.shortened(name) + "\"";
                if (texts.put(name, Json.string(parser, what)) != null) {
                    throw new Json.Malformed(what + " stands twice");
                }
            }
            return texts;
        }

        private Entry entry(JsonParser parser) throws IOException, Json.Malformed {
            Json.expect(parser, JsonToken.START_OBJECT, "its entry");
            TensorType type = null;
            long[] shape = null;
            long[] offsets = null;
            for (String name = Json.nextName(parser); name != null; name = Json.nextName(parser)) {
                parser.nextToken();
                Object before = switch (name) {
                    case "dtype" -> type;
                    case "shape" -> shape;
                    case "data_offsets" -> offsets;
                    default -> throw new Json.Malformed("unknown field \"" + SafeTensorsException.shortened(name) + "\"");
                };
                if (before != null) {
                    throw new Json.Malformed(name + " stands twice");
                }
                switch (name) {
                    case "dtype" -> type = type(Json.string(parser, name));
                    case "shape" -> shape = sizes(parser, name);
                    default -> offsets = sizes(parser, name);
                }
            }
            if (type == null || shape == null || offsets == null) {
                throw new Json.Malformed((type == null ? "dtype" : shape == null ? "shape" : "data_offsets") + " is missing");
            }
            checkRange(type, shape, offsets);
            return new Entry(tensor, type, shape, offsets[0], offsets[1]);
        }

        private void checkRange(TensorType type, long[] shape, long[] offsets) throws Json.Malformed {
            if (offsets.length != 2) {
                throw new Json.Malformed("data_offsets has " + offsets.length + " numbers; it must have 2");
            }
            String range = "data_offsets [" + offsets[0] + ", " + offsets[1] + "]";
            if (offsets[1] < offsets[0]) {
                throw new Json.Malformed(range + " run backwards");
            }
            if (offsets[1] > dataBytes) {
                throw new Json.Malformed(range + " end behind the file's " + dataBytes + " bytes of data");
            }
            long bytes;
            try {
                bytes = type.bytes(shape);
            } catch (ArithmeticException e) {
                throw new Json.Malformed(type + " of shape " + shown(shape) + ": " + e.getMessage());
            }
            if (bytes != offsets[1] - offsets[0]) {
                throw new Json.Malformed(type + " of shape " + shown(shape) + " takes " + bytes + " bytes, but " + range + " are "
                        + (offsets[1] - offsets[0]));
            }
        }

        private static TensorType type(String dtype) throws Json.Malformed {
            try {
                return TensorType.valueOf(dtype);
            } catch (IllegalArgumentException e) {
                throw new Json.Malformed("unknown dtype \"" + SafeTensorsException.shortened(dtype) + "\"");
            }
        }

        private static long[] sizes(JsonParser parser, String what) throws IOException, Json.Malformed {
            Json.expect(parser, JsonToken.START_ARRAY, what);
            long[] sizes = new long[2];
            int count = 0;
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                if (count == sizes.length) {
                    sizes = Arrays.copyOf(sizes, 2 * count);
                }
                sizes[count++] = size(parser, what);
            }
            return Arrays.copyOf(sizes, count);
        }

        private static long size(JsonParser parser, String what) throws IOException, Json.Malformed {
            String text = parser.getText();
            if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT || text.charAt(0) == '-') {
                throw new Json.Malformed(what + " has \"" + SafeTensorsException.shortened(String.valueOf(text)) + "\"; it must have integers from 0 only");
            }
            if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
                throw new Json.Malformed(what + " has " + text + ", which is more than 2^63 - 1");
            }
            return parser.getLongValue();
        }
    }

    /** A shape for messages, not longer than one bears. */
    static String shown(long[] shape) {
        return shape.length <= 16 ? Arrays.toString(shape) : "of " + shape.length + " sizes";
    }
}
