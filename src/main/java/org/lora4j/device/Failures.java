package org.lora4j.device;

import java.util.List;

/** Steps that must all be tried, such as giving back one thing after another. */
final class Failures {
    private Failures() {}

    /** Runs every step; throws the first one's exception, with those of later steps as suppressed ones. */
    static void runAll(List<Runnable> steps) {
        RuntimeException first = null;
        for (Runnable step : steps) {
            try {
                step.run();
            } catch (RuntimeException e) {
                if (first == null) {
                    first = e;
                } else if (e != first) {
                    first.addSuppressed(e);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }
}
