package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Random;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Reading: every dtype as Python wrote it, conversions, files of several gigabytes, files that change, models in several files. */
class SafeTensorsTest {
    @TempDir
    Path folder;

    private static byte[] bytes(TensorData data) throws IOException {
        byte[] bytes = new byte[(int) data.byteSize()];
        data.read(data.type(), MemorySegment.ofArray(bytes));
        return bytes;
    }

    @Test
    void everyDtypeOfPythonIsListedAndCopied() throws IOException {
        try (SafeTensors tensors = SafeTensors.open(Interchange.golden("tensors.safetensors"))) {
            assertEquals(Map.of("what", "every dtype é \"quoted\""), tensors.metadata());
            assertEquals(TensorType.values().length - 3, tensors.tensors().stream().map(Tensor::type).distinct().count(), "all but F4 and F6");
            assertArrayEquals(new long[] {3, 5}, tensors.tensor("f64").shape());
            assertArrayEquals(new long[0], tensors.tensor("scalar").shape());
            assertArrayEquals(new byte[] {1, 0, 1}, bytes(tensors.tensor("bool")));
            assertEquals(1f, tensors.tensor("name.with \"quotes\", \\ and é😀").toFloats()[0]);
            for (Tensor tensor : tensors.tensors()) {
                assertEquals(-1, tensor.segment().mismatch(MemorySegment.ofArray(bytes(tensor))), tensor.toString());
                assertTrue(tensor.segment().isReadOnly());
                if (!tensor.type().isFloat()) {
                    assertTrue(assertThrows(IllegalArgumentException.class, tensor::toFloats).getMessage().startsWith(tensor.type() + " to F32"));
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"f64", "f32", "f16", "bf16", "scalar", "empty"})
    void floatsConvertAsInPython(String name) throws IOException {
        try (SafeTensors tensors = SafeTensors.open(Interchange.golden("tensors.safetensors"));
                SafeTensors floats = SafeTensors.open(Interchange.golden("floats.safetensors"))) {
            assertArrayEquals(floats.tensor(name).toFloats(), tensors.tensor(name).toFloats());
            assertArrayEquals(bytes(floats.tensor(name)), bytes(tensors.tensor(name).as(TensorType.F32)));
        }
    }

    /** All 65,536 halves: the value by definition, and back. Vectorised and scalar code both see each of them. */
    @ParameterizedTest
    @EnumSource(value = TensorType.class, names = {"F16", "BF16"})
    void everyHalfConverts(TensorType type) throws IOException {
        short[] halves = new short[(1 << 16) + 5]; // a tail that is no vector
        for (int i = 0; i < halves.length; i++) {
            halves[i] = (short) i;
        }
        TensorData data = TensorData.of(type, MemorySegment.ofArray(halves), halves.length);
        int mantissa = type == TensorType.F16 ? 10 : 7;
        int bias = type == TensorType.F16 ? 15 : 127;
        int infinite = (1 << 15 - mantissa) - 1;
        for (int round = 0; round < 20; round++) { // compiled in between
            float[] floats = data.toFloats();
            for (int i = 0; i < halves.length; i++) {
                int exponent = (halves[i] & 0x7fff) >> mantissa;
                int fraction = halves[i] & (1 << mantissa) - 1;
                double value = exponent == infinite ? fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN
                        : exponent == 0 ? Math.scalb(fraction, 1 - bias - mantissa)
                        : Math.scalb(fraction + (1 << mantissa), exponent - bias - mantissa);
                assertEquals((float) (halves[i] < 0 ? -value : value), floats[i], "half " + i);
            }
            short[] back = new short[halves.length];
            TensorData.of(TensorType.F32, MemorySegment.ofArray(floats), floats.length).read(type, MemorySegment.ofArray(back));
            for (int i = 0; i < halves.length; i++) {
                if (Float.isNaN(floats[i])) {
                    assertTrue((back[i] & 0x7fff) >> mantissa == infinite && (back[i] & (1 << mantissa) - 1) != 0, "NaN " + i);
                } else {
                    assertEquals(halves[i], back[i]);
                }
            }
        }
    }

    @Test
    void narrowingRoundsToNearestTiesToEven() throws IOException {
        float[] x = {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, 1 + 0x1p-8f + 0x1p-20f, -1 - 0x1p-8f, Float.MAX_VALUE, 0x1p-134f};
        float[] bf16 = {1, 1 + 4 * 0x1p-8f, 1 + 2 * 0x1p-8f, -1, Float.POSITIVE_INFINITY, 0};
        assertArrayEquals(bf16, TensorData.of(TensorType.F32, MemorySegment.ofArray(x), 6).as(TensorType.BF16).toFloats());
        float[] y = {1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 65519, 65520};
        float[] f16 = {1, 1 + 4 * 0x1p-11f, 65504, Float.POSITIVE_INFINITY};
        assertArrayEquals(f16, TensorData.of(TensorType.F32, MemorySegment.ofArray(y), 4).as(TensorType.F16).toFloats());
        for (int bits : new int[] {0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff, 0x7fc00000}) { // NaN, some only by bits that are cut off
            float[] nan = {Float.intBitsToFloat(bits)};
            for (TensorType type : List.of(TensorType.F16, TensorType.BF16)) {
                assertTrue(Float.isNaN(TensorData.of(TensorType.F32, MemorySegment.ofArray(nan), 1).as(type).toFloats()[0]), Integer.toHexString(bits));
            }
        }
        double[] z = {1 + 0x1p-40, 1e300, 0x1p-1074};
        assertArrayEquals(new float[] {1, Float.POSITIVE_INFINITY, 0}, TensorData.of(TensorType.F64, MemorySegment.ofArray(z), 3).toFloats());
    }

    /** 5 GiB that take no disk and no memory: the last tensor is beyond every 32-bit offset. */
    @Test
    void aFileOfSeveralGigabytes() throws IOException {
        long gap = 5L << 30;
        String header = "{\"large\":{\"dtype\":\"F16\",\"shape\":[" + gap / 2 + "],\"data_offsets\":[0," + gap + "]},"
                + "\"last\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" + gap + "," + (gap + 8) + "]}}";
        Path file = RawFile.write(folder.resolve("large"), RawFile.bytes(header, 0));
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(1.5f).putFloat(-2).flip(), channel.size() + gap);
        }
        try (SafeTensors tensors = SafeTensors.open(file)) {
            assertArrayEquals(new float[] {1.5f, -2}, tensors.tensor("last").toFloats());
            assertEquals(-2, tensors.tensor("last").segment().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4));
            assertEquals(gap, tensors.tensor("large").segment().byteSize());
            assertEquals(0, tensors.tensor("large").segment().get(ValueLayout.JAVA_SHORT_UNALIGNED, gap - 2));
        }
    }

    /** More than one piece of reading, and a tail. */
    @Test
    void aTensorOfSeveralPieces() throws IOException {
        byte[] bytes = new byte[(3 << 20) + 14];
        new Random(3).nextBytes(bytes);
        Path file = folder.resolve("pieces");
        SafeTensors.write(file, Map.of("a", TensorData.of(TensorType.BF16, MemorySegment.ofArray(bytes), bytes.length / 2)), Map.of());
        try (SafeTensors tensors = SafeTensors.open(file)) {
            assertArrayEquals(bytes, bytes(tensors.tensor("a")));
            assertEquals(-1, tensors.tensor("a").segment().mismatch(MemorySegment.ofArray(bytes)));
            float[] floats = tensors.tensor("a").toFloats();
            for (int i = 0; i < floats.length; i++) {
                assertEquals(bytes[2 * i] & 0xff | bytes[2 * i + 1] << 8, Float.floatToRawIntBits(floats[i]) >> 16);
            }
        }
    }

    @Test
    void aFileCutWhileItIsOpenIsAnErrorNotACrash() throws IOException {
        int n = 1 << 20;
        Path file = RawFile.write(folder.resolve("cut"), RawFile.bytes(RawFile.entry("U8", "[" + n + "]", "[0," + n + "]"), n));
        try (SafeTensors tensors = SafeTensors.open(file); FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            long size = channel.size();
            channel.truncate(70_000);
            SafeTensorsException e = assertThrows(SafeTensorsException.class, () -> bytes(tensors.tensor("a")));
            assertEquals(file + ": tensor \"a\": the file was cut to 70000 bytes after it was opened with " + size, e.getMessage());
            byte[] target = new byte[n];
            assertThrows(InternalError.class, () -> MemorySegment.ofArray(target).copyFrom(tensors.tensor("a").segment()));
        }
    }

    @Test
    @SuppressWarnings("try") // what comes after close is tested
    void afterCloseNothingIsRead() throws IOException {
        SafeTensors tensors = SafeTensors.open(Interchange.golden("floats.safetensors"));
        Tensor tensor = tensors.tensor("f32");
        MemorySegment segment = tensor.segment();
        tensors.close();
        tensors.close();
        assertThrows(IllegalStateException.class, () -> segment.get(ValueLayout.JAVA_BYTE, 0));
        assertThrows(IOException.class, tensor::toFloats);
    }

    @Test
    void memoryThatIsNoTensorIsRefused() {
        MemorySegment memory = MemorySegment.ofArray(new byte[16]);
        for (long[] shape : new long[][] {{3}, {-1}, {1L << 62, 4}, {}}) {
            assertThrows(IllegalArgumentException.class, () -> TensorData.of(TensorType.F32, memory, shape));
        }
        assertEquals(2, TensorData.of(TensorType.F64, memory, 2, 1).elements());
    }

    @Test
    void aWrongTargetIsRefused() throws IOException {
        try (SafeTensors tensors = SafeTensors.open(Interchange.golden("floats.safetensors")); Arena arena = Arena.ofConfined()) {
            for (long size : new long[] {0, 92, 100}) {
                assertThrows(IllegalArgumentException.class, () -> tensors.tensor("f32").read(TensorType.F32, arena.allocate(size)));
            }
        }
    }

    // ---- several files

    private Path model(String index) throws IOException {
        Files.copy(Interchange.golden("floats.safetensors"), folder.resolve("one.safetensors"), StandardCopyOption.REPLACE_EXISTING);
        Files.createDirectories(folder.resolve("sub"));
        Files.copy(Interchange.golden("model.safetensors"), folder.resolve("sub/two.safetensors"), StandardCopyOption.REPLACE_EXISTING);
        return Files.writeString(folder.resolve("model.safetensors.index.json"), index);
    }

    @Test
    void aModelInSeveralFiles() throws IOException {
        Path index = model("{\"metadata\":{\"total_size\":1,\"x\":[{}]},\"weight_map\":{\"dense.weight\":\"sub/two.safetensors\",\"f32\":\"./one.safetensors\"}}");
        for (Path path : List.of(index, folder)) {
            try (SafeTensors tensors = SafeTensors.open(path); SafeTensors one = SafeTensors.open(folder.resolve("one.safetensors"))) {
                assertEquals(List.of("dense.weight", "f32"), List.copyOf(tensors.names()));
                assertEquals(index, tensors.path());
                assertArrayEquals(one.tensor("f32").toFloats(), tensors.tensor("f32").toFloats());
                assertFalse(tensors.find("f64").isPresent(), "the index does not name it");
            }
        }
        Files.delete(index);
        Files.move(folder.resolve("one.safetensors"), folder.resolve("model.safetensors"));
        try (SafeTensors tensors = SafeTensors.open(folder)) {
            assertTrue(tensors.find("f64").isPresent());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
            "{\"weight_map\":{\"f32\":\"three.safetensors\"}}; tensor \"f32\": its file \"three.safetensors\" is missing",
            "{\"weight_map\":{\"f32\":\"sub\"}}; tensor \"f32\": its file \"sub\" is missing",
            "{\"weight_map\":{\"g\":\"one.safetensors\"}}; tensor \"g\": the index model.safetensors.index.json names it, but this file has no such tensor",
            "{\"weight_map\":{\"f32\":\"../one.safetensors\"}}; tensor \"f32\": its file \"../one.safetensors\" is outside the index's folder",
            "{\"weight_map\":{\"f32\":\"sub/../../one.safetensors\"}}; is outside the index's folder",
            "{\"weight_map\":{\"f32\":\"/one.safetensors\"}}; is outside the index's folder",
            "{\"weight_map\":{\"f32\":\"\"}}; is outside the index's folder",
            "{\"weight_map\":{\"f32\":\"a\\u0000\"}}; is no path",
            "{\"weight_map\":{\"f32\":1}}; tensor \"f32\": its file is not named by a string",
            "{\"weight_map\":{\"f32\":\"one.safetensors\",\"f32\":\"one.safetensors\"}}; \"f32\" stands twice",
            "{\"weight_map\":[]}; it has no object weight_map", "{}; it has no object weight_map", "[]; its JSON is not an object",
            "``; its JSON is not an object", "{\"weight_map\":{}} x; invalid JSON", "{\"a\":1e99999999999}; invalid JSON"})
    void aBrokenIndexIsRefused(String index, String reason) throws IOException {
        Path file = model(index);
        String message = assertThrows(SafeTensorsException.class, () -> SafeTensors.open(file).close()).getMessage();
        assertTrue(message.startsWith(folder.toString()) && message.contains(reason), message);
        assertFalse(message.contains("\n"), message);
    }
}
