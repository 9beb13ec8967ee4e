package org.lora4j.bench;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

/**
 * Hugging Face PEFT on PyTorch, in a Python process that lives as long as the run and does one round at a time, so that it
 * too alternates with the others. It times itself; input and results go through files.
 */
final class PeftContender implements Contender {
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
    PeftContender(String python, Path script, Path folder, int threads) throws IOException {
        this.folder = folder;
        ProcessBuilder builder = new ProcessBuilder(python, script.toString(), Integer.toString(threads)).redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().put("OMP_NUM_THREADS", Integer.toString(threads));
        process = builder.start();
        to = process.outputWriter();
        from = process.inputReader();
        description = answer().path("description").asText();
    }

    @Override
    public String name() {
        return "peft";
    }

    @Override
    public String description() {
        return description;
    }

    @Override
    public boolean takes(Item item) {
        return true;
    }

    @Override
    public void prepare(Item item, Inputs inputs) throws IOException {
        inputs.write(folder);
        ask(Map.of("do", "prepare", "work", item.work().toString(), "b", item.b(), "m", item.m(), "n", item.n(), "r", item.r(), "alpha", Item.ALPHA,
                "folder", folder.toString(), "sets", inputs.count()));
    }

    @Override
    public double[] run(int first, int calls) throws IOException {
        JsonNode ms = ask(Map.of("do", "run", "first", first, "calls", calls)).get("ms");
        double[] values = new double[ms.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = ms.get(i).asDouble();
        }
        return values;
    }

    @Override
    public Map<String, float[]> results(Set<String> wanted) throws IOException {
        ask(Map.of("do", "results"));
        Map<String, float[]> results = new HashMap<>();
        for (String name : wanted) {
            results.put(name, Inputs.read(folder.resolve("result." + name)));
        }
        return results;
    }

    @Override
    public void release() throws IOException {
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

    private JsonNode ask(Map<String, Object> request) throws IOException {
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
    static String python(String option) {
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
