package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;

/**
 * What a run has found so far, kept in a file after each item: a run that was stopped goes on where it was, if it is asked
 * for the same things of the same build on the same machine.
 */
@JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.ANY)
final class Session {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /** What it is a run of: mode, build, machine. */
    String key;
    /** When it began. */
    String date;
    /** Of the inputs. */
    long seed;
    /** GFLOP/s of large square products by library: the best that was seen. */
    Map<String, Double> gemmGflops = new LinkedHashMap<>();
    /** The best that was seen. */
    double readGBs;
    /** Each library in its own words. */
    Map<String, String> descriptions = new LinkedHashMap<>();
    /** Peers that can't be had, and why. */
    Map<String, String> absent = new LinkedHashMap<>();
    List<Measured> items = new ArrayList<>();
    List<Growth> growth = new ArrayList<>();
    List<SvdMeasured> svd = new ArrayList<>();
    /** Seconds of measuring, over all parts of the run. */
    double seconds;
    boolean finished;

    /** The unfinished session of that key in {@code file}, or a new one. */
    static Session of(Path file, String key, String date, boolean fresh) throws IOException {
        if (!fresh && Files.isRegularFile(file)) {
            Session old = read(file);
            if (old.key.equals(key) && !old.finished) {
                return old;
            }
        }
        Session session = new Session();
        session.key = key;
        session.date = date;
        session.seed = System.nanoTime();
        return session;
    }

    /** The session in {@code file}. */
    static Session read(Path file) throws IOException {
        return JSON.readValue(file.toFile(), Session.class);
    }

    void save(Path file) throws IOException {
        Path part = file.resolveSibling(file.getFileName() + ".part");
        JSON.writeValue(part.toFile(), this);
        Files.move(part, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    }

    /** The highest that any library reached. */
    double gemmCeiling() {
        return gemmGflops.values().stream().mapToDouble(x -> x).max().orElseThrow();
    }

    void seen(String library, double gflops) {
        gemmGflops.merge(library, gflops, Math::max);
    }

    boolean has(Item item) {
        return items.stream().anyMatch(measured -> measured.item().equals(item));
    }

    boolean has(SvdItem item) {
        return svd.stream().anyMatch(measured -> measured.item().equals(item));
    }

    /** Whether gradients were given. */
    boolean hasGiven() {
        return svd.stream().anyMatch(measured -> !measured.item().isSynthetic());
    }

    /** How much of the processors other processes used, item by item. */
    double[] othersPercent() {
        return Stream.concat(items.stream().map(Measured::othersPercent), svd.stream().map(SvdMeasured::othersPercent)).filter(Objects::nonNull)
                .mapToDouble(x -> x).toArray();
    }

    /** The growth of a work along an axis, empty at first. */
    Growth growth(String axis, String work) {
        return growth.stream().filter(g -> g.axis().equals(axis) && g.work().equals(work)).findFirst().orElse(new Growth(axis, work, List.of()));
    }

    void put(Growth g) {
        growth.removeIf(old -> old.axis().equals(g.axis()) && old.work().equals(g.work()));
        growth.add(g);
    }
}
