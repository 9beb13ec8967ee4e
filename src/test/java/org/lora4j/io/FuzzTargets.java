package org.lora4j.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** What must hold for any bytes: they are read, and what was read is consistent; or an exception of this package says why not. */
final class FuzzTargets {
    private FuzzTargets() {}

    /** Any bytes as a safetensors file; whether they are one. */
    static boolean safetensors(byte[] bytes, Path file) throws IOException {
        Files.write(file, bytes);
        try (SafeTensors tensors = SafeTensors.open(file)) {
            long covered = 0;
            for (Tensor tensor : tensors.tensors()) {
                MemorySegment segment = tensor.segment();
                byte[] read = new byte[(int) tensor.byteSize()];
                tensor.read(tensor.type(), MemorySegment.ofArray(read));
                assertEquals(-1, segment.mismatch(MemorySegment.ofArray(read)));
                covered += segment.byteSize();
                if (tensor.type().isFloat()) {
                    assertEquals(tensor.elements(), tensor.toFloats().length);
                }
            }
            assertTrue(covered <= bytes.length - 8);
            assertEquals(bytes.length - covered, ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong() + 8);
            return true;
        } catch (SafeTensorsException e) {
            assertMessage(e.getMessage(), file);
            return false;
        }
    }

    /** An adapter folder of any config and any weights; whether it is one. */
    static boolean adapter(byte[] config, byte[] weights, Path folder) throws IOException {
        Files.write(folder.resolve("adapter_config.json"), config);
        Files.write(folder.resolve("adapter_model.safetensors"), weights);
        try (PeftAdapter adapter = PeftAdapter.read(folder)) {
            for (AdapterModule m : adapter.modules()) {
                assertEquals(m.config().rank(), m.a().shape()[0]);
                assertEquals(m.a().elements(), m.a().toFloats().length);
                assertTrue(adapter.config().isTarget(m.name()));
            }
            byte[] again = adapter.config().toJson();
            Files.write(folder.resolve("again.json"), again);
            assertTrue(Arrays.equals(again, PeftConfig.read(folder.resolve("again.json")).toJson()));
            return true;
        } catch (SafeTensorsException | PeftException e) {
            assertMessage(e.getMessage(), folder);
            return false;
        }
    }

    private static void assertMessage(String message, Path file) {
        assertTrue(message.startsWith(file.toString()), message);
        assertFalse(message.chars().anyMatch(Character::isISOControl), message);
        assertTrue(message.length() < 2000, message);
    }
}
