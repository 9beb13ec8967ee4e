package org.lora4j.demo;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.IntPredicate;
import java.util.zip.GZIPInputStream;

/**
 * Handwritten digits: 8×8 pixels in 0 … 1 and what they show.
 *
 * <p>The 1,797 images of the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI
 * Machine Learning Repository, doi 10.24432/C50P49), CC BY 4.0.
 *
 * @param pixels row after row, {@link #PIXELS} each
 * @param labels the digit that each row shows
 */
record Digits(float[] pixels, int[] labels) {
    /** Pixels of one image. */
    static final int PIXELS = 64;

    int size() {
        return labels.length;
    }

    static Digits load() {
        List<String> lines;
        try (BufferedReader in = new BufferedReader(new InputStreamReader(
                new GZIPInputStream(Digits.class.getResourceAsStream("digits.csv.gz")), StandardCharsets.US_ASCII))) {
            lines = in.lines().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Digits all = new Digits(new float[lines.size() * PIXELS], new int[lines.size()]);
        for (int i = 0; i < lines.size(); i++) {
            String[] values = lines.get(i).split(",");
            for (int j = 0; j < PIXELS; j++) {
                all.pixels[i * PIXELS + j] = Float.parseFloat(values[j]) / 16;
            }
            all.labels[i] = Integer.parseInt(values[PIXELS]);
        }
        return all;
    }

    /** The images whose label passes, in their order. */
    Digits where(IntPredicate label) {
        List<Integer> rows = new ArrayList<>();
        for (int i = 0; i < size(); i++) {
            if (label.test(labels[i])) {
                rows.add(i);
            }
        }
        return rows(rows.stream().mapToInt(Integer::intValue).toArray());
    }

    /** The images at the given places. */
    Digits rows(int... rows) {
        Digits some = new Digits(new float[rows.length * PIXELS], new int[rows.length]);
        for (int i = 0; i < rows.length; i++) {
            System.arraycopy(pixels, rows[i] * PIXELS, some.pixels, i * PIXELS, PIXELS);
            some.labels[i] = labels[rows[i]];
        }
        return some;
    }

    /** The images from one place (included) to another (excluded). */
    Digits range(int from, int to) {
        return rows(java.util.stream.IntStream.range(from, to).toArray());
    }

    /** The same images in an order of the given seed. */
    Digits shuffled(long seed) {
        Random random = new Random(seed);
        int[] order = java.util.stream.IntStream.range(0, size()).toArray();
        for (int i = order.length - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        return rows(order);
    }
}
