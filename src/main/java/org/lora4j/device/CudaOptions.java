package org.lora4j.device;

import java.lang.foreign.MemorySegment;

/**
 * How a {@link CudaDevice} is opened.
 *
 * @param index which GPU, from 0 in CUDA's own order
 * @param stream a {@code cudaStream_t} of the caller, who keeps it and closes the device first; {@link MemorySegment#NULL}
 *     is CUDA's default stream; null makes a stream of the device's own
 * @param tf32 whether float32 products, those inside {@code dot} and {@code triangularSolve} too, may round their factors to
 *     10 bits (TF32 tensor cores); false is float32 throughout
 * @param svdTolerance of {@code gesvdj}: what may be left beside the diagonal, relative to the matrix; 0 is the library's default, ε
 * @param svdSweeps the most sweeps of {@code gesvdj}; 0 is the library's default, 100
 */
public record CudaOptions(int index, MemorySegment stream, boolean tf32, double svdTolerance, int svdSweeps) {
    private static final long PER_THREAD = 2; // the handle of cudaStreamPerThread

    /** @throws IllegalArgumentException for a negative index, tolerance or number of sweeps, or what can't be a stream for all threads */
    public CudaOptions {
        if (index < 0) {
            throw new IllegalArgumentException("index " + index + ": GPUs are counted from 0");
        }
        if (stream != null && !stream.isNative()) {
            throw new IllegalArgumentException("the stream is memory on the heap; it must be a cudaStream_t");
        }
        if (stream != null && stream.address() == PER_THREAD) {
            throw new IllegalArgumentException("cudaStreamPerThread is another stream in every thread, but a device has one; create a stream for it");
        }
        if (!(svdTolerance >= 0) || Double.isInfinite(svdTolerance) || svdSweeps < 0) {
            throw new IllegalArgumentException("svdTolerance " + svdTolerance + ", svdSweeps " + svdSweeps + ": they must be finite and not negative");
        }
    }

    /** The first GPU, a stream of its own, float32 throughout, the library's own tolerance and sweeps. */
    public static CudaOptions defaults() {
        return new CudaOptions(0, null, false, 0, 0);
    }

    /** The same with another GPU. */
    public CudaOptions withIndex(int other) {
        return new CudaOptions(other, stream, tf32, svdTolerance, svdSweeps);
    }

    /** The same on a stream of the caller's. */
    public CudaOptions withStream(MemorySegment other) {
        return new CudaOptions(index, other, tf32, svdTolerance, svdSweeps);
    }

    /** The same with or without TF32. */
    public CudaOptions withTf32(boolean other) {
        return new CudaOptions(index, stream, other, svdTolerance, svdSweeps);
    }

    /** The same with another tolerance and number of sweeps of {@code gesvdj}. */
    public CudaOptions withSvd(double tolerance, int sweeps) {
        return new CudaOptions(index, stream, tf32, tolerance, sweeps);
    }
}
