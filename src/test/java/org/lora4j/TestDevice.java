package org.lora4j;

import java.lang.foreign.MemorySegment;
import java.util.function.BiFunction;
import java.util.function.Supplier;

import org.lora4j.device.Device;

/**
 * A kind of device that the contract is tested on.
 *
 * @param name what the tests call it
 * @param opener opens one
 * @param memory makes memory of that many bytes which an open device can borrow until it is closed
 */
public record TestDevice(String name, Supplier<Device> opener, BiFunction<Device, Long, MemorySegment> memory) implements Supplier<Device> {
    @Override
    public Device get() {
        return opener.get();
    }

    /** {@code bytes} bytes that {@code device} can borrow until it is closed. */
    public MemorySegment borrowable(Device device, long bytes) {
        return memory.apply(device, bytes);
    }

    @Override
    public String toString() {
        return name;
    }
}
