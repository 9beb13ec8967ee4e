package org.lora4j.io;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;

import com.code_intelligence.jazzer.junit.FuzzTest;

import org.junit.jupiter.api.io.TempDir;

/**
 * Coverage-guided fuzzing. An ordinary run tries the files kept in FileFuzzTestInputs;
 * {@code JAZZER_FUZZ=1 mvn test -Djazzer.hooks=true -Dtest=FileFuzzTest#safetensors} looks for more for five minutes.
 */
class FileFuzzTest {
    @TempDir
    Path folder;

    @FuzzTest(maxDuration = "5m")
    void safetensors(byte[] bytes) throws IOException {
        FuzzTargets.safetensors(bytes, folder.resolve("file"));
    }

    /** The config, a zero byte, and the weights. */
    @FuzzTest(maxDuration = "5m")
    void adapter(byte[] bytes) throws IOException {
        int end = 0;
        while (end < bytes.length && bytes[end] != 0) {
            end++;
        }
        FuzzTargets.adapter(Arrays.copyOf(bytes, end), Arrays.copyOfRange(bytes, Math.min(end + 1, bytes.length), bytes.length), folder);
    }
}
