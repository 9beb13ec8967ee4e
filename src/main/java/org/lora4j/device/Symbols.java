package org.lora4j.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.util.ArrayList;
import java.util.List;

/** The functions that one library must export; those it lacks are reported all at once. */
final class Symbols {
    private final SymbolLookup library;
    private final List<String> missing = new ArrayList<>();

    Symbols(SymbolLookup library) {
        this.library = library;
    }

    /** The function's address; where it is missing {@link #check} will say so. */
    MemorySegment find(String function) {
        return library.find(function).orElseGet(() -> {
            missing.add(function);
            return MemorySegment.NULL;
        });
    }

    /** @throws UnsatisfiedLinkError naming every function that was looked for and is not there */
    void check() {
        if (!missing.isEmpty()) {
            throw new UnsatisfiedLinkError("it does not export " + String.join(", ", missing));
        }
    }
}
