package org.lora4j.device;

import java.util.Arrays;
import java.util.StringJoiner;

/** What a device has done since it was opened. A snapshot: it doesn't change afterwards. */
public final class Counters {
    /** The kinds of work that are counted. Each call that reaches the device counts once. */
    public enum Call {
        /** Matrix products. */
        GEMM,
        /** Passes over a large matrix by {@link Device#powerStep}. */
        POWER_STEP,
        /** Copies from host memory that the caller owns. */
        COPY_IN,
        /** Copies to host memory that the caller owns. */
        COPY_OUT,
        /** Copies between matrices of the device. */
        COPY,
        /** Element-wise passes and reductions: fill, scale, dot, largest element. */
        ELEMENTWISE,
        /** Singular value decompositions. */
        SVD,
        /** QR factorisations. */
        QR,
        /** Cholesky factorisations. */
        CHOLESKY,
        /** Triangular solves. */
        TRIANGULAR_SOLVE,
        /** Symmetric eigenproblems. */
        SYMMETRIC_EIGEN
    }

    private static final Call[] KINDS = Call.values();

    final long[] calls = new long[KINDS.length];
    long bytesIn;
    long bytesOut;
    long allocations;
    long currentBytes;
    long peakBytes;

    Counters() {}

    Counters copy() {
        Counters c = new Counters();
        System.arraycopy(calls, 0, c.calls, 0, calls.length);
        c.bytesIn = bytesIn;
        c.bytesOut = bytesOut;
        c.allocations = allocations;
        c.currentBytes = currentBytes;
        c.peakBytes = peakBytes;
        return c;
    }

    void allocated(long bytes) {
        allocations++;
        currentBytes += bytes;
        peakBytes = Math.max(peakBytes, currentBytes);
    }

    /** How many calls of one kind were made. */
    public long calls(Call kind) {
        return calls[kind.ordinal()];
    }

    /** How many calls of any kind were made. */
    public long calls() {
        return Arrays.stream(calls).sum();
    }

    /** Bytes copied from the caller's host memory to the device. */
    public long bytesIn() {
        return bytesIn;
    }

    /** Bytes copied from the device to the caller's host memory. */
    public long bytesOut() {
        return bytesOut;
    }

    /** How many times memory was asked for, workspaces included. A GPU may give what an earlier use has left. */
    public long allocations() {
        return allocations;
    }

    /** Bytes asked for and not yet given back; what a GPU keeps for the next use, and what its handles hold, is not counted. */
    public long currentBytes() {
        return currentBytes;
    }

    /** The largest value that {@link #currentBytes()} has had. */
    public long peakBytes() {
        return peakBytes;
    }

    /** The work done between {@code earlier} and this snapshot; current and peak bytes stay this snapshot's own. */
    public Counters since(Counters earlier) {
        Counters c = copy();
        for (int i = 0; i < calls.length; i++) {
            c.calls[i] -= earlier.calls[i];
        }
        c.bytesIn -= earlier.bytesIn;
        c.bytesOut -= earlier.bytesOut;
        c.allocations -= earlier.allocations;
        return c;
    }

    @Override
    public String toString() {
        StringJoiner text = new StringJoiner(", ");
        for (Call kind : KINDS) {
            if (calls(kind) > 0) {
                text.add(kind + "=" + calls(kind));
            }
        }
        return text.add("bytesIn=" + bytesIn).add("bytesOut=" + bytesOut).add("allocations=" + allocations)
                .add("currentBytes=" + currentBytes).add("peakBytes=" + peakBytes).toString();
    }
}
