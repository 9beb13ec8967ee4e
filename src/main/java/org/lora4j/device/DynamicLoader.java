package org.lora4j.device;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * Opens a library by path or by SONAME and, where that fails, tells why in the loader's own words, which
 * {@link SymbolLookup#libraryLookup(String, Arena)} keeps to itself.
 */
final class DynamicLoader {
    private static final int RTLD_LAZY = 1;

    private DynamicLoader() {}

    /** @throws UnsatisfiedLinkError with the loader's words */
    static SymbolLookup open(String library) {
        try {
            return SymbolLookup.libraryLookup(library, Arena.global());
        } catch (IllegalArgumentException e) {
            throw new UnsatisfiedLinkError(words(library, e.getMessage()));
        }
    }

    /** What dlerror says after dlopen was tried once more; where there are no such functions, what System.load does. */
    private static String words(String library, String otherwise) {
        Linker linker = Linker.nativeLinker();
        Optional<MemorySegment> dlopen = linker.defaultLookup().find("dlopen");
        Optional<MemorySegment> dlerror = linker.defaultLookup().find("dlerror");
        if (dlopen.isEmpty() || dlerror.isEmpty()) {
            try {
                System.load(library);
                return otherwise;
            } catch (UnsatisfiedLinkError e) {
                return e.getMessage();
            }
        }
        AddressLayout text = ValueLayout.ADDRESS.withTargetLayout(MemoryLayout.sequenceLayout(Long.MAX_VALUE, ValueLayout.JAVA_BYTE));
        MethodHandle open = linker.downcallHandle(dlopen.get(), FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        MethodHandle error = linker.downcallHandle(dlerror.get(), FunctionDescriptor.of(text));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = (MemorySegment) open.invokeExact(arena.allocateFrom(library), RTLD_LAZY);
            MemorySegment words = (MemorySegment) error.invokeExact();
            return handle.equals(MemorySegment.NULL) && !words.equals(MemorySegment.NULL) ? words.getString(0) : otherwise;
        } catch (Throwable e) {
            throw new AssertionError("dlopen and dlerror throw nothing", e);
        }
    }
}
