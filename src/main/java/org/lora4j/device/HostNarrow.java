package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Products of 16-bit matrices on the host: widened to float32, multiplied, rounded once. OpenBLAS has no such products
 * that every processor runs. What they are widened into is kept from product to product.
 */
final class HostNarrow {
    private final HostDevice device;
    private final Room wideA = new Room();
    private final Room wideB = new Room();
    private final Room wideC = new Room();

    HostNarrow(HostDevice device) {
        this.device = device;
    }

    /** C ← α·op(A)·op(B) + β·C for the leading blocks, A and B of 16 bits, C of the same type or float32. */
    void gemm(long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        boolean narrowC = c.type() != DataType.FLOAT32;
        MemorySegment a32 = wideA.elements(m * k);
        MemorySegment b32 = wideB.elements(k * n);
        MemorySegment c32 = narrowC ? wideC.elements(m * n) : c.segment();
        long lda = widen(a, opA == Op.NONE ? m : k, opA == Op.NONE ? k : m, a32);
        long ldb = widen(b, opB == Op.NONE ? k : n, opB == Op.NONE ? n : k, b32);
        if (narrowC && beta != 0) {
            widen(c, m, n, c32);
        }
        device.gemm(DataType.FLOAT32, opA, opB, m, n, k, alpha, a32, lda, b32, ldb, beta, c32, narrowC ? n : c.leadingDimension());
        if (narrowC) {
            HostElements.convert(c32, DataType.FLOAT32, n, c.segment(), c.type(), c.leadingDimension(), m, n);
        }
    }

    /** target ← the leading rows×cols block of a, without gaps; returns its leading dimension. */
    private static long widen(Matrix a, long rows, long cols, MemorySegment target) {
        HostElements.convert(a.segment(), a.type(), a.leadingDimension(), target, DataType.FLOAT32, cols, rows, cols);
        return Math.max(1, cols);
    }

    /** Frees what products were widened into. */
    void close() {
        wideA.close();
        wideB.close();
        wideC.close();
    }

    /** What one operand is widened into, as large as the largest so far: used whole, so that a product makes no object. */
    private final class Room {
        private Arena arena;
        private MemorySegment memory = MemorySegment.NULL;

        MemorySegment elements(long count) {
            long bytes = Float.BYTES * count;
            if (memory.byteSize() < bytes) {
                close();
                Arena larger = Arena.ofShared();
                try {
                    memory = device.allocate(larger, bytes);
                } catch (OutOfDeviceMemoryException e) {
                    larger.close();
                    throw e;
                }
                arena = larger;
            }
            return memory;
        }

        void close() {
            if (arena != null) {
                arena.close();
                device.countFreed(memory.byteSize());
                arena = null;
                memory = MemorySegment.NULL;
            }
        }
    }
}
