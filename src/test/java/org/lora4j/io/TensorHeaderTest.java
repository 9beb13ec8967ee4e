package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every rule of the format, broken alone: the message names file, tensor and reason, and nothing is mapped or allocated for it. */
class TensorHeaderTest {
    private static final String GOOD = RawFile.entry("F32", "[2]", "[0,8]");

    @TempDir
    Path folder;

    static Stream<Arguments> broken() {
        String two = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%s]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%s]}}";
        String metadata = "{\"__metadata__\":%s,\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
        return Stream.of(
                // length
                arguments(null, "fewer than the 8", new byte[7]),
                arguments(null, "fewer than the 8", new byte[0]),
                arguments(null, "does not begin with {", new byte[8]),
                arguments(null, "over the limit of 100000000", RawFile.bytes(100_000_001, GOOD.getBytes(), 8)),
                arguments(null, "a header of 18446744073709551615 bytes is over the limit", RawFile.bytes(-1, GOOD.getBytes(), 8)),
                arguments(null, "a header of 9223372036854775808 bytes is over the limit", RawFile.bytes(Long.MIN_VALUE, GOOD.getBytes(), 8)),
                arguments(null, "should have 100000000 bytes, but only", RawFile.bytes(100_000_000, GOOD.getBytes(), 8)),
                arguments(null, "bytes, but only", RawFile.bytes(GOOD.length() + 9, GOOD.getBytes(), 8)),
                // JSON
                arguments(null, "does not begin with {", RawFile.bytes(" " + GOOD, 8)),
                arguments(null, "does not begin with {", RawFile.bytes("[]", 0)),
                arguments(null, "invalid JSON at character 1:", RawFile.bytes("{", 0)),
                arguments(null, "invalid JSON at character", RawFile.bytes(GOOD.length() - 1, GOOD.getBytes(), 8)),
                arguments(null, "more JSON behind its end", RawFile.bytes(GOOD + "{}", 8)),
                arguments(null, "invalid JSON", RawFile.bytes(GOOD + "\0", 8)),
                arguments(null, "invalid UTF-8", RawFile.bytes(4, new byte[] {'{', '"', (byte) 0xff, '"'}, 0)),
                arguments(null, "invalid JSON", RawFile.bytes("{'a':1}", 0)),
                arguments("a", "invalid JSON", RawFile.bytes(RawFile.entry("F32", "[02]", "[0,8]"), 8)),
                arguments("a", "invalid JSON", RawFile.bytes(RawFile.entry("F32", "[NaN]", "[0,8]"), 8)),
                arguments("a", "invalid JSON", RawFile.bytes(RawFile.entry("F32", "[2,]", "[0,8]"), 8)),
                arguments("a", "invalid JSON", RawFile.bytes(GOOD.replace("{\"dtype", "{/**/\"dtype"), 8)),
                arguments(null, "half of a surrogate pair", RawFile.bytes("{\"\\ud800\":{}}", 0)),
                arguments("a", "dtype is not a string", RawFile.bytes("{\"a\":{\"dtype\":" + "[".repeat(5000), 0)),
                arguments("a", "shape has \"[\"; it must have integers", RawFile.bytes("{\"a\":{\"shape\":" + "[".repeat(5000), 0)),
                // names
                arguments("a", "the name stands twice", RawFile.bytes(GOOD.substring(0, GOOD.length() - 1) + "," + GOOD.substring(1), 8)),
                arguments("a", "dtype stands twice", RawFile.bytes(GOOD.replace("\"dtype\"", "\"dtype\":\"F32\",\"dtype\""), 8)),
                arguments("a", "shape stands twice", RawFile.bytes(GOOD.replace("\"shape\"", "\"shape\":[2],\"shape\""), 8)),
                arguments("a", "unknown field \"strides\"", RawFile.bytes(GOOD.replace("\"shape\"", "\"strides\":[4],\"shape\""), 8)),
                arguments("a", "dtype is missing", RawFile.bytes("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8)),
                arguments("a", "shape is missing", RawFile.bytes("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8)),
                arguments("a", "data_offsets is missing", RawFile.bytes("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8)),
                arguments("a", "its entry is not an object", RawFile.bytes("{\"a\":1}", 8)),
                // metadata
                arguments(null, "__metadata__ is not an object", RawFile.bytes(metadata.formatted("null"), 8)),
                arguments(null, "__metadata__: \"k\" is not a string", RawFile.bytes(metadata.formatted("{\"k\":1}"), 8)),
                arguments(null, "__metadata__: \"k\" is not a string", RawFile.bytes(metadata.formatted("{\"k\":{}}"), 8)),
                arguments(null, "__metadata__: \"k\" stands twice", RawFile.bytes(metadata.formatted("{\"k\":\"\",\"k\":\"\"}"), 8)),
                arguments(null, "__metadata__ stands twice", RawFile.bytes(metadata.formatted("{},\"__metadata__\":{}"), 8)),
                // types and shapes
                arguments("a", "unknown dtype \"F31\"", RawFile.bytes(RawFile.entry("F31", "[2]", "[0,8]"), 8)),
                arguments("a", "unknown dtype \"f32\"", RawFile.bytes(RawFile.entry("f32", "[2]", "[0,8]"), 8)),
                arguments("a", "shape is not an array", RawFile.bytes(RawFile.entry("F32", "2", "[0,8]"), 8)),
                arguments("a", "shape has \"-2\"; it must have integers from 0", RawFile.bytes(RawFile.entry("F32", "[-2]", "[0,8]"), 8)),
                arguments("a", "shape has \"-0\"", RawFile.bytes(RawFile.entry("F32", "[2,-0]", "[0,8]"), 8)),
                arguments("a", "shape has \"2.0\"", RawFile.bytes(RawFile.entry("F32", "[2.0]", "[0,8]"), 8)),
                arguments("a", "shape has \"2e0\"", RawFile.bytes(RawFile.entry("F32", "[2e0]", "[0,8]"), 8)),
                arguments("a", "shape has \"null\"", RawFile.bytes(RawFile.entry("F32", "[null]", "[0,8]"), 8)),
                arguments("a", "shape has \"2\"", RawFile.bytes(RawFile.entry("F32", "[\"2\"]", "[0,8]"), 8)),
                arguments("a", "9223372036854775808, which is more than 2^63 - 1", RawFile.bytes(RawFile.entry("F32", "[9223372036854775808]", "[0,8]"), 8)),
                arguments("a", "invalid JSON: Number value length (200) exceeds", RawFile.bytes(RawFile.entry("F32", "[" + "9".repeat(200) + "]", "[0,8]"), 8)),
                arguments("a", "F32 of shape [4294967296, 4294967296]: its size overflows", RawFile.bytes(RawFile.entry("F32", "[4294967296,4294967296]", "[0,8]"), 8)),
                arguments("a", "F32 of shape [9223372036854775807]: its size overflows", RawFile.bytes(RawFile.entry("F32", "[9223372036854775807]", "[0,8]"), 8)),
                arguments("a", "F32 of shape [3] takes 12 bytes, but data_offsets [0, 8] are 8", RawFile.bytes(RawFile.entry("F32", "[3]", "[0,8]"), 8)),
                arguments("a", "F64 of shape [2] takes 16 bytes", RawFile.bytes(RawFile.entry("F64", "[2]", "[0,8]"), 8)),
                arguments("a", "F4 of shape [15]: it does not end at a whole byte", RawFile.bytes(RawFile.entry("F4", "[15]", "[0,8]"), 8)),
                arguments("a", "takes 0 bytes", RawFile.bytes(RawFile.entry("F32", "[2,0]", "[0,8]"), 8)),
                // ranges
                arguments("a", "data_offsets has 1 numbers", RawFile.bytes(RawFile.entry("F32", "[2]", "[8]"), 8)),
                arguments("a", "data_offsets has 3 numbers", RawFile.bytes(RawFile.entry("F32", "[2]", "[0,8,8]"), 8)),
                arguments("a", "data_offsets has \"-8\"", RawFile.bytes(RawFile.entry("F32", "[2]", "[-8,0]"), 8)),
                arguments("a", "data_offsets [8, 0] run backwards", RawFile.bytes(RawFile.entry("F32", "[2]", "[8,0]"), 8)),
                arguments("a", "data_offsets [0, 8] end behind the file's 7 bytes", RawFile.bytes(GOOD, 7)),
                arguments("a", "[9223372036854775799, 9223372036854775807] end behind", RawFile.bytes(RawFile.entry("F32", "[2]", "[9223372036854775799,9223372036854775807]"), 8)),
                arguments(null, "1 bytes behind the last tensor belong to none", RawFile.bytes(GOOD, 9)),
                arguments(null, "8 bytes behind the last tensor belong to none", RawFile.bytes("{}", 8)),
                arguments("a", "data_offsets [1, 9] leave a gap of 1 bytes", RawFile.bytes(RawFile.entry("F32", "[2]", "[1,9]"), 9)),
                arguments("b", "data_offsets [5, 9] leave a gap of 1 bytes", RawFile.bytes(two.formatted("0,4", "5,9"), 9)),
                arguments("b", "data_offsets [3, 7] overlap those of \"a\", which end at 4", RawFile.bytes(two.formatted("0,4", "3,7"), 7)),
                arguments("b", "data_offsets [0, 4] overlap those of \"a\", which end at 4", RawFile.bytes(two.formatted("0,4", "0,4"), 4)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("broken")
    void aBrokenRuleIsNamed(String tensor, String reason, byte[] bytes) {
        Path file = RawFile.write(folder.resolve("broken.safetensors"), bytes);
        SafeTensorsException e = assertThrows(SafeTensorsException.class, () -> SafeTensors.open(file).close());
        String message = e.getMessage();
        assertTrue(message.startsWith(file + ": " + (tensor == null ? "" : "tensor \"" + tensor + "\": ")), message);
        assertTrue(message.contains(reason), message);
        assertEquals(tensor, e.tensor());
        assertEquals(file, e.file());
        assertFalse(message.contains("\n"), message);
        assertTrue(message.length() < file.toString().length() + 600, message);
        assertFalse(isMapped(file), "it stays mapped");
    }

    private static boolean isMapped(Path file) {
        try (Stream<String> maps = Files.lines(Path.of("/proc/self/maps"))) {
            return maps.anyMatch(line -> line.contains(file.toString()));
        } catch (IOException e) {
            return false; // not Linux
        }
    }

    /** What the format allows and other readers stumble over. */
    @Test
    void theUnusualIsRead() throws IOException {
        for (String header : List.of("{}", "{}   ", "{}\n\t", "{\"__metadata__\":{}}", "{\"__metadata__\":{\"a\":\"\"}} ")) {
            try (SafeTensors tensors = SafeTensors.open(RawFile.write(folder.resolve("empty"), RawFile.bytes(header, 0)))) {
                assertEquals(0, tensors.tensors().size(), header);
            }
        }
        String header = "{\"z\":{\"data_offsets\":[2,2],\"shape\":[0,5],\"dtype\":\"F64\"},\"\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                + "\"a\":{\"dtype\":\"F4\",\"shape\":[2,1],\"data_offsets\":[3,4]},\"\\u0000\\n\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[2,3]}}";
        try (SafeTensors tensors = SafeTensors.open(RawFile.write(folder.resolve("unusual"), RawFile.bytes(header, 4)))) {
            assertEquals(List.of("", "z", "\0\n", "a"), List.copyOf(tensors.names()));
            assertEquals(0, tensors.tensor("z").byteSize());
            assertEquals(1, tensors.tensor("\0\n").elements());
            assertEquals(2, tensors.tensor("a").elements());
            assertEquals(1, tensors.tensor("").segment().get(ValueLayout.JAVA_BYTE, 1));
            SafeTensorsException none = assertThrows(SafeTensorsException.class, () -> tensors.tensor("b\nc"));
            assertTrue(none.getMessage().endsWith("tensor \"b c\": there is no such tensor among its 4"), none.getMessage());
        }
        byte[] long64 = RawFile.bytes(RawFile.entry("U8", Arrays.toString(Stream.generate(() -> 1).limit(1000).toArray()), "[0,1]"), 1);
        SafeTensors.open(RawFile.write(folder.resolve("dimensions"), long64)).close();
    }

    /** A claim of a hundred megabytes in a file of a few bytes costs a few bytes. */
    @Test
    void aClaimCostsNothing() {
        byte[] claim = RawFile.bytes(99_999_999, "{\"a\"".getBytes(StandardCharsets.UTF_8), 0);
        Path file = RawFile.write(folder.resolve("claim"), claim);
        byte[] shape = RawFile.bytes(RawFile.entry("F64", "[1000000000000]", "[0,8000000000000]"), 8);
        Path large = RawFile.write(folder.resolve("shape"), shape);
        com.sun.management.ThreadMXBean threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        for (Path p : List.of(file, large)) {
            assertThrows(SafeTensorsException.class, () -> SafeTensors.open(p).close()); // loads classes
            long before = threads.getCurrentThreadAllocatedBytes();
            assertThrows(SafeTensorsException.class, () -> SafeTensors.open(p).close());
            assertTrue(threads.getCurrentThreadAllocatedBytes() - before < 100_000);
        }
    }

    @Test
    void aHeaderOverTheLimitIsRefusedEvenIfItIsThere() throws IOException {
        Path file = RawFile.write(folder.resolve("sparse"), RawFile.bytes(100_000_001, "{".getBytes(), 0));
        try (RandomAccessFile large = new RandomAccessFile(file.toFile(), "rw")) {
            large.setLength(200_000_000);
        }
        assertTrue(assertThrows(SafeTensorsException.class, () -> SafeTensors.open(file).close()).getMessage().contains("over the limit"));
    }

    @Test
    void whatIsNoFileIsRefused() {
        assertThrows(NoSuchFileException.class, () -> SafeTensors.open(folder.resolve("none")).close());
        assertThrows(NoSuchFileException.class, () -> SafeTensors.open(folder).close());
        Path device = Path.of("/dev/zero");
        if (Files.exists(device)) {
            assertTrue(assertThrows(SafeTensorsException.class, () -> SafeTensors.open(device).close()).getMessage().contains("not a regular file"));
        }
    }
}
