package org.lora4j.device;

import java.lang.foreign.MemorySegment;

import org.lora4j.bindings.cuda.cuda_h;

/** The element-wise passes and reductions of a GPU, by cuBLAS alone: lora4j brings no GPU code of its own. */
final class CudaElements {
    /** The most products that are sent as one batch: what a grid of blocks takes in its least dimension. */
    private static final int MOST = 65535;

    private final CudaStream s;
    private final CudaMemory memory;
    private final CudaStaging staging;

    CudaElements(CudaStream stream, CudaMemory memory, CudaStaging staging) {
        this.s = stream;
        this.memory = memory;
        this.staging = staging;
    }

    void fill(Matrix a, double value) {
        Checks.dimensions("fill", a, Integer.MAX_VALUE);
        if (a.rows() == 0 || a.cols() == 0) {
            return;
        }
        if (Double.doubleToRawLongBits(value) == 0) {
            s.zero(a.type(), a.segment(), a.leadingDimension(), a.rows(), a.cols());
        } else {
            staging.in(a.type(), a.rows(), a.cols(), (pinned, from, to) -> {
                for (long i = 0; i < (to - from) * a.cols(); i++) {
                    a.type().set(pinned, i, value);
                }
            }, a.segment(), a.leadingDimension());
        }
    }

    /** What the numbers of {@link #uniform} are: with as many columns, fewer rows are the first of them. */
    private record Uniform(long seed, DataType type, long cols) {}

    void uniform(long seed, Matrix a) {
        Checks.dimensions("uniform", a, Integer.MAX_VALUE);
        if (a.rows() == 0 || a.cols() == 0) {
            return;
        }
        Uniform what = new Uniform(seed, a.type(), a.cols());
        long bytes = a.rows() * a.cols() * a.type().bytes();
        MemorySegment numbers = memory.remembered(what, bytes);
        if (numbers == null) {
            CudaStaging.Rows rows = (pinned, from, to) -> HostElements.uniform(seed, a.type(), pinned, a.cols(), from, to, a.cols());
            try {
                numbers = memory.acquire(bytes);
            } catch (OutOfDeviceMemoryException e) { // no room to keep them
                staging.in(a.type(), a.rows(), a.cols(), rows, a.segment(), a.leadingDimension());
                return;
            }
            try {
                staging.in(a.type(), a.rows(), a.cols(), rows, numbers, a.cols());
            } catch (RuntimeException e) {
                memory.release(numbers, bytes);
                throw e;
            }
            memory.remember(what, numbers, bytes);
        }
        s.copy(a.type(), numbers, a.cols(), a.segment(), a.leadingDimension(), a.rows(), a.cols());
    }

    void scale(double alpha, Matrix a) {
        Checks.dimensions("scale", a, Integer.MAX_VALUE);
        if (a.rows() == 0 || a.cols() == 0) {
            return;
        }
        if (a.type() == a.type().accumulation()) {
            s.geam(a.type(), cuda_h.CUBLAS_OP_N(), a.cols(), a.rows(), alpha, a.segment(), a.leadingDimension(), a.segment(), a.leadingDimension());
        } else if (a.cols() == 1) {
            s.scale(a.type(), a.rows(), alpha, a.segment(), a.leadingDimension());
        } else {
            for (long i = 0; i < a.rows(); i++) {
                s.scale(a.type(), a.cols(), alpha, a.rows(i, i + 1).segment(), 1);
            }
        }
    }

    /** Row-major float32 target ← A of 16 bits, as products with 1. */
    void widen(Matrix a, MemorySegment target, long targetLd) {
        Checks.dimensions("convert", a, Integer.MAX_VALUE);
        try (CudaScratch scratch = new CudaScratch(memory, a.type())) {
            MemorySegment one = scratch.elements(1);
            staging.in(a.type(), 1, 1, (pinned, from, to) -> a.type().set(pinned, 0, 1), one, 1);
            int n = (int) a.cols();
            for (long i = 0; i < a.rows(); i += MOST) {
                int batch = (int) Math.min(MOST, a.rows() - i);
                s.cublas.gemmBatched(s.blas, a.type(), cuda_h.CUBLAS_OP_N(), n, 1, 1, s.alpha(a.type(), 1), row(a.segment(), a.type(), i * a.leadingDimension()),
                        n, a.leadingDimension(), one, 1, 0, s.beta(a.type(), 0), row(target, DataType.FLOAT32, i * targetLd), n, targetLd, batch, s.inFlight);
            }
        }
    }

    // ---- dot

    /** Σᵢⱼ Aᵢⱼ·Bᵢⱼ; where that over- or underflows on the way, once more of A and B scaled by powers of two. */
    double dot(Matrix a, Matrix b) {
        Checks.dimensions("dot", a, Integer.MAX_VALUE);
        Checks.dimensions("dot", b, Integer.MAX_VALUE);
        long rows = a.rows();
        long cols = a.cols();
        if (rows == 0 || cols == 0) {
            return 0;
        }
        DataType sum = a.type().accumulation();
        double plain = dot(a.type(), a.segment(), a.leadingDimension(), b.segment(), b.leadingDimension(), rows, cols);
        double safe = sum == DataType.FLOAT32 ? 0x1p-60 : 0x1p-900; // what underflows in 2³² products is less than a rounding of this
        if (Math.abs(plain) > safe && Double.isFinite(plain)) {
            return plain;
        }
        double largestA = Math.abs(largest(a));
        double largestB = Math.abs(largest(b));
        if (!(largestA * largestB > 0) || !Double.isFinite(largestA) || !Double.isFinite(largestB)) {
            return plain;
        }
        int scaleA = power(sum, largestA);
        int scaleB = power(sum, largestB);
        try (CudaScratch scratch = new CudaScratch(memory, sum)) {
            double scaled = dot(sum, scaled(scratch, a, scaleA), cols, scaled(scratch, b, scaleB), cols, rows, cols);
            return Math.scalb(Math.scalb(scaled, -scaleA), -scaleB);
        }
    }

    /** The power of two by which {@code largest} becomes about 1, as far as the type has it. */
    private static int power(DataType type, double largest) {
        int most = type == DataType.FLOAT32 ? 126 : 1022;
        return Math.clamp(-Math.getExponent(largest), -most, most);
    }

    /** 2^power·A without gaps, in the accumulation type. */
    private MemorySegment scaled(CudaScratch scratch, Matrix a, int power) {
        MemorySegment copy = scratch.elements(a.rows() * a.cols());
        pack(a, copy);
        DataType type = a.type().accumulation();
        s.geam(type, cuda_h.CUBLAS_OP_N(), a.cols(), a.rows(), Math.scalb(1.0, power), copy, a.cols(), copy, a.cols());
        return copy;
    }

    /** Row by row on the GPU, as products of a row with a column; their sum on the host. */
    double dot(DataType type, MemorySegment a, long lda, MemorySegment b, long ldb, long rows, long cols) {
        DataType sum = type.accumulation();
        double total = 0;
        try (CudaScratch scratch = new CudaScratch(memory, sum)) {
            MemorySegment sums = scratch.elements(rows);
            int k = (int) cols;
            for (long i = 0; i < rows; i += MOST) {
                int batch = (int) Math.min(MOST, rows - i);
                s.cublas.gemmBatched(s.blas, type, cuda_h.CUBLAS_OP_T(), 1, 1, k, s.alpha(type, 1), row(a, type, i * lda), k, lda, row(b, type, i * ldb), k,
                        ldb, s.beta(type, 0), row(sums, sum, i), 1, 1, batch, s.inFlight);
            }
            for (double rowSum : staging.read(sum, sums, 1, rows)) {
                total += rowSum;
            }
        }
        return total;
    }

    // ---- largest

    /** The element of largest magnitude; NaN where there is a NaN, which comparisons pass over. */
    double largest(Matrix a) {
        Checks.dimensions("largest", a, Integer.MAX_VALUE);
        if (a.rows() == 0 || a.cols() == 0) {
            return 0;
        }
        DataType type = a.type().accumulation();
        try (CudaScratch scratch = new CudaScratch(memory, type)) {
            MemorySegment values = a.segment();
            if (a.type() != type || a.leadingDimension() != a.cols() && a.rows() > 1) {
                values = scratch.elements(a.rows() * a.cols());
                pack(a, values);
            }
            double largest = 0;
            long count = a.rows() * a.cols();
            for (long i = 0; i < count; i += Integer.MAX_VALUE) {
                int n = (int) Math.min(Integer.MAX_VALUE, count - i);
                MemorySegment part = row(values, type, i);
                if (Double.isNaN(s.cublas.sumOfMagnitudes(s.blas, type, n, part, s.word(), s.inFlight))) {
                    return Double.NaN;
                }
                int at = s.cublas.largest(s.blas, type, n, part, s.word(), s.inFlight);
                double value = staging.read(type, row(part, type, at - 1), 1, 1)[0];
                largest = Math.abs(value) > Math.abs(largest) ? value : largest;
            }
            return largest;
        }
    }

    /** target ← A without gaps, in the accumulation type. */
    private void pack(Matrix a, MemorySegment target) {
        if (a.type() == a.type().accumulation()) {
            s.copy(a.type(), a.segment(), a.leadingDimension(), target, a.cols(), a.rows(), a.cols());
        } else {
            widen(a, target, a.cols());
        }
    }

    private static MemorySegment row(MemorySegment memory, DataType type, long element) {
        return MemorySegment.ofAddress(memory.address() + element * type.bytes());
    }
}
