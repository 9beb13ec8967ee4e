package org.lora4j.device;

import org.lora4j.device.Counters.Call;

/** The element-wise passes and reductions of a {@link Device}. */
abstract sealed class DeviceElements extends DeviceMemory permits Device {
    /** Every element of {@code a} becomes {@code value}. */
    public final void fill(Matrix a, double value) {
        elementwise(a, a);
        doFill(a, value);
    }

    /**
     * Fills A with uniform numbers from −1 to 1, row by row, by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same of one
     * seed on every device. A GPU keeps the last ones; as many columns and no more rows of them are not copied in again.
     */
    public final void uniform(long seed, Matrix a) {
        elementwise(a, a);
        if (a.type() != a.type().accumulation()) {
            throw new IllegalArgumentException("uniform: the matrix is " + a.type() + "; it must be FLOAT32 or FLOAT64");
        }
        doUniform(seed, a);
    }

    /** A ← α·A, which is nothing to do for α = 1, but counted. */
    public final void scale(double alpha, Matrix a) {
        elementwise(a, a);
        if (alpha != 1) {
            doScale(alpha, a);
        }
    }

    /**
     * Σᵢⱼ Aᵢⱼ·Bᵢⱼ. {@code dot(a, a)} is the square of the Frobenius norm. The host sums in float64; a GPU sums each row in the
     * type's {@link DataType#accumulation()} and the rows in float64. No element's size makes it over- or underflow before
     * the result does.
     */
    public final double dot(Matrix a, Matrix b) {
        elementwise(a, b);
        return doDot(a, b);
    }

    /** The element of largest magnitude with its sign, the first in row order of equals; NaN if there is a NaN; 0 if empty. */
    public final double largest(Matrix a) {
        elementwise(a, a);
        return doLargest(a);
    }

    private void elementwise(Matrix a, Matrix b) {
        enter();
        check(a);
        check(b);
        Checks.sameType("element by element", a, b);
        Checks.sameShape("element by element", a, b);
        count(Call.ELEMENTWISE);
    }

    // ---- what a device implements; arguments have been checked

    abstract void doFill(Matrix a, double value);

    abstract void doUniform(long seed, Matrix a);

    abstract void doScale(double alpha, Matrix a);

    abstract double doDot(Matrix a, Matrix b);

    abstract double doLargest(Matrix a);
}
