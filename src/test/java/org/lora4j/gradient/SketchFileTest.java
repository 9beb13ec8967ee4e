package org.lora4j.gradient;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.zip.CRC32C;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.DeviceTest;
import org.lora4j.Types;
import org.lora4j.device.DataType;

/** A sketch that is saved, loaded and gone on with; files that are damaged in every way. */
class SketchFileTest extends DeviceTest {
    private static final int M = 21;
    private static final int N = 17;

    @TempDir
    Path folder;

    private GradientSketch sketch(Streams s, DataType type) {
        GradientSketch sketch = new GradientSketch(device, type, M, N, 12, -5);
        s.feed(device, type, sketch::update);
        return sketch;
    }

    @ParameterizedTest
    @MethodSource(Types.FULL)
    void goingOnFromAFileEqualsNotHavingStopped(DataType type) throws IOException {
        Streams s = Streams.random(M, N, type, 1, 4, 9, 2, 30);
        Path file = folder.resolve("sketch");
        Files.writeString(file, "what stood here before");
        try (GradientSketch whole = sketch(s, type); GradientSketch half = sketch(s.part(0, 2), type)) {
            half.save(file);
            try (GradientSketch on = GradientSketch.load(device, file)) {
                assertEquals(2, on.batches());
                assertEquals(13, on.batchRows());
                s.part(2, 4).feed(device, type, on::update);
                for (int i = 0; i < 4; i++) {
                    assertArrayEquals(whole.state()[i].read(), on.state()[i].read());
                }
                assertEquals(whole.batchRows(), on.batchRows());
                on.merge(whole);
            }
        }
        assertEquals(72 + 8 + (M + N) * 12L * type.bytes(), Files.size(file));
        try (var files = Files.list(folder)) {
            assertEquals(1, files.count(), "no temporary file is left");
        }
    }

    private void assertRefused(String what, byte[] bytes) throws IOException {
        Path file = folder.resolve("damaged");
        Files.write(file, bytes);
        var before = device.counters();
        String message = assertThrows(IOException.class, () -> GradientSketch.load(device, file).close(), what).getMessage();
        assertTrue(message.contains(file.toString()), message);
        assertEquals(0, device.counters().since(before).allocations(), what + ": nothing is allocated for it");
    }

    @Test
    void everyDamageIsRefused() throws IOException {
        Path file = folder.resolve("sketch");
        try (GradientSketch sketch = sketch(Streams.random(M, N, DataType.FLOAT32, 1, 30), DataType.FLOAT32)) {
            sketch.save(file);
        }
        byte[] good = Files.readAllBytes(file);
        Random random = new Random(7);
        for (int i = 0; i < good.length; i++) { // every byte
            byte[] bad = good.clone();
            bad[i] ^= (byte) (1 << random.nextInt(8));
            assertRefused("bit of byte " + i, bad);
        }
        for (int i = 0; i < 300; i++) {
            byte[] bad = good.clone();
            for (int j = random.nextInt(1, 20); j > 0; j--) {
                bad[random.nextInt(random.nextBoolean() ? 72 : bad.length)] = (byte) random.nextInt();
            }
            if (!Arrays.equals(bad, good)) {
                assertRefused("random bytes", bad);
            }
        }
        for (int length : new int[] {0, 1, 8, 71, 72, 79, 80, 81, good.length - 9, good.length - 8, good.length - 1}) {
            assertRefused("cut to " + length, Arrays.copyOf(good, length));
        }
        assertRefused("one byte more", Arrays.copyOf(good, good.length + 1));
        assertRefused("one row more", Arrays.copyOf(good, good.length + 48));
        assertRefused("foreign", "this is no sketch at all, but a text that is long enough to be one, or so it might seem to be".getBytes());
    }

    /** Sizes that a right checksum covers but that no sketch of this length has: nothing is allocated for a claim. */
    @Test
    void aClaimBeyondTheFileIsRefusedEvenWithARightChecksum() throws IOException {
        Path file = folder.resolve("sketch");
        try (GradientSketch sketch = sketch(Streams.random(M, N, DataType.FLOAT32, 1, 30), DataType.FLOAT32)) {
            sketch.save(file);
        }
        byte[] good = Files.readAllBytes(file);
        long big = Long.MAX_VALUE;
        for (long[] claim : new long[][] {{16, big}, {16, M + 1}, {16, -M}, {16, 0}, {24, big}, {24, 1L << 33}, {32, 1L << 40}, {32, 6}, {32, 24}, {32, 0}, {32, -12},
                {32, 11}, {48, -1}, {56, -1}, {56, Long.MIN_VALUE}, {64, -1}, {64, 11}, {64, 1L << 32}}) {
            byte[] bad = good.clone();
            ByteBuffer buffer = ByteBuffer.wrap(bad).order(ByteOrder.LITTLE_ENDIAN).putLong((int) claim[0], claim[1]);
            assertRefused("claim " + claim[1] + " at " + claim[0], withChecksum(buffer));
        }
        for (int bytes : new int[] {8, 2, 0, -4}) {
            assertRefused("elements of " + bytes, withChecksum(ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN).putInt(12, bytes)));
        }
        for (int version : new int[] {1, 3}) {
            assertRefused("version " + version, withChecksum(ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN).putInt(8, version)));
        }
        Files.write(file, withChecksum(ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN)));
        GradientSketch.load(device, file).close(); // the checksum made here is the right one
    }

    private static byte[] withChecksum(ByteBuffer file) {
        byte[] bytes = file.array();
        CRC32C checksum = new CRC32C();
        checksum.update(bytes, 0, bytes.length - 8);
        file.putLong(bytes.length - 8, checksum.getValue());
        return bytes;
    }

    /** As any writer does: what a link points to is written, the link stays, and the file is as readable as other files. */
    @Test
    @DisabledOnOs(OS.WINDOWS)
    void aLinkIsFollowedAndTheModeIsTheUsualOne() throws IOException {
        Path elsewhere = Files.createDirectory(folder.resolve("elsewhere"));
        Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of("elsewhere", "sketch"));
        Path usual = Files.writeString(elsewhere.resolve("usual"), "as any file");
        try (GradientSketch sketch = sketch(Streams.random(M, N, DataType.FLOAT32, 1, 3), DataType.FLOAT32)) {
            assertThrows(IOException.class, () -> sketch.save(link), "a link to nothing");
            Path target = Files.writeString(elsewhere.resolve("sketch"), "what stood here before");
            sketch.save(link);
            assertTrue(Files.isSymbolicLink(link));
            assertEquals(Files.getPosixFilePermissions(usual), Files.getPosixFilePermissions(target));
            GradientSketch.load(device, target).close();
        }
        try (var files = Files.list(elsewhere)) {
            assertEquals(2, files.count(), "no temporary file is left");
        }
    }

    @Test
    @SuppressWarnings("try") // what comes after close is tested
    void aFileThatCannotBeWrittenLeavesWhatWasThere() throws IOException {
        try (GradientSketch sketch = sketch(Streams.random(M, N, DataType.FLOAT32, 1, 3), DataType.FLOAT32)) {
            assertThrows(IOException.class, () -> sketch.save(folder.resolve("none").resolve("sketch")));
            Path occupied = Files.createDirectories(folder.resolve("occupied").resolve("inside")).getParent();
            assertThrows(IOException.class, () -> sketch.save(occupied));
            try (var files = Files.list(folder)) {
                assertEquals(1, files.count(), "no temporary file is left");
            }
            assertThrows(IOException.class, () -> GradientSketch.load(device, folder.resolve("none")));
            sketch.close();
            assertThrows(IllegalStateException.class, () -> sketch.save(folder.resolve("x")));
        }
    }
}
