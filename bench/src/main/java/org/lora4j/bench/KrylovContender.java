package org.lora4j.bench;

import java.util.ArrayList;
import java.util.List;

import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;
import org.lora4j.device.Matrix;
import org.lora4j.svd.BlockKrylovSvd;
import org.lora4j.svd.Certificate;
import org.lora4j.svd.SingularTriplets;
import org.lora4j.svd.TopSvd;

/** This library's {@link BlockKrylovSvd}, with its default tolerance. */
final class KrylovContender implements SvdContender {
    /** What one decomposition says of itself, and what it took. */
    record Cost(Certificate certificate, SvdMeasured.Memory memory) {}

    private final TopSvd svd = new BlockKrylovSvd();
    private final Device device;
    private final List<Matrix> on = new ArrayList<>();
    private final List<Cost> costs = new ArrayList<>();
    private List<Gradient> gradients;
    private int r;

    /** @param device is closed by whoever opened it */
    KrylovContender(Device device) {
        this.device = device;
    }

    @Override
    public String name() {
        return "lora4j";
    }

    @Override
    public void prepare(List<Gradient> some, int rank) {
        gradients = some;
        r = rank;
        for (Gradient g : some) {
            on.add(g.on(device));
        }
    }

    @Override
    public double[] run(int first, int calls) {
        double[] ms = new double[calls];
        for (int i = 0; i < calls; i++) {
            long start = System.nanoTime();
            for (Matrix g : on) {
                svd.top(g, 2 * r, first + i).close();
            }
            ms[i] = (System.nanoTime() - start) / 1e6;
        }
        return ms;
    }

    /** Once more with the first run's seed, which gives the same bits, each gradient on a device of its own, which counts. */
    @Override
    public List<Triplets> found() {
        List<Triplets> found = new ArrayList<>();
        costs.clear();
        for (Gradient gradient : gradients) {
            try (Device alone = HostDevice.open(); Matrix g = gradient.on(alone)) {
                long before = alone.counters().currentBytes();
                try (SingularTriplets triplets = svd.top(g, 2 * r, 0)) {
                    SvdMeasured.Memory memory = new SvdMeasured.Memory(alone.counters().peakBytes() - before, 8.0 * (g.rows() + g.cols()) * 4 * r);
                    costs.add(new Cost(triplets.certificate(), memory));
                    found.add(Triplets.of(triplets));
                }
            }
        }
        return found;
    }

    /** Of each gradient, after {@link #found}. */
    List<Cost> costs() {
        return costs;
    }

    @Override
    public void release() {
        on.forEach(Matrix::close);
        on.clear();
    }
}
