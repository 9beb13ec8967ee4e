package org.lora4j.gradient;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.BiConsumer;

import org.lora4j.Reference;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Micro-batches whose gradient Σ dYᵀ·X is known. */
record Streams(List<Reference> x, List<Reference> dy) {
    /** Random batches of the given rows. */
    static Streams random(int m, int n, DataType type, long seed, int... rows) {
        Random random = new Random(seed);
        Streams s = new Streams(new ArrayList<>(), new ArrayList<>());
        for (int b : rows) {
            s.x.add(Reference.random(b, n, type, random));
            s.dy.add(Reference.random(b, m, type, random));
        }
        return s;
    }

    /** Batches of {@code step} rows with σᵢ = decay^i of about these sizes: row i of X and dY random with size √σᵢ. */
    static Streams decaying(int m, int n, DataType type, long seed, int count, double decay, int step) {
        Random random = new Random(seed);
        Streams s = new Streams(new ArrayList<>(), new ArrayList<>());
        for (int i = 0; i < count; i += step) {
            int b = Math.min(step, count - i);
            Reference x = Reference.zeros(b, n);
            Reference dy = Reference.zeros(b, m);
            for (int j = 0; j < b; j++) {
                double size = Math.pow(decay, (i + j) / 2.0);
                for (int k = 0; k < n; k++) {
                    x.data()[j * n + k] = (float) (size * random.nextGaussian());
                }
                for (int k = 0; k < m; k++) {
                    dy.data()[j * m + k] = (float) (size * random.nextGaussian());
                }
            }
            s.x.add(x);
            s.dy.add(dy);
        }
        return s;
    }

    Reference gradient() {
        Reference g = Reference.zeros(dy.get(0).cols(), x.get(0).cols());
        for (int i = 0; i < x.size(); i++) {
            g = g.plus(1, dy.get(i).transpose().times(x.get(i)));
        }
        return g;
    }

    Streams magnitudes() {
        return new Streams(x.stream().map(Reference::magnitudes).toList(), dy.stream().map(Reference::magnitudes).toList());
    }

    /** Rows of all batches together. */
    int rows() {
        return x.stream().mapToInt(Reference::rows).sum();
    }

    Streams times(double ofX, double ofDy) {
        return new Streams(x.stream().map(a -> a.times(ofX)).toList(), dy.stream().map(a -> a.times(ofDy)).toList());
    }

    Streams part(int from, int to) {
        return new Streams(x.subList(from, to), dy.subList(from, to));
    }

    Streams reversed() {
        return new Streams(x.reversed(), dy.reversed());
    }

    void feed(Device device, DataType type, BiConsumer<Matrix, Matrix> sink) {
        for (int i = 0; i < x.size(); i++) {
            try (Matrix on = x.get(i).on(device, type); Matrix dyOn = dy.get(i).on(device, type)) {
                sink.accept(on, dyOn);
            }
        }
    }

    /** cos(D, G) of D = G·V₁V₁ᵀ + U₂U₂ᵀ·G, V₁ the first half of the right and U₂ the second half of the left vectors. */
    static double alignment(Reference g, Reference u, Reference vt) {
        int r = vt.rows() / 2;
        Reference a = vt.rows(0, r);
        Reference b = u.columns(r, 2 * r);
        Reference d = g.times(a.transpose()).times(a).plus(1, b.times(b.transpose().times(g)));
        return d.dot(g) / d.norm() / g.norm();
    }
}
