package org.lora4j.init;

import java.util.function.Supplier;

import org.lora4j.svd.SingularTriplets;

/** Singular triplets and the time they took. The checks before them have waited for the device, and so does the search itself. */
record TimedTriplets(SingularTriplets triplets, double seconds) implements AutoCloseable {
    static TimedTriplets of(Supplier<SingularTriplets> search) {
        long begun = System.nanoTime();
        SingularTriplets found = search.get();
        return new TimedTriplets(found, (System.nanoTime() - begun) * 1e-9);
    }

    @Override
    public void close() {
        triplets.close();
    }
}
