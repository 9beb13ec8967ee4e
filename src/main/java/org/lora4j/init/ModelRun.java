package org.lora4j.init;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** One pass over the layers of a model: what was done so far, and when to stop. */
final class ModelRun {
    private final ModelInitializer settings;
    private final List<ModelLayer> layers;
    private final Consumer<LayerStart> results;
    private final Map<String, Long> bearers; // of each name

    private final List<String> started = new ArrayList<>();
    private final List<ModelReport.Failure> failures = new ArrayList<>();
    private int reached; // layers that were started or failed
    private RuntimeException lost; // why the device can't be used any more
    private boolean interrupted;
    private long peakBytes;
    private double seconds; // of the layers that were started
    private double workDone; // theirs
    private double workLeft; // of those not reached

    ModelRun(ModelInitializer settings, List<ModelLayer> layers, Consumer<LayerStart> results) {
        this.settings = settings;
        this.layers = layers;
        this.results = results;
        bearers = layers.stream().map(ModelLayer::name).collect(Collectors.groupingBy(Function.identity(), Collectors.counting()));
        workLeft = layers.stream().mapToDouble(ModelLayer::work).sum();
    }

    ModelReport run() {
        try {
            startAll();
        } catch (RuntimeException | Error e) {
            if (!failures.isEmpty()) {
                e.addSuppressed(new IncompleteModelException(report(), null));
            }
            throw e;
        }
        ModelReport report = report();
        if (!report.isComplete()) {
            throw new IncompleteModelException(report, lost);
        }
        return report;
    }

    private ModelReport report() {
        return new ModelReport(List.copyOf(started), List.copyOf(failures), layers.stream().skip(reached).map(ModelLayer::name).toList(), interrupted, peakBytes);
    }

    private void startAll() {
        if (stops()) {
            return;
        }
        ReadAhead reader = new ReadAhead(layers.stream().filter(this::isUnique).toList(), settings.factorType());
        try (reader) {
            while (reached < layers.size() && !stops()) {
                ModelLayer layer = layers.get(reached);
                long begun = System.nanoTime();
                boolean done = isUnique(layer) ? start(layer, reader) : fail("starting", new IllegalArgumentException("the name is given to "
                        + bearers.get(layer.name()) + " layers; each must have its own"));
                if (interrupted) {
                    return;
                }
                told(layer, done, (System.nanoTime() - begun) * 1e-9);
            }
        } finally {
            peakBytes = reader.peakBytes();
        }
    }

    private boolean isUnique(ModelLayer layer) {
        return bearers.get(layer.name()) == 1;
    }

    private boolean stops() {
        interrupted = reached < layers.size() && Thread.currentThread().isInterrupted();
        return interrupted || lost != null;
    }

    /** Whether the layer was started; false where it failed, or the wait for it was interrupted. */
    private boolean start(ModelLayer layer, ReadAhead reader) {
        LayerStart start;
        try (LoadedLayer loaded = reader.take()) {
            try {
                start = new LayerComputation(settings, loaded).run(reached);
            } catch (RuntimeException e) {
                lost = lossOf(settings.device());
                return fail("starting", e);
            }
            uninterrupted(() -> results.accept(start));
            started.add(layer.name());
            return true;
        } catch (ReadAhead.ReadException e) {
            return fail(e.step, e.reason);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            interrupted = true;
            return false;
        }
    }

    private boolean fail(String step, Exception cause) {
        failures.add(new ModelReport.Failure(layers.get(reached).name(), reached, step, cause));
        return false;
    }

    private void told(ModelLayer layer, boolean done, double took) {
        reached++;
        workLeft -= layer.work();
        if (done) {
            seconds += took;
            workDone += layer.work();
        }
        double left = reached == layers.size() ? 0 : workDone == 0 ? Double.NaN : seconds * (workLeft / workDone);
        ModelProgress progress = new ModelProgress(layer.name(), reached - 1, layers.size(), done, seconds, left);
        uninterrupted(() -> settings.progress().accept(progress));
    }

    /** Why the device can't be used, found out by using it; null where it can. */
    private static RuntimeException lossOf(Device device) {
        try (Matrix probe = device.temporary(DataType.FLOAT32, 1, 1)) {
            device.fill(probe, 1);
            device.largest(probe);
            return null;
        } catch (RuntimeException e) {
            return e;
        }
    }

    /** Runs what belongs to a layer that is done, without the interrupt that came meanwhile: it would close a channel written to. */
    private static void uninterrupted(Runnable step) {
        boolean interrupted = Thread.interrupted();
        try {
            step.run();
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
