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
        Linker linker = Linker.nativeLinker();
        Optional<MemorySegment> dlopen = linker.defaultLookup().find("dlopen");
        Optional<MemorySegment> dlerror = linker.defaultLookup().find("dlerror");
        if (dlopen.isPresent() && dlerror.isPresent()) {
            check(library, dlopen.get(), dlerror.get()); // first, because the JVM would warn of a file that is no library
        }
        try {
            return SymbolLookup.libraryLookup(library, Arena.global());
        } catch (IllegalArgumentException e) {
            System.load(library); // fails likewise, with words
            throw new UnsatisfiedLinkError(e.getMessage());
        }
    }

    /** Opens the library, for good, or throws what dlerror says. */
    private static void check(String library, MemorySegment dlopen, MemorySegment dlerror) {
        Linker linker = Linker.nativeLinker();
        AddressLayout text = ValueLayout.ADDRESS.withTargetLayout(MemoryLayout.sequenceLayout(Long.MAX_VALUE, ValueLayout.JAVA_BYTE));
        MethodHandle open = linker.downcallHandle(dlopen, FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        MethodHandle error = linker.downcallHandle(dlerror, FunctionDescriptor.of(text));
        MemorySegment handle;
        MemorySegment words;
        try (Arena arena = Arena.ofConfined()) {
            handle = (MemorySegment) open.invokeExact(arena.allocateFrom(library), RTLD_LAZY);
            words = (MemorySegment) error.invokeExact();
        } catch (Throwable e) {
            throw new AssertionError("dlopen and dlerror throw nothing", e);
        }
        if (handle.equals(MemorySegment.NULL)) {
            throw new UnsatisfiedLinkError(words.equals(MemorySegment.NULL) ? "dlopen failed without a word" : words.getString(0));
        }
    }
}
