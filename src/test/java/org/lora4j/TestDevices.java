package org.lora4j;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

import org.lora4j.device.CudaDevice;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.DeviceUnavailableException;
import org.lora4j.device.HostDevice;
import org.lora4j.device.SimCuda;

/**
 * The devices that every contract test runs on: the host, the simulated GPU where it was built, and a real GPU where there
 * is one. A new device is one line here.
 *
 * <p>{@code -Dgroups=cuda} leaves the host out. {@code -Dlora4j.requireSim=true} and {@code -Dlora4j.requireGpu=true} make
 * the absence of what they name a failure.
 */
public final class TestDevices {
    private static final List<TestDevice> ALL = find();

    private TestDevices() {}

    /** What {@link DeviceTest} runs on. */
    public static Stream<TestDevice> all() {
        return ALL.stream();
    }

    private static List<TestDevice> find() {
        List<TestDevice> devices = new ArrayList<>();
        if (!"cuda".equals(System.getProperty("groups"))) {
            devices.add(new TestDevice("host", HostDevice::open, (device, bytes) -> Arena.ofAuto().allocate(bytes, 16)));
        }
        if (SimCuda.isBuilt()) {
            devices.add(new TestDevice("simulated CUDA", SimCuda::open, TestDevices::onGpu));
        }
        try {
            CudaDevice.open(0).close();
            devices.add(new TestDevice("CUDA", () -> CudaDevice.open(0), TestDevices::onGpu));
        } catch (DeviceUnavailableException e) {
            if (Boolean.getBoolean("lora4j.requireGpu")) {
                throw new AssertionError("-Dlora4j.requireGpu=true", e);
            }
        }
        return devices;
    }

    private static MemorySegment onGpu(Device device, long bytes) {
        return device.allocate(DataType.FLOAT32, 1, Math.ceilDiv(bytes, Float.BYTES)).segment().reinterpret(bytes);
    }
}
