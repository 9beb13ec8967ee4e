package org.lora4j.demo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;

import org.lora4j.analysis.FirstOrderAlignment;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.init.LoraGa;
import org.lora4j.init.PlainLora;

/**
 * The experiment: a network that has learned the digits 0–4 adapts to 5–9, three times from the same weights, by full
 * fine-tuning, by LoRA and by LoRA-GA; for each at the learning rate with the lowest loss, averaged over steps and seeds.
 */
final class Adaptation {
    /** What is trained, and from which start. */
    enum Method {
        FULL, LORA, LORA_GA
    }

    /**
     * One method at one learning rate; means over the seeds.
     *
     * @param loss the mean log-loss over all training digits 5–9 after each step
     * @param accuracy on held-out digits 5–9 after the last step
     * @param firstStepAlignment cos(D, G) of the method's first-order step with the gradient, averaged over the layers
     */
    record Outcome(double learningRate, double[] loss, double accuracy, double firstStepAlignment) {
        double meanLoss() {
            return Arrays.stream(loss).average().orElseThrow();
        }
    }

    /**
     * How much is done.
     *
     * @param learningRates that are tried
     * @param steps of each training
     * @param seeds over which outcomes are averaged
     * @param pretrainingSteps on the digits 0–4
     */
    record Plan(double[] learningRates, int steps, int seeds, int pretrainingSteps) {
        /** The demonstration's. */
        static final Plan DEMONSTRATION = new Plan(new double[] {5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2}, 120, 3, 300);

        /** How many trainings that makes. */
        int runs() {
            return seeds * Method.values().length * learningRates.length;
        }
    }

    private static final int BATCH = 64;
    private static final float PRETRAINING_RATE = 1e-3f;
    private static final int GRADIENT_DIGITS = 256;
    private static final double HELD_OUT = 0.2;

    private final Device device;
    private final Plan plan;
    private final long seed;
    private final Runnable progress;
    private final Consumer<Matrix> gradients;
    private final Digits old; // 0–4
    private final Digits fresh; // 5–9

    /** @param progress called after each of the plan's trainings */
    Adaptation(Device device, Plan plan, long seed, Runnable progress) {
        this(device, plan, seed, progress, g -> {});
    }

    /** @param gradients may change each of the gradients before it is used */
    Adaptation(Device device, Plan plan, long seed, Runnable progress, Consumer<Matrix> gradients) {
        this.device = device;
        this.plan = plan;
        this.seed = seed;
        this.progress = progress;
        this.gradients = gradients;
        Digits all = Digits.load();
        old = all.where(d -> d < 5);
        fresh = all.where(d -> d >= 5);
    }

    /** For each method an outcome for each of the plan's learning rates. */
    Map<Method, List<Outcome>> run() {
        Map<Method, List<List<Outcome>>> bySeed = new EnumMap<>(Method.class);
        for (Method method : Method.values()) {
            bySeed.put(method, new ArrayList<>());
        }
        for (int s = 0; s < plan.seeds; s++) {
            runSeed(seed + s, bySeed);
        }
        Map<Method, List<Outcome>> outcomes = new EnumMap<>(Method.class);
        bySeed.forEach((method, seeds) -> outcomes.put(method, means(seeds)));
        return outcomes;
    }

    /** The outcome with the lowest mean loss. */
    static Outcome best(List<Outcome> outcomes) {
        return outcomes.stream().min((a, b) -> Double.compare(a.meanLoss(), b.meanLoss())).orElseThrow();
    }

    private void runSeed(long runSeed, Map<Method, List<List<Outcome>>> bySeed) {
        Digits shuffled = fresh.shuffled(runSeed);
        int heldOut = (int) Math.ceil(HELD_OUT * shuffled.size());
        Digits test = shuffled.range(0, heldOut);
        Digits train = shuffled.range(heldOut, shuffled.size());
        try (Network network = new Network(device, train.size()); Tuning.Full full = new Tuning.Full(network)) {
            float[][] weights = pretrain(network, runSeed);
            network.load(weights);
            Digits probe = train.range(0, GRADIENT_DIGITS);
            network.forward(probe.pixels(), probe.size());
            full.measure(probe.labels());
            for (Matrix gradient : full.gradients()) {
                gradients.accept(gradient);
            }
            for (Method method : Method.values()) {
                List<Outcome> outcomes = new ArrayList<>();
                for (double rate : plan.learningRates) {
                    outcomes.add(adapt(network, weights, full.gradients(), method, rate, train, test, runSeed));
                    progress.run();
                }
                bySeed.get(method).add(outcomes);
            }
        }
    }

    /** Weights that know the digits 0–4, from normal ones of variance 2/n (He et al., arXiv 1502.01852). */
    private float[][] pretrain(Network network, long runSeed) {
        Random random = new Random(runSeed);
        float[][] weights = new float[Network.LAYERS][];
        for (int i = 0; i < Network.LAYERS; i++) {
            int n = Network.WIDTHS[i];
            weights[i] = new float[Network.WIDTHS[i + 1] * n];
            for (int j = 0; j < weights[i].length; j++) {
                weights[i][j] = (float) (random.nextGaussian() * Math.sqrt(2.0 / n));
            }
        }
        network.load(weights);
        try (Tuning.Full tuning = new Tuning.Full(network)) {
            for (int i = 0; i < plan.pretrainingSteps; i++) {
                Digits batch = batch(old, random);
                network.forward(batch.pixels(), BATCH);
                tuning.step(batch.labels(), PRETRAINING_RATE);
            }
            return tuning.weights();
        }
    }

    private Outcome adapt(Network network, float[][] weights, Matrix[] gradients, Method method, double rate, Digits train, Digits test,
            long runSeed) {
        network.load(weights);
        double alignment = start(network, gradients, method, runSeed);
        double[] loss = new double[plan.steps];
        Random random = new Random(runSeed); // the same batches for every method and rate
        try (Tuning tuning = method == Method.FULL ? new Tuning.Full(network) : new Tuning.Adapters(network)) {
            for (int i = 0; i < plan.steps; i++) {
                Digits batch = batch(train, random);
                network.forward(batch.pixels(), BATCH);
                tuning.step(batch.labels(), (float) rate);
                network.forward(train.pixels(), train.size());
                loss[i] = network.loss(train.labels());
            }
        }
        network.forward(test.pixels(), test.size());
        return new Outcome(rate, loss, network.accuracy(test.labels()), alignment);
    }

    /** Starts the adapters; the mean over the layers of the alignment of their first step with the gradient. */
    private double start(Network network, Matrix[] gradients, Method method, long runSeed) {
        double sum = 0;
        for (int i = 0; i < Network.LAYERS; i++) {
            Matrix g = gradients[i];
            switch (method) {
                case FULL -> sum += FirstOrderAlignment.cosine(g, g); // the step of full fine-tuning is the gradient itself
                case LORA -> PlainLora.kaimingUniform(runSeed + i).initialize(network.layer(i));
                case LORA_GA -> LoraGa.of(g).initialize(network.layer(i));
            }
            if (method != Method.FULL) {
                sum += FirstOrderAlignment.of(g, network.layer(i).loraA(), network.layer(i).loraB()).cosine();
            }
        }
        return sum / Network.LAYERS;
    }

    private static Digits batch(Digits from, Random random) {
        return from.rows(random.ints(BATCH, 0, from.size()).toArray());
    }

    /** Outcome by outcome the mean over the seeds. */
    private List<Outcome> means(List<List<Outcome>> seeds) {
        List<Outcome> means = new ArrayList<>();
        for (int i = 0; i < plan.learningRates.length; i++) {
            double[] loss = new double[plan.steps];
            double accuracy = 0;
            double alignment = 0;
            for (List<Outcome> outcomes : seeds) {
                Outcome o = outcomes.get(i);
                for (int j = 0; j < plan.steps; j++) {
                    loss[j] += o.loss[j] / plan.seeds;
                }
                accuracy += o.accuracy / plan.seeds;
                alignment += o.firstStepAlignment / plan.seeds;
            }
            means.add(new Outcome(plan.learningRates[i], loss, accuracy, alignment));
        }
        return means;
    }
}
