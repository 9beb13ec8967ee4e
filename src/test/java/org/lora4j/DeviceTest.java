package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.device.Device;

/** A contract: its tests run once on every device of {@link TestDevices}, each on a device of its own. */
@Tag("cuda")
@ParameterizedClass(name = "{0}")
@MethodSource("org.lora4j.TestDevices#all")
public abstract class DeviceTest {
    /** Opens one more device of the same kind. */
    @Parameter
    protected TestDevice opener;
    protected Device device;

    @BeforeEach
    void openDevice() {
        device = opener.get();
    }

    @AfterEach
    void closeDevice() {
        device.close();
    }

    /** That the device holds as much after {@code work} as before; what it keeps for reuse it has from the first two times. */
    protected void assertLeavesNothing(String what, Runnable work) {
        assertLeavesNothing(device, what, work);
    }

    protected static void assertLeavesNothing(Device device, String what, Runnable work) {
        work.run();
        work.run();
        long held = device.counters().currentBytes();
        work.run();
        assertEquals(held, device.counters().currentBytes(), what + ": bytes held");
    }
}
