package org.lora4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.lora4j.io.SafeTensors;

/** Output is whole or not there. */
class StagingTest {
    private static final List<String> NAMES = List.of("config", "data");

    @TempDir
    Path folder;
    @TempDir
    Path elsewhere;

    @Test
    void whatWasNotCommittedIsGone() throws Exception {
        Path target = folder.resolve("a/out");
        try (Staging staging = Staging.create(target)) {
            Files.writeString(staging.folder().resolve("config"), "new");
        }
        assertEquals(List.of("", "a"), List.copyOf(Model.contents(folder).keySet()));
    }

    @Test
    void aFolderIsReplacedFileByFile() throws Exception {
        Path target = Files.createDirectory(folder.resolve("out"));
        for (String name : List.of("config", "data", "other")) {
            Files.writeString(target.resolve(name), "old");
        }
        try (Staging staging = Staging.create(target)) {
            Files.writeString(staging.folder().resolve("config"), "new");
            staging.commitFolder(NAMES);
            assertThrows(IllegalStateException.class, () -> staging.commitFolder(NAMES));
        }
        assertEquals("new", Files.readString(target.resolve("config")));
        assertFalse(Files.exists(target.resolve("data")), "an old file that belongs to the old config");
        assertEquals("old", Files.readString(target.resolve("other")));
        assertFalse(Files.exists(folder.resolve(".out.part")));
    }

    @Test
    void whatAKilledRunLeftIsCleared() throws Exception {
        Path left = Files.createDirectories(folder.resolve(".out.part"));
        Files.writeString(left.resolve(".lock"), "");
        Files.createDirectories(left.resolve("deep/er"));
        Files.writeString(left.resolve("deep/er/data"), "half");
        try (Staging staging = Staging.create(folder.resolve("out"))) {
            assertEquals(left, staging.folder());
            assertEquals(List.of("", ".lock"), List.copyOf(Model.contents(left).keySet()));
        }
    }

    @Test
    void twoRunsForOneTargetExcludeEachOther() throws Exception {
        try (Staging staging = Staging.create(folder.resolve("out"))) {
            Files.writeString(staging.folder().resolve("data"), "mine");
            assertTrue(assertThrows(BadInput.class, () -> Staging.create(folder.resolve("out"))).getMessage().contains("another lora4j"));
            assertTrue(Files.exists(staging.folder().resolve("data")));
        }
    }

    @Test
    void aFolderOfSomebodyElseIsNotCleared() throws Exception {
        Files.writeString(Files.createDirectories(folder.resolve(".out.part")).resolve("mine"), "mine");
        assertThrows(BadInput.class, () -> Staging.create(folder.resolve("out")));
        assertTrue(Files.exists(folder.resolve(".out.part/mine")));
    }

    /** A JVM that is told to stop in the middle of init leaves nothing, and init then works. */
    @Test
    void aStoppedCommandLeavesNothing() throws Exception {
        Path weights = folder.resolve("w.safetensors");
        SafeTensors.write(weights, Map.of("a.weight", Model.matrix(1500, 1500, new Random(1))), Map.of());
        Path out = folder.resolve("out");
        Path output = elsewhere.resolve("output.txt");
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--enable-native-access=ALL-UNNAMED", "-cp",
                System.getProperty("java.class.path"), Main.class.getName(), "init", "--weights", weights.toString(), "--gradients", weights.toString(),
                "--rank", "600", "--alpha", "1", "--svd", "exact", "--out", out.toString()).redirectErrorStream(true)
                .redirectOutput(output.toFile()).start();
        try {
            for (int i = 0; i < 1200 && process.isAlive() && !Files.exists(folder.resolve(".out.part/.lock")); i++) {
                Thread.sleep(20);
            }
            assertTrue(process.isAlive(), Files.readString(output));
            Thread.sleep(1000); // the lock is there a moment before the JVM is ready to be stopped; the SVD takes seconds
            process.destroy();
            assertTrue(process.waitFor(60, TimeUnit.SECONDS));
            assertEquals("lora4j: stopped; nothing was written", Files.readString(output).strip());
            assertEquals(Staging.STOPPED, process.exitValue());
        } finally {
            process.destroyForcibly().waitFor();
        }
        assertEquals(List.of("", "w.safetensors"), List.copyOf(Model.contents(folder).keySet()));
        Cli.run("init", "--weights", weights, "--gradients", weights, "--rank", 2, "--alpha", 1, "--out", out).assertDone();
    }
}
