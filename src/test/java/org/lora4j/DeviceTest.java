package org.lora4j;

import java.util.function.Supplier;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.device.Device;

/** A contract: its tests run once on every device of {@link TestDevices}, each on a device of its own. */
@ParameterizedClass(name = "{0}")
@MethodSource("org.lora4j.TestDevices#all")
public abstract class DeviceTest {
    /** Opens one more device of the same kind. */
    @Parameter
    protected Supplier<Device> opener;
    protected Device device;

    @BeforeEach
    void openDevice() {
        device = opener.get();
    }

    @AfterEach
    void closeDevice() {
        device.close();
    }
}
