package org.lora4j.bench;

import java.io.IOException;
import java.util.List;

/** A method for leading singular triplets. Used as: prepare, run…, release, prepare, … A call decomposes every gradient. */
interface SvdContender extends Timed {
    /** Copies the gradients to where it computes. */
    void prepare(List<Gradient> gradients, int r) throws IOException;

    /** The 2r leading triplets of each gradient, as the first run after {@link #prepare} found them. */
    List<Triplets> found() throws IOException;

    /** Frees what {@link #prepare} allocated. */
    void release() throws IOException;
}
