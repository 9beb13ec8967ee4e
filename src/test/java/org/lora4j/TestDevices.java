package org.lora4j;

import java.lang.foreign.Arena;
import java.util.stream.Stream;

import org.lora4j.device.HostDevice;

/** The devices that every contract test runs on. A new device is one line here. */
public final class TestDevices {
    private TestDevices() {}

    /** What {@link DeviceTest} runs on. */
    public static Stream<TestDevice> all() {
        return Stream.of(new TestDevice("host", HostDevice::open, (device, bytes) -> Arena.ofAuto().allocate(bytes, 16)));
    }
}
