package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** {@code torch.svd_lowrank} as PEFT's LoRA-GA calls it: 4r vectors, four power iterations; 2r of the triplets are kept. */
final class LowRankContender implements SvdContender {
    static final String NAME = "svd_lowrank";

    private final PythonPeer python;
    private int count;

    /** @param python is closed by whoever started it */
    LowRankContender(PythonPeer python) {
        this.python = python;
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public void prepare(List<Gradient> gradients, int r) throws IOException {
        count = gradients.size();
        Files.createDirectories(python.folder());
        for (int i = 0; i < count; i++) {
            Inputs.write(python.folder(), "g." + i, gradients.get(i).values());
        }
        python.ask(Map.of("do", "prepare", "work", "svd", "r", r, "folder", python.folder().toString(),
                "shapes", gradients.stream().map(g -> List.of(g.m(), g.n())).toList()));
    }

    @Override
    public double[] run(int first, int calls) throws IOException {
        return python.run(first, calls);
    }

    @Override
    public List<Triplets> found() throws IOException {
        python.ask(Map.of("do", "results"));
        List<Triplets> found = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            found.add(new Triplets(result("s." + i), result("u." + i), result("v." + i)));
        }
        return found;
    }

    private double[] result(String name) throws IOException {
        float[] values = python.result(name);
        return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
    }

    @Override
    public void release() throws IOException {
        python.release();
    }
}
