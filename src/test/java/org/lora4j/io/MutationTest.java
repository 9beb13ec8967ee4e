package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** 2,000 files, each a right one with some bytes changed, cut, doubled or moved: read, or refused, and nothing else. */
class MutationTest {
    private static final int FILES = 2000;
    private static final byte[][] WORDS = Arrays.stream(new String[] {"0", "-1", "1e9", "18446744073709551615", "9223372036854775807", "null", "[]", "{}",
        "\"", "\\", "\\ud800", ",", ":", "[", "]", "{", "}", "\"F4\"", "\"U64\"", "\"shape\":", "\"dtype\":", "\"data_offsets\":", "\"__metadata__\":", "[0,0]",
        "\0\0\0\0\0\0\0\0", "\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff", "(a*)*", "true", "\"r\":", "\"target_modules\":", "lora_A", "."})
        .map(word -> word.getBytes(StandardCharsets.ISO_8859_1)).toArray(byte[][]::new);

    @TempDir
    Path folder;

    private static byte[] mutated(byte[] original, Random random, int within) {
        byte[] bytes = original;
        for (int i = random.nextInt(1, 4); i > 0; i--) {
            int at = random.nextInt(Math.min(within, bytes.length) + 1);
            int n = Math.min(random.nextInt(1, 17), bytes.length - at);
            switch (random.nextInt(6)) {
                case 0 -> {
                    bytes = bytes.clone();
                    if (n > 0) {
                        bytes[at] ^= (byte) (1 << random.nextInt(8));
                    }
                }
                case 1 -> bytes = joined(bytes, at, new byte[0], at + n);
                case 2 -> bytes = joined(bytes, at, Arrays.copyOfRange(bytes, at, at + n), at);
                case 3 -> bytes = joined(bytes, at, WORDS[random.nextInt(WORDS.length)], at);
                case 4 -> bytes = joined(bytes, at, WORDS[random.nextInt(WORDS.length)], at + n);
                default -> bytes = random.nextInt(4) == 0 ? Arrays.copyOf(bytes, at) : joined(bytes, at, new byte[] {(byte) random.nextInt()}, Math.min(at + 1, bytes.length));
            }
        }
        return bytes;
    }

    private static byte[] joined(byte[] bytes, int to, byte[] middle, int from) {
        byte[] joined = Arrays.copyOf(bytes, to + middle.length + bytes.length - from);
        System.arraycopy(middle, 0, joined, to, middle.length);
        System.arraycopy(bytes, from, joined, to + middle.length, bytes.length - from);
        return joined;
    }

    /** Sets a header's length to what it is after mutations within the JSON, so that the reader gets past it. */
    private static byte[] withLength(byte[] bytes, int grown) {
        if (bytes.length >= 8) {
            ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
            buffer.putLong(0, buffer.getLong(0) + grown);
        }
        return bytes;
    }

    @Test
    void mutatedSafetensors() throws IOException {
        Random random = new Random(17);
        List<byte[]> originals = new ArrayList<>();
        for (String name : List.of("tensors.safetensors", "floats.safetensors", "adapters/plain/adapter_model.safetensors")) {
            originals.add(Files.readAllBytes(Interchange.golden(name)));
        }
        int read = 0;
        for (int i = 0; i < FILES; i++) {
            byte[] original = originals.get(i % originals.size());
            byte[] bytes = mutated(original, random, random.nextInt(4) == 0 ? original.length : 700);
            if (random.nextBoolean()) {
                bytes = withLength(bytes.clone(), bytes.length - original.length);
            }
            read += FuzzTargets.safetensors(bytes, folder.resolve("file")) ? 1 : 0;
        }
        assertTrue(read > FILES / 100 && read < FILES / 2, read + " of " + FILES + " were read"); // changed data, names, spaces
    }

    @Test
    void mutatedAdapters() throws IOException {
        Random random = new Random(19);
        int read = 0;
        List<String> names = List.of("plain", "patterns", "bfloat16", "lora_ga");
        for (int i = 0; i < FILES; i++) {
            Path golden = Interchange.golden("adapters/" + names.get(i % names.size()));
            byte[] config = Files.readAllBytes(golden.resolve("adapter_config.json"));
            byte[] weights = Files.readAllBytes(golden.resolve("adapter_model.safetensors"));
            boolean both = random.nextInt(3) == 0;
            boolean first = random.nextBoolean();
            int length = weights.length;
            weights = both || !first ? mutated(weights, random, 600) : weights;
            weights = withLength(weights.clone(), weights.length - length);
            read += FuzzTargets.adapter(both || first ? mutated(config, random, config.length) : config, weights, folder) ? 1 : 0;
        }
        assertTrue(read > FILES / 100 && read < FILES / 2, read + " of " + FILES + " were read");
    }
}
