package org.lora4j;

import java.util.function.Supplier;
import java.util.stream.Stream;

import org.junit.jupiter.api.Named;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;

/** The devices that every contract test runs on. A new device is one line here. */
public final class TestDevices {
    private TestDevices() {}

    /** What {@link DeviceTest} runs on. */
    public static Stream<Named<Supplier<Device>>> all() {
        return Stream.of(Named.of("host", HostDevice::open));
    }
}
