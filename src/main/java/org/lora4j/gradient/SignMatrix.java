package org.lora4j.gradient;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

import org.lora4j.device.DataType;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * A random matrix of independent signs ±1 with p columns and as many rows as are asked for, which is never stored: each
 * block of rows is made when it is needed, one bit of SplitMix64 (Steele, Lea, Flood 2014) by the element's place.
 * Signs serve a sketch as well as normal numbers (arXiv 1902.08651, section 3.9) and are exact in every type.
 */
final class SignMatrix {
    /** Where blocks of rows are made. Two test matrices may share one. */
    record Workspace(Matrix block, MemorySegment host) {
        Workspace(Matrix block) {
            this(block, MemorySegment.ofArray(new long[Math.toIntExact((block.rows() * block.cols() * block.type().bytes() + 7) / 8)]));
        }
    }

    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private final long key;
    private final long columns;
    private final Workspace workspace;

    /** @param side tells the two test matrices of one sketch apart */
    SignMatrix(long seed, int side, Workspace workspace) {
        this.key = mix(mix(seed) + GOLDEN * side);
        this.columns = workspace.block.cols();
        this.workspace = workspace;
    }

    /** image ← op(a)·S. */
    void multiply(Matrix a, Op op, Matrix image) {
        long inner = op == Op.NONE ? a.cols() : a.rows();
        for (long j = 0; j < inner; j += workspace.block.rows()) {
            long to = Math.min(j + workspace.block.rows(), inner);
            a.device().gemm(1, op == Op.NONE ? a.columns(j, to) : a.rows(j, to), op, rows(j, to), Op.NONE, j == 0 ? 0 : 1, image);
        }
    }

    /** The rows {@code from} to {@code to} of S, until the next call. */
    private Matrix rows(long from, long to) {
        Matrix block = workspace.block.rows(0, to - from);
        long wordsPerRow = (columns + 63) / 64;
        for (long i = from; i < to; i++) {
            long word = 0;
            for (int j = 0; j < columns; j++) {
                if ((j & 63) == 0) {
                    word = mix(key + GOLDEN * (i * wordsPerRow + (j >> 6)));
                }
                long place = (i - from) * columns + j;
                long sign = word << (63 - (j & 63)) & Long.MIN_VALUE;
                if (block.type() == DataType.FLOAT32) {
                    workspace.host.setAtIndex(ValueLayout.JAVA_INT, place, 0x3F800000 | (int) (sign >>> 32));
                } else {
                    workspace.host.setAtIndex(ValueLayout.JAVA_LONG, place, 0x3FF0000000000000L | sign);
                }
            }
        }
        block.device().copyIn(workspace.host, columns, block);
        return block;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
