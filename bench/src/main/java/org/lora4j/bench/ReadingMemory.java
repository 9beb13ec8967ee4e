package org.lora4j.bench;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * Half a gigabyte read by all threads together, which takes turns with a work that waits for memory: the limit of the same seconds. On a shared
 * machine memory is half as fast in some minutes as in others. The C library's {@code memchr} looks for a byte that is not there: nothing
 * that was tried reads faster (a sum in Java had four fifths of it).
 */
final class ReadingMemory implements Contender {
    static final String NAME = "reading memory";
    /** Many times any last-level cache but the very largest. */
    static final long BYTES = 512 << 20;
    /** From so many rows on products are arithmetic everywhere. */
    private static final int ARITHMETIC_BATCH = 256;
    /** No byte of 1.0f. */
    private static final int ABSENT = 7;

    private final Device device;
    private final int threads;
    private final MethodHandle memchr;
    private Matrix matrix;

    /** @param device of the host; is closed by whoever opened it */
    ReadingMemory(Device device, int threads) {
        this.device = device;
        this.threads = threads;
        Linker linker = Linker.nativeLinker();
        memchr = linker.downcallHandle(linker.defaultLookup().find("memchr").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public String description() {
        return device.description();
    }

    @Override
    public boolean takes(Item item) {
        return item.work().isKernel() || item.work() == Work.MERGE || item.work().isPass() && item.b() < ARITHMETIC_BATCH;
    }

    @Override
    public boolean hasResults() {
        return false;
    }

    /** Where a matrix stands: pages are as large there as those of the works. */
    @Override
    public void prepare(Item item, Inputs inputs) {
        prepare();
    }

    private void prepare() {
        matrix = device.allocate(DataType.FLOAT32, 1 << 14, BYTES / Float.BYTES >> 14);
        device.fill(matrix, 1);
    }

    @Override
    public double[] run(int first, int calls) {
        double[] ms = new double[calls];
        for (int i = 0; i < calls; i++) {
            long start = System.nanoTime();
            boolean found = IntStream.range(0, threads).parallel().mapToObj(this::part).anyMatch(this::isFound);
            ms[i] = (System.nanoTime() - start) / 1e6;
            if (found) {
                throw new ArithmeticException("a byte of 1.0f is " + ABSENT);
            }
        }
        return ms;
    }

    private MemorySegment part(int thread) {
        long from = BYTES * thread / threads;
        return matrix.segment().asSlice(from, BYTES * (thread + 1) / threads - from);
    }

    private boolean isFound(MemorySegment part) {
        try {
            return ((MemorySegment) memchr.invokeExact(part, ABSENT, part.byteSize())).address() != 0;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    /** GB/s, the best of some tries. */
    double bestGBs(int tries) {
        prepare();
        try {
            double best = Double.MAX_VALUE;
            for (double ms : run(0, tries)) {
                best = Math.min(best, ms);
            }
            return BYTES / best / 1e6;
        } finally {
            release();
        }
    }

    @Override
    public Map<String, float[]> results(Set<String> wanted) {
        throw new IllegalStateException("reading is no work");
    }

    @Override
    public void release() {
        if (matrix != null) {
            matrix.close();
        }
    }

    @Override
    public void close() {}
}
