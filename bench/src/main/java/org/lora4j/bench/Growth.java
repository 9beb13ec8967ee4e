package org.lora4j.bench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * How time and memory grow along one axis, all else being the same.
 *
 * @param axis "size" (m = n), "rank" or "layers"
 * @param work forwardBackward, init, merge or model
 */
record Growth(String axis, String work, List<Point> points) {
    /** @param ms the median of a few iterations; {@code bytes} the most that the device held */
    record Point(int value, double ms, double bytes) {}

    /** One axis: the values on it, the works, and the parameters that stay. */
    record Axis(String name, int[] values, int[] quickValues, int size, int rank, int batch, List<String> works) {
        static final List<Axis> ALL = List.of(
                new Axis("size", new int[] {256, 512, 1024, 2048, 4096, 8192}, new int[] {256, 1024}, 0, 16, 256, List.of("forwardBackward", "init", "merge")),
                new Axis("rank", new int[] {4, 8, 16, 32, 64, 128, 256}, new int[] {}, 1024, 0, 256, List.of("forwardBackward", "init")),
                new Axis("layers", new int[] {1, 4, 16, 64}, new int[] {}, 512, 16, 256, List.of("forwardBackward", "model")));
    }

    /** Runs one work at one value in a process of its own; this process's options go to it. */
    static Point measure(Axis axis, String work, int value, Path log) {
        OptionsBuilder options = new OptionsBuilder();
        options.include(LayerBenchmark.class.getName() + "\\." + work + "$").output(log.toString());
        options.param("size", Integer.toString(axis.name.equals("size") ? value : axis.size));
        options.param("rank", Integer.toString(axis.name.equals("rank") ? value : axis.rank));
        options.param("layers", Integer.toString(axis.name.equals("layers") ? value : 1));
        options.param("batch", Integer.toString(axis.batch));
        try {
            RunResult result = new Runner(options.build()).runSingle();
            double bytes = result.getSecondaryResults().get("peakBytes").getScore() / LayerBenchmark.ITERATIONS;
            return new Point(value, result.getPrimaryResult().getStatistics().getPercentile(50), bytes);
        } catch (RunnerException e) {
            throw new IllegalStateException("JMH, " + axis.name + " " + value + ", " + work + "; see " + log, e);
        }
    }

    /** The exponent p of time ~ valueᵖ by least squares of the logarithms over the upper half of the points, at least three. */
    double timeExponent() {
        return exponent(points.stream().mapToDouble(Point::ms).toArray());
    }

    /** The same of memory. */
    double memoryExponent() {
        return exponent(points.stream().mapToDouble(Point::bytes).toArray());
    }

    private double exponent(double[] y) {
        int from = Math.max(0, Math.min(points.size() / 2, points.size() - 3)); // where small costs no longer count
        double sx = 0;
        double sy = 0;
        double sxx = 0;
        double sxy = 0;
        int count = points.size() - from;
        for (int i = from; i < points.size(); i++) {
            double lx = Math.log(points.get(i).value);
            double ly = Math.log(y[i]);
            sx += lx;
            sy += ly;
            sxx += lx * lx;
            sxy += lx * ly;
        }
        return (count * sxy - sx * sy) / (count * sxx - sx * sx);
    }

    /** The same with one more point. */
    Growth with(Point point) {
        List<Point> more = new ArrayList<>(points);
        more.add(point);
        return new Growth(axis, work, more);
    }
}
