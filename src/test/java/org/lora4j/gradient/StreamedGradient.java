package org.lora4j.gradient;

import java.util.Random;
import java.util.function.BiConsumer;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.SingularTriplets;

/**
 * A gradient that is there as a matrix, as a stream of micro-batches, and how near to the optimum a start made from one is.
 *
 * @param norm ‖G‖
 * @param values the singular values
 */
record StreamedGradient(String name, Matrix g, double norm, double[] values) {
    static StreamedGradient of(String name, Matrix g) {
        Device device = g.device();
        long k = Math.min(g.rows(), g.cols());
        try (Matrix u = device.allocate(g.type(), g.rows(), k); Matrix s = device.allocate(g.type(), 1, k); Matrix vt = device.allocate(g.type(), k, g.cols())) {
            device.svd(g, u, s, vt);
            return new StreamedGradient(name, g, Math.sqrt(device.dot(g, g)), s.read());
        }
    }

    /**
     * Feeds G = Σ dYᵀ·X: {@code step} rows of the identity in each X, and as many random ones, which cancel: each comes again
     * half a stream later, with −dY.
     *
     * @param noise √(Σ‖Nᵢ‖²)/‖G‖ for what the random rows of each micro-batch give, Nᵢ: so much of G they would be if they
     *     were independent
     */
    void feed(int step, double noise, BiConsumer<Matrix, Matrix> sink) {
        Device device = g.device();
        int batches = (int) Math.ceilDiv(g.cols(), step);
        double size = noise * norm / Math.sqrt((double) batches * step * g.rows() * g.cols());
        int rows = noise == 0 ? step : 2 * step;
        try (Matrix x = device.allocate(g.type(), rows, g.cols()); Matrix dy = device.allocate(g.type(), rows, g.rows());
                Matrix identity = device.allocate(g.type(), step, step)) {
            for (int i = 0; i < step; i++) {
                identity.view(i, i + 1, i, i + 1).write(1);
            }
            for (int i = 0; i < batches; i++) {
                long from = (long) i * step;
                long to = Math.min(from + step, g.cols());
                Matrix ones = identity.view(0, to - from, 0, to - from);
                device.fill(x, 0);
                device.fill(dy, 0);
                device.copy(ones, x.view(0, to - from, from, to));
                device.gemm(1, ones, Op.NONE, g.columns(from, to), Op.TRANSPOSE, 0, dy.rows(0, to - from));
                if (noise > 0 && i < batches / 2 * 2) {
                    Random random = new Random(i % (batches / 2));
                    x.rows(step, rows).write(random.doubles(step * g.cols()).map(d -> (d - 0.5) * Math.sqrt(12)).toArray());
                    double signed = i < batches / 2 ? size : -size;
                    dy.rows(step, rows).write(random.doubles(step * g.rows()).map(d -> (d - 0.5) * Math.sqrt(12) * signed).toArray());
                }
                sink.accept(x, dy);
            }
        }
    }

    /** cos(D, G) of D = G·V₁V₁ᵀ + U₂U₂ᵀ·G for a start of rank r over the best one, √(Σ_{i≤2r} σᵢ²)/‖G‖. */
    double alignment(SingularTriplets t) {
        Device device = g.device();
        int r = t.values().length / 2;
        try (Matrix ga = device.allocate(g.type(), g.rows(), r); Matrix bg = device.allocate(g.type(), r, g.cols());
                Matrix d = device.allocate(g.type(), g.rows(), g.cols())) {
            Matrix a = t.vt().rows(0, r);
            Matrix b = t.u().columns(r, 2 * r);
            device.gemm(1, g, Op.NONE, a, Op.TRANSPOSE, 0, ga);
            device.gemm(1, b, Op.TRANSPOSE, g, Op.NONE, 0, bg);
            device.gemm(1, ga, Op.NONE, a, Op.NONE, 0, d);
            device.gemm(1, b, Op.NONE, bg, Op.NONE, 1, d);
            return device.dot(d, g) / Math.sqrt(device.dot(d, d)) / norm / best(r);
        }
    }

    private double best(int r) {
        double energy = 0;
        for (int i = 0; i < 2 * r; i++) {
            energy += values[i] * values[i];
        }
        return Math.sqrt(energy) / norm;
    }

    /** The alignments of a start of rank r after each of {@code passes} passes, l = factor·r. */
    double[] passes(int r, int factor, int step, double noise, int passes) {
        double[] alignment = new double[passes];
        GradientSketch sketch = new GradientSketch(g.device(), g.type(), g.rows(), g.cols(), factor * r, 1);
        feed(step, noise, sketch::update);
        try (SingularTriplets t = sketch.finish(r)) {
            alignment[0] = alignment(t);
        }
        GradientRefinement pass = sketch.refine();
        for (int i = 1; i < passes; i++) {
            pass = i == 1 ? pass : pass.refine();
            feed(step, noise, pass::update);
            try (SingularTriplets t = pass.finish(r)) {
                alignment[i] = alignment(t);
            }
        }
        pass.close();
        return alignment;
    }
}
