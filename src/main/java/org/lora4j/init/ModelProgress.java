package org.lora4j.init;

/**
 * How far the layers of a model are, told after each of them.
 *
 * @param name the layer that is done or has failed
 * @param index its place in the list, from 0
 * @param count how many layers there are
 * @param started false where it failed
 * @param seconds how long the layers that were started took so far, with waiting for what is read
 * @param secondsLeft what the rest will take in proportion to its work, m·n·r; NaN before any was started
 */
public record ModelProgress(String name, int index, int count, boolean started, double seconds, double secondsLeft) {
}
