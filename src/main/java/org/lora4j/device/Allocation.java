package org.lora4j.device;

import java.lang.foreign.MemorySegment;

/**
 * Memory that a device made for one matrix.
 *
 * @param segment where it is
 * @param temporary whether it must be given back before the device is handed over
 * @param free gives it back
 */
record Allocation(MemorySegment segment, boolean temporary, Runnable free) {}
