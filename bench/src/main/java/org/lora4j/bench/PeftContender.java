package org.lora4j.bench;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** Hugging Face PEFT on PyTorch, in a Python process of its own; input and results go through files. */
final class PeftContender implements Contender {
    private final PythonPeer python;

    /** @param python is closed with this contender */
    PeftContender(PythonPeer python) {
        this.python = python;
    }

    PythonPeer python() {
        return python;
    }

    @Override
    public String name() {
        return "peft";
    }

    @Override
    public String description() {
        return python.description();
    }

    @Override
    public boolean takes(Item item) {
        return !item.work().isKernel();
    }

    @Override
    public void prepare(Item item, Inputs inputs) throws IOException {
        inputs.write(python.folder());
        python.ask(Map.of("do", "prepare", "work", item.work().toString(), "b", item.b(), "m", item.m(), "n", item.n(), "r", item.r(), "alpha", Item.ALPHA,
                "folder", python.folder().toString(), "sets", inputs.count()));
    }

    @Override
    public double[] run(int first, int calls) throws IOException {
        return python.run(first, calls);
    }

    @Override
    public Map<String, float[]> results(Set<String> wanted) throws IOException {
        python.ask(Map.of("do", "results"));
        Map<String, float[]> results = new HashMap<>();
        for (String name : wanted) {
            results.put(name, python.result(name));
        }
        return results;
    }

    @Override
    public void release() throws IOException {
        python.release();
    }

    @Override
    public void close() {
        python.close();
    }
}
