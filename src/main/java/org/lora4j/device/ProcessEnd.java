package org.lora4j.device;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Lets a process that is stopped in the middle of a native call end. OpenBLAS's exit handler frees its buffers under a call
 * that goes on meanwhile, which crashes, and waits for its threads, for ever where LAPACK gives one of them work then. So
 * where host devices are still open when the JVM ends, the process ends without the exit handlers of native libraries:
 * {@code on_exit} is told to call {@code fcloseall}, for what C has not written yet, and {@code _exit} before all others.
 * Shutdown hooks have run by then. Systems without {@code on_exit} (it is glibc's) end as ever.
 */
final class ProcessEnd {
    private static final AtomicInteger OPEN = new AtomicInteger();
    private static boolean guarded;

    private ProcessEnd() {}

    /** A host device was opened. */
    static synchronized void opened() {
        if (!guarded) {
            try {
                Runtime.getRuntime().addShutdownHook(new Thread(ProcessEnd::skipExitHandlers, "lora4j-exit"));
            } catch (IllegalStateException e) {
                // the JVM is ending already
            }
            guarded = true;
        }
        OPEN.incrementAndGet();
    }

    /** One was closed. */
    static void closed() {
        OPEN.decrementAndGet();
    }

    private static void skipExitHandlers() {
        SymbolLookup libc = Linker.nativeLinker().defaultLookup();
        Optional<MemorySegment> register = libc.find("on_exit");
        Optional<MemorySegment> exit = libc.find("_exit");
        Optional<MemorySegment> flush = libc.find("fcloseall");
        if (OPEN.get() == 0 || register.isEmpty() || exit.isEmpty() || flush.isEmpty()) {
            return;
        }
        MethodHandle onExit = Linker.nativeLinker().downcallHandle(register.get(),
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS));
        try { // the last one is called first, each with the status and NULL
            int refused = (int) onExit.invokeExact(exit.get(), MemorySegment.NULL);
            refused = (int) onExit.invokeExact(flush.get(), MemorySegment.NULL);
        } catch (Throwable e) {
            throw new AssertionError("on_exit throws nothing", e);
        }
    }
}
