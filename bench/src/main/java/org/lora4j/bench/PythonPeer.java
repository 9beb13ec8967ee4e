package org.lora4j.bench;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

/**
 * A Python process with PEFT and PyTorch that lives as long as the run and does one round at a time, so that it too
 * alternates with the others. It times itself; matrices go through files in a folder.
 */
final class PythonPeer implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Process process;
    private final BufferedWriter to;
    private final BufferedReader from;
    private final Path folder;
    private final String description;

    /**
     * Starts Python.
     *
     * @param python a Python that has torch and peft
     * @param script peft_peer.py
     * @throws IOException when there is no such Python, or it has no PEFT
     */
    PythonPeer(String python, Path script, Path folder, int threads) throws IOException {
        this.folder = folder;
        ProcessBuilder builder = new ProcessBuilder(python, script.toString(), Integer.toString(threads)).redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().put("OMP_NUM_THREADS", Integer.toString(threads));
        process = builder.start();
        to = process.outputWriter();
        from = process.inputReader();
        description = answer().path("description").asText();
    }

    /** The libraries, their versions and threads. */
    String description() {
        return description;
    }

    /** Where matrices are written for Python and by it. */
    Path folder() {
        return folder;
    }

    /** Does what was prepared {@code calls} times; the milliseconds of each call. */
    double[] run(int first, int calls) throws IOException {
        JsonNode ms = ask(Map.of("do", "run", "first", first, "calls", calls)).get("ms");
        double[] values = new double[ms.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = ms.get(i).asDouble();
        }
        return values;
    }

    /** A matrix that Python has left when it was asked for results. */
    float[] result(String name) throws IOException {
        return Inputs.read(folder.resolve("result." + name));
    }

    /** Forgets what was prepared, and the files. */
    void release() throws IOException {
        ask(Map.of("do", "release"));
        if (Files.isDirectory(folder)) {
            try (var files = Files.walk(folder)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            }
        }
    }

    /** GFLOP/s of the best of some square products by PyTorch alone. */
    double gemmGflops(int size) throws IOException {
        return ask(Map.of("do", "ceiling", "size", size)).get("gflops").asDouble();
    }

    JsonNode ask(Map<String, Object> request) throws IOException {
        to.write(JSON.writeValueAsString(request));
        to.newLine();
        to.flush();
        return answer();
    }

    private JsonNode answer() throws IOException {
        String line = from.readLine();
        if (line == null) {
            throw new IOException("Python has ended; its last words are above");
        }
        JsonNode answer = JSON.readTree(line);
        if (answer.has("error")) {
            throw new IOException(answer.get("error").asText());
        }
        return answer;
    }

    /** The Python to take: the option, or LORA4J_BENCH_PYTHON, or python3. */
    static String executable(String option) {
        return List.of(option == null ? "" : option, System.getenv().getOrDefault("LORA4J_BENCH_PYTHON", ""), "python3").stream().filter(s -> !s.isEmpty())
                .findFirst().orElseThrow();
    }

    @Override
    public void close() {
        try {
            to.close();
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroy();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            process.destroy();
            Thread.currentThread().interrupt();
        }
    }
}
