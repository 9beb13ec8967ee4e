package org.lora4j.device;

/** A device that was asked for can't be used. Says everything that was tried, in the loader's and the driver's own words. */
public class DeviceUnavailableException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    DeviceUnavailableException(String message) {
        super(message);
    }
}
