package org.lora4j.gradient;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** What everything that takes micro-batches (X, dY) checks before anything changes. */
final class Batches {
    private Batches() {}

    static void checkShape(long m, long n) {
        if (m < 1 || n < 1) {
            throw new IllegalArgumentException("a gradient of " + m + "×" + n + ": sizes must be at least 1");
        }
    }

    /** Refuses a type whose matrices are not factorised. */
    static void checkType(String what, DataType type) {
        if (type != type.accumulation()) {
            throw new IllegalArgumentException("a " + what + " of " + type + ": it must be of FLOAT32 or FLOAT64, which are factorised");
        }
    }

    static void checkOpen(boolean closed, String what) {
        if (closed) {
            throw new IllegalStateException("the " + what + " is closed");
        }
    }

    /** Refuses an {@code x} or {@code dy} that is not b×n and b×m of this type on this device, or is closed. */
    static void check(Device device, DataType type, long m, long n, Matrix x, Matrix dy) {
        device.checkOwned();
        check("x", x, device, type, n);
        check("dy", dy, device, type, m);
        if (x.rows() != dy.rows()) {
            throw new IllegalArgumentException("x has " + x.rows() + " rows and dy has " + dy.rows() + "; both must have one per token");
        }
        x.segment(); // throws where it is closed
        dy.segment();
    }

    private static void check(String name, Matrix a, Device device, DataType type, long features) {
        if (a.cols() != features || a.type() != type || a.device() != device) {
            throw new IllegalArgumentException(name + " is " + a.type() + " " + a.rows() + "×" + a.cols() + "; it must be " + type + " with "
                    + features + " columns" + (a.device() == device ? "" : ", on the same device as the gradient"));
        }
    }

    static void checkFinite(String what, Matrix a) {
        double largest = a.device().largest(a);
        if (!Double.isFinite(largest)) {
            throw new IllegalArgumentException("the " + what + " contains " + largest + "; every element must be finite");
        }
    }

    /** Refuses what is not finite, and numbers whose squares, as in a Gram matrix, leave float64's range. */
    static void checkSquares(String what, Matrix a) {
        checkFinite(what, a);
        double largest = Math.abs(a.device().largest(a));
        if (a.type() == DataType.FLOAT64 && largest != 0 && (largest < 0x1p-400 || largest > 0x1p400)) {
            throw new IllegalArgumentException("the largest element of the " + what + " is " + largest + ", out of range: it must be 0 or from 2^-400 to 2^400, "
                    + "for the sums of squares that a sketch is made by");
        }
    }

    static void checkCount(int k, long most, String why) {
        if (k < 1 || k > most) {
            throw new IllegalArgumentException(k + " singular triplets: from 1 to " + most + " can be had, " + why);
        }
    }
}
