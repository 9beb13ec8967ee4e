package org.lora4j.device;

import java.util.ArrayList;
import java.util.List;

/**
 * What {@link Device#survey} found of one device.
 *
 * @param name "host", "cuda:0", or "cuda" where no GPU can be used
 * @param usable whether it can be opened
 * @param details what it is, or everything that was tried and why it can't be used
 */
public record DeviceStatus(String name, boolean usable, String details) {
    /** Every GPU, or why there is none, and the host. Each is opened and closed again. */
    static List<DeviceStatus> all() {
        List<DeviceStatus> found = new ArrayList<>();
        try {
            CudaLibraries libraries = CudaLibraries.load();
            int count = CudaDevice.count(libraries);
            for (int i = 0; i < count; i++) {
                found.add(of(libraries, i));
            }
        } catch (DeviceUnavailableException | NativeException e) {
            found.add(new DeviceStatus("cuda", false, e.getMessage()));
        }
        try (Device host = HostDevice.open()) {
            found.add(new DeviceStatus("host", true, host.description()));
        } catch (UnsatisfiedLinkError | IllegalArgumentException e) {
            found.add(new DeviceStatus("host", false, e.getMessage()));
        }
        return found;
    }

    private static DeviceStatus of(CudaLibraries libraries, int index) {
        String name = "cuda:" + index;
        try (CudaDevice device = CudaDevice.open(libraries, CudaOptions.defaults().withIndex(index))) {
            return new DeviceStatus(name, true, device.description() + ", " + libraries.cudart().memory());
        } catch (DeviceUnavailableException | NativeException | OutOfDeviceMemoryException e) {
            return new DeviceStatus(name, false, e.getMessage());
        }
    }
}
