package org.lora4j.device;

/** On which side of the unknown the triangular matrix stands. */
public enum Side {
    /** op(T)·X = α·B. */
    LEFT,
    /** X·op(T) = α·B. */
    RIGHT
}
