package org.lora4j.device;

import java.lang.foreign.MemorySegment;

/** What every device checks before a native call. Each failure names the value and what would be right. */
final class Checks {
    private Checks() {}

    /** The bytes of a matrix with all of its rows' gaps, or an error. */
    static long bytes(DataType type, long rows, long cols, long leadingDimension) {
        if (rows < 0 || cols < 0) {
            throw new IllegalArgumentException("a matrix of " + rows + "×" + cols + ": sizes must not be negative");
        }
        if (leadingDimension < Math.max(1, cols)) {
            throw new IllegalArgumentException("leading dimension " + leadingDimension + " of a matrix of " + rows + "×" + cols
                    + ": it must be at least " + Math.max(1, cols));
        }
        try {
            return Math.multiplyExact(Math.multiplyExact(rows, leadingDimension), type.bytes());
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException("a matrix of " + rows + "×" + cols + " with leading dimension " + leadingDimension
                    + " has more than 2^63 bytes");
        }
    }

    static void hostMemory(MemorySegment memory, DataType type, long rows, long cols, long leadingDimension) {
        String what = "a matrix of " + rows + "×" + cols;
        if (memory == null) {
            throw new IllegalArgumentException("the memory for " + what + " is null");
        }
        bytes(type, rows, cols, leadingDimension);
        long needed = Matrix.span(rows, cols, leadingDimension) * type.bytes();
        if (memory.byteSize() < needed) {
            throw new IllegalArgumentException("the memory has " + memory.byteSize() + " bytes; " + what + " " + type
                    + " with leading dimension " + leadingDimension + " needs " + needed);
        }
        usable(memory, what);
    }

    /** Refuses memory that is null, closed or another thread's. */
    static void usable(MemorySegment memory, String what) {
        if (memory == null) {
            throw new IllegalArgumentException("the memory for " + what + " is null");
        }
        if (!memory.scope().isAlive()) {
            throw new IllegalStateException("the memory for " + what + " is closed");
        }
        if (!memory.isAccessibleBy(Thread.currentThread())) {
            throw new WrongThreadException("the memory for " + what + " belongs to another thread's arena");
        }
    }

    static void writable(MemorySegment memory) {
        if (memory.isReadOnly()) {
            throw new IllegalArgumentException("the memory is read-only; it must be writable");
        }
    }

    static void sameType(String what, Matrix a, Matrix b) {
        if (a.type() != b.type()) {
            throw new IllegalArgumentException(what + ": " + a.type() + " with " + b.type() + "; types must agree");
        }
    }

    static void sameShape(String what, Matrix a, Matrix b) {
        if (a.rows() != b.rows() || a.cols() != b.cols()) {
            throw new IllegalArgumentException(what + ": a matrix of " + a.shape() + " with one of " + b.shape() + "; shapes must agree");
        }
    }

    static void shape(String what, Matrix a, long rows, long cols) {
        if (a.rows() != rows || a.cols() != cols) {
            throw new IllegalArgumentException(what + " is " + a.shape() + ", should be " + rows + "×" + cols);
        }
    }

    static void factorisable(String what, Matrix a) {
        if (a.type() != a.type().accumulation()) {
            throw new IllegalArgumentException(what + " of " + a.type() + ": factorisations take FLOAT32 and FLOAT64; convert it");
        }
    }

    static void finite(String what, Matrix a, double largest) {
        if (!Double.isFinite(largest)) {
            throw new IllegalArgumentException(what + " (" + a.shape() + ") contains " + largest + "; every element must be finite");
        }
    }

    static void dimensions(String what, Matrix a, long max) {
        if (a.rows() > max || a.cols() > max || a.leadingDimension() > max) {
            throw new IllegalArgumentException(what + ": " + a.shape() + " with leading dimension " + a.leadingDimension()
                    + " is beyond the native library's limit of " + max);
        }
    }

    static void span(String what, Matrix a) {
        long span = Matrix.span(a.rows(), a.cols(), a.leadingDimension());
        if (span > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(what + ": " + a.shape() + " with leading dimension " + a.leadingDimension() + " spans " + span
                    + " elements; factorisations take at most " + Integer.MAX_VALUE);
        }
    }

    static void noOverlap(String what, Matrix a, long aRows, long aCols, Matrix b, long bRows, long bCols) {
        if (a.overlaps(aRows, aCols, b, bRows, bCols)) {
            throw new IllegalArgumentException(what + ": the result (" + aRows + "×" + aCols + ") overlaps an operand (" + bRows + "×"
                    + bCols + ") in memory");
        }
    }

    static void gemmShapes(Matrix a, Op opA, Matrix b, Op opB, Matrix c) {
        long m = opA == Op.NONE ? a.rows() : a.cols();
        long k = opA == Op.NONE ? a.cols() : a.rows();
        long k2 = opB == Op.NONE ? b.rows() : b.cols();
        long n = opB == Op.NONE ? b.cols() : b.rows();
        if (c.rows() != m || c.cols() != n || k != k2) {
            throw new IllegalArgumentException("gemm: op(A) is " + m + "×" + k + ", op(B) is " + k2 + "×" + n + ", C is " + c.shape()
                    + "; C must be " + m + "×" + n + " and the inner sizes must agree");
        }
    }

    static void gemm(long m, long n, long k, Matrix a, Op opA, Matrix b, Op opB, Matrix c, long max) {
        long aRows = opA == Op.NONE ? m : k;
        long aCols = opA == Op.NONE ? k : m;
        long bRows = opB == Op.NONE ? k : n;
        long bCols = opB == Op.NONE ? n : k;
        if (m < 0 || n < 0 || k < 0 || aRows > a.rows() || aCols > a.cols() || bRows > b.rows() || bCols > b.cols()
                || m > c.rows() || n > c.cols()) {
            throw new IllegalArgumentException("gemm: m=" + m + ", n=" + n + ", k=" + k + " do not fit A " + a.shape() + " " + opA
                    + ", B " + b.shape() + " " + opB + ", C " + c.shape());
        }
        if (m > max || n > max || k > max || a.leadingDimension() > max || b.leadingDimension() > max || c.leadingDimension() > max) {
            throw new IllegalArgumentException("gemm: m=" + m + ", n=" + n + ", k=" + k + ", leading dimensions "
                    + a.leadingDimension() + ", " + b.leadingDimension() + ", " + c.leadingDimension()
                    + ": the native library takes at most " + max);
        }
        sameType("gemm", a, b);
        if (c.type() != a.type() && c.type() != a.type().accumulation()) {
            throw new IllegalArgumentException("gemm: C is " + c.type() + "; the product of " + a.type() + " must be "
                    + (a.type() == a.type().accumulation() ? "" : a.type().accumulation() + " or ") + a.type());
        }
        if (c.overlaps(m, n, a, aRows, aCols) || c.overlaps(m, n, b, bRows, bCols)) {
            throw new IllegalArgumentException("gemm: C (" + m + "×" + n + ") overlaps A or B in memory");
        }
    }
}
