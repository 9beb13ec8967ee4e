package org.lora4j.gradient;

import org.lora4j.device.Matrix;

/** A matrix that G is multiplied with, of which blocks of rows can be had. */
interface TestMatrix {
    /** Overwrites {@code target}, in float64, with as many rows from {@code first} on as it has. */
    void rows(long first, Matrix target);
}
