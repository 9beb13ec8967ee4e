package org.lora4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lora4j.io.SafeTensors;
import org.lora4j.io.SafeTensorsException;
import org.lora4j.io.TensorType;

/** Files with a change that breaks them: one line, status 2, nothing written, whatever the change. */
class MutatedFilesTest {
    private static final int FILES = 2000;
    private static final String[] PIECES = {"{", "}", "[", "]", "\"", ":", ",", "-1", "1e9", "9223372036854775807", "null", "\"dtype\"", "\"F32\"", "\"X\"",
        "\u0000", "\n", "\\ud800", "__metadata__", "\u00e9", "0.5", "                "};

    @TempDir
    Path folder;

    @Test
    void mutatedFilesAreRefusedInOneLine() throws IOException {
        Path weights = Model.weights(folder.resolve("weights.safetensors"), TensorType.F32);
        Path gradients = Model.gradients(folder.resolve("gradients.safetensors"));
        byte[] good = Files.readAllBytes(gradients);
        Path mutant = folder.resolve("mutant.safetensors");
        Path out = folder.resolve("out");
        Random random = new Random(20);
        int broken = 0;
        for (int i = 0; broken < FILES; i++) {
            assertTrue(i < 4 * FILES, "too many changes break nothing");
            Files.write(mutant, mutate(good, random));
            if (!isBroken(mutant)) {
                continue;
            }
            broken++;
            Map<String, Integer> before = i % 100 == 0 ? Model.contents(folder) : null;
            Cli.run("inspect", mutant).assertFailed(2, "mutant.safetensors: ");
            boolean asWeights = i % 2 == 0;
            Cli.run("init", "--weights", asWeights ? mutant : weights, "--gradients", asWeights ? gradients : mutant, "--rank", 2, "--alpha", 1, "--out", out)
                    .assertFailed(2, "mutant.safetensors: ");
            assertFalse(Files.exists(out) || Files.exists(folder.resolve(".out.part")));
            if (before != null) {
                assertEquals(before, Model.contents(folder));
            }
        }
    }

    /** Whether the library refuses the file; a change of a tensor's values or names leaves a good file. */
    private static boolean isBroken(Path file) throws IOException {
        try (SafeTensors tensors = SafeTensors.open(file)) {
            return false;
        } catch (SafeTensorsException e) {
            return true;
        }
    }

    private static byte[] mutate(byte[] good, Random random) {
        int header = 8 + good[0] + 256 * good[1] & 0xffff;
        int at = random.nextInt(header);
        byte[] piece = PIECES[random.nextInt(PIECES.length)].getBytes(StandardCharsets.UTF_8);
        return switch (random.nextInt(6)) {
            case 0 -> Arrays.copyOf(good, random.nextInt(good.length)); // cut
            case 1 -> Arrays.copyOf(good, good.length + 1 + random.nextInt(9)); // longer
            case 2 -> { // a bit
                byte[] bytes = good.clone();
                bytes[at] ^= (byte) (1 << random.nextInt(8));
                yield bytes;
            }
            case 3 -> join(good, at, piece, at); // put in
            case 4 -> join(good, at, piece, Math.min(good.length, at + piece.length)); // put over
            default -> join(good, at, new byte[0], at + 1 + random.nextInt(8)); // taken out
        };
    }

    private static byte[] join(byte[] good, int upTo, byte[] piece, int from) {
        byte[] bytes = Arrays.copyOf(good, upTo + piece.length + good.length - from);
        System.arraycopy(piece, 0, bytes, upTo, piece.length);
        System.arraycopy(good, from, bytes, upTo + piece.length, good.length - from);
        return bytes;
    }
}
