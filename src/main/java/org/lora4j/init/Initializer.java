package org.lora4j.init;

import org.lora4j.LoraLinear;

/** Gives a layer's adapter its start. The layer's effective weight W' stays what it was, to rounding. */
public interface Initializer {
    /**
     * Sets A and B of {@code layer} and corrects its frozen weight. Arguments are checked first; where this throws, the
     * layer is as it was.
     *
     * @throws IllegalArgumentException naming the value that is wrong and what would be right
     * @throws IllegalStateException while the adapter is merged
     */
    Initialization initialize(LoraLinear layer);
}
