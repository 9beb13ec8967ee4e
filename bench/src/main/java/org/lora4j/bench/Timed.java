package org.lora4j.bench;

import java.io.IOException;

/** What is run in turns with others and timed. */
interface Timed {
    /** Its name in the results. */
    String name();

    /** Does its work {@code calls} times, on the input sets from {@code first} on in turn; the milliseconds of each call. */
    double[] run(int first, int calls) throws IOException;
}
