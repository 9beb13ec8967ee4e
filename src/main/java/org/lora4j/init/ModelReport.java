package org.lora4j.init;

import java.util.List;

/**
 * What became of the layers of a model. Each is in one of the three lists, in order.
 *
 * @param started names of those whose start was handed over
 * @param failures those that have none, and why
 * @param notReached names of those that were not begun, or not finished, because of an interrupt or a lost device
 * @param interrupted whether the thread was interrupted before the last layer
 * @param peakHostBytes the most bytes of host memory that were held at once: at most those of the two largest layers
 */
public record ModelReport(List<String> started, List<Failure> failures, List<String> notReached, boolean interrupted, long peakHostBytes) {
    /**
     * A layer that was not started.
     *
     * @param name the layer
     * @param index its place in the list, from 0
     * @param step what failed: "reading the weight", "reading the gradient", "starting"
     * @param cause why
     */
    public record Failure(String name, int index, String step, Exception cause) {
        @Override
        public String toString() {
            String reason = cause instanceof IllegalArgumentException ? cause.getMessage() : cause.toString();
            return "layer " + index + ", \"" + name + "\": " + step + ": " + reason;
        }
    }

    /** Whether every layer was started. */
    public boolean isComplete() {
        return failures.isEmpty() && notReached.isEmpty();
    }
}
