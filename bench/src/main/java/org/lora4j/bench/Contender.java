package org.lora4j.bench;

import java.io.IOException;
import java.util.Map;
import java.util.Set;

/** One implementation of the works, in one form. Used as: prepare, run…, release, prepare, … close. */
interface Contender extends Timed, AutoCloseable {
    /** Its name in the results: "nd4j" for the best form known, "nd4j usual" for the form that its users write. */
    @Override
    String name();

    /** The library and its version and threads, in its own words where it has any. */
    String description();

    /** The items that it takes part in; a reason is given in the report for those it doesn't. */
    boolean takes(Item item);

    /** Whether it does the work, and its results are to be verified: else it is something to compare with. */
    default boolean hasResults() {
        return true;
    }

    /** Copies all input sets to where it computes and allocates what its form allocates beforehand. */
    void prepare(Item item, Inputs inputs) throws IOException;

    /**
     * What the first run on set 0 after {@link #prepare} left, by name and row-major: y (b, m); dx (b, n), da (r, n),
     * db (m, r); w (m, n); a (r, n), b (m, r); y (m, r), z (n, r) of a power step.
     *
     * @param wanted the names asked for
     */
    Map<String, float[]> results(Set<String> wanted) throws IOException;

    /** Frees what {@link #prepare} allocated. */
    void release() throws IOException;

    @Override
    void close();
}
