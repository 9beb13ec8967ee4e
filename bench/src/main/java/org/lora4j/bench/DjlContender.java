package org.lora4j.bench;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.training.GradientCollector;

/**
 * PyTorch through DJL. The usual form lets a gradient collector record the forward pass and go back through it; the best
 * form known records nothing: it writes the products of both passes out and adds in place. DJL binds no SVD of PyTorch's,
 * so there is no start. A sum of several products in one, as {@code addmm} does it, DJL does not bind either.
 */
final class DjlContender implements Contender {
    private record Arrays(NDArray w, NDArray a, NDArray b, NDArray x, NDArray dy, NDArray da, NDArray db) {}

    private final boolean best;
    private final NDManager root;
    private final List<Arrays> sets = new ArrayList<>();
    private NDManager manager; // of the item
    private Item item;
    private Map<String, float[]> results;

    /** @throws RuntimeException or an error where PyTorch's natives can't be had */
    DjlContender(boolean best, int threads) {
        this.best = best;
        Engine.getEngine("PyTorch");
        if (JniUtils.getNumThreads() != threads) {
            JniUtils.setNumThreads(threads);
        }
        root = NDManager.newBaseManager("PyTorch");
    }

    @Override
    public String name() {
        return best ? "djl" : "djl usual";
    }

    @Override
    public String description() {
        return "PyTorch " + Engine.getEngine("PyTorch").getVersion() + " through DJL " + Engine.getDjlVersion() + ", " + JniUtils.getNumThreads() + " threads";
    }

    @Override
    public boolean takes(Item some) {
        return best ? some.work().isPass() || some.work() == Work.MERGE : some.work().isPass(); // a merge has one form only
    }

    @Override
    public void prepare(Item some, Inputs inputs) {
        item = some;
        results = null;
        manager = root.newSubManager();
        for (int i = 0; i < inputs.count(); i++) {
            Inputs.Set s = inputs.get(i);
            Arrays arrays = new Arrays(array(s.w(), item.m(), item.n()), array(s.a(), item.r(), item.n()), array(s.b(), item.m(), item.r()),
                    array(s.x(), item.b(), item.n()), array(s.dy(), item.b(), item.m()),
                    manager.zeros(new Shape(item.r(), item.n())), manager.zeros(new Shape(item.m(), item.r())));
            if (!best && item.work().isPass()) {
                for (NDArray a : new NDArray[] {arrays.a, arrays.b}) {
                    a.setRequiresGradient(true);
                }
                arrays.x.setRequiresGradient(item.work() == Work.FORWARD_BACKWARD);
            }
            sets.add(arrays);
        }
    }

    private NDArray array(float[] values, int rows, int cols) {
        return values == null ? null : manager.create(values, new Shape(rows, cols));
    }

    @Override
    public double[] run(int first, int calls) {
        double[] ms = new double[calls];
        for (int i = 0; i < calls; i++) {
            Arrays s = sets.get((first + i) % sets.size());
            if (!best && item.work() == Work.FORWARD_BACKWARD && results != null) {
                JniUtils.zeroGrad((PtNDArray) s.x); // dX is overwritten, not summed
            }
            long start = System.nanoTime();
            try (NDManager step = manager.newSubManager()) {
                Map<String, NDArray> made = once(step, s);
                ms[i] = (System.nanoTime() - start) / 1e6;
                if (results == null) {
                    results = new HashMap<>();
                    made.forEach((name, a) -> results.put(name, a.toFloatArray()));
                }
            }
        }
        return ms;
    }

    private Map<String, NDArray> once(NDManager step, Arrays s) {
        switch (item.work()) {
            case FORWARD -> {
                if (best) {
                    return Map.of("y", forward(s, step)[1]);
                }
                try (GradientCollector recorder = Engine.getEngine("PyTorch").newGradientCollector()) {
                    return Map.of("y", forward(s, step)[1]);
                }
            }
            case FORWARD_BACKWARD -> {
                return best ? products(s, step) : recorded(s, step);
            }
            default -> {
                s.w.addi(temporary(s.b.matMul(s.a), step).muli(item.eta()));
                return Map.of("w", s.w);
            }
        }
    }

    /** T and Y. */
    private NDArray[] forward(Arrays s, NDManager step) {
        NDArray at = temporary(s.a.transpose(), step);
        NDArray wt = temporary(s.w.transpose(), step);
        NDArray bt = temporary(s.b.transpose(), step);
        NDArray xa = temporary(s.x.matMul(at), step);
        NDArray t = best ? xa.muli(item.eta()) : temporary(xa.mul(item.eta()), step);
        NDArray frozen = temporary(s.x.matMul(wt), step);
        NDArray adapter = temporary(t.matMul(bt), step);
        return new NDArray[] {t, best ? frozen.addi(adapter) : temporary(frozen.add(adapter), step)};
    }

    private Map<String, NDArray> recorded(Arrays s, NDManager step) {
        try (GradientCollector recorder = Engine.getEngine("PyTorch").newGradientCollector()) {
            NDArray y = forward(s, step)[1];
            JniUtils.backward((PtNDArray) y, (PtNDArray) s.dy, false, false);
            return Map.of("y", y, "dx", temporary(s.x.getGradient(), step), "da", temporary(s.a.getGradient(), step), "db", temporary(s.b.getGradient(), step));
        }
    }

    private Map<String, NDArray> products(Arrays s, NDManager step) {
        NDArray[] ty = forward(s, step);
        NDArray dt = temporary(s.dy.matMul(s.b), step).muli(item.eta());
        s.db.addi(temporary(temporary(s.dy.transpose(), step).matMul(ty[0]), step));
        s.da.addi(temporary(temporary(dt.transpose(), step).matMul(s.x), step));
        NDArray dx = temporary(s.dy.matMul(s.w), step).addi(temporary(dt.matMul(s.a), step));
        return Map.of("y", ty[1], "dx", dx, "da", s.da, "db", s.db);
    }

    /** {@code a}, freed at the end of the step. */
    private static NDArray temporary(NDArray a, NDManager step) {
        a.attach(step);
        return a;
    }

    @Override
    public Map<String, float[]> results(Set<String> wanted) {
        return results;
    }

    @Override
    public void release() {
        manager.close();
        sets.clear();
    }

    @Override
    public void close() {
        root.close();
    }
}
