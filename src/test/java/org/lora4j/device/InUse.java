package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/** Runs Java code while native code has some memory, which can't be freed then: within a comparison of C's {@code qsort}. */
final class InUse {
    private final Runnable work;
    private boolean done;
    private Throwable failure;

    private InUse(Runnable work) {
        this.work = work;
    }

    static void during(MemorySegment memory, Runnable work) throws Throwable {
        InUse once = new InUse(work);
        MethodHandle compare = MethodHandles.lookup().findVirtual(InUse.class, "compare", MethodType.methodType(int.class, MemorySegment.class,
                MemorySegment.class)).bindTo(once);
        Linker linker = Linker.nativeLinker();
        MethodHandle qsort = linker.downcallHandle(linker.defaultLookup().find("qsort").orElseThrow(),
                FunctionDescriptor.ofVoid(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.ADDRESS));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment upcall = linker.upcallStub(compare, FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS), arena);
            qsort.invokeExact(memory, 2L, 4L, upcall);
        }
        if (once.failure != null) {
            throw once.failure;
        }
    }

    @SuppressWarnings("unused") // by its handle
    private int compare(MemorySegment a, MemorySegment b) {
        try {
            if (!done) {
                done = true;
                work.run();
            }
        } catch (Throwable e) { // one that left this method would end the process
            failure = e;
        }
        return 0;
    }
}
