package org.lora4j.device;

/** A device had no room for an allocation. Says how much was asked for, held and, where the device tells, free. */
public class OutOfDeviceMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private OutOfDeviceMemoryException(String message) {
        super(message);
    }

    static OutOfDeviceMemoryException ofHost(long asked, long held, String reason) {
        return new OutOfDeviceMemoryException("no memory for " + asked + " bytes; this device holds " + held + " bytes"
                + (reason == null ? "" : "; the allocator says: " + reason)
                + ". Some JDKs limit off-heap memory by -XX:MaxDirectMemorySize, which defaults to the largest heap size (-Xmx)");
    }

    static OutOfDeviceMemoryException ofGpu(String what, long asked, long held, String free) {
        return new OutOfDeviceMemoryException("no " + what + " for " + asked + " bytes; this device holds " + held + " bytes; " + free);
    }
}
