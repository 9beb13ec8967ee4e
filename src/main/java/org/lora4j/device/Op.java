package org.lora4j.device;

/** What a product takes of an operand: the matrix itself or its transpose. */
public enum Op {
    /** op(M) = M. */
    NONE,
    /** op(M) = Mᵀ. */
    TRANSPOSE
}
