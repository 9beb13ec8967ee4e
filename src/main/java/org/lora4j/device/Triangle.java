package org.lora4j.device;

/** Which triangle of a matrix is read; the other one is never touched. */
public enum Triangle {
    /** Elements on and below the diagonal. */
    LOWER,
    /** Elements on and above the diagonal. */
    UPPER
}
