package org.lora4j.device;

/** A device had no room for an allocation. Says how much was asked for and held. */
public class OutOfDeviceMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    OutOfDeviceMemoryException(long asked, long held, String reason) {
        super("no memory for " + asked + " bytes; this device holds " + held + " bytes"
                + (reason == null ? "" : "; the allocator says: " + reason) + ". Off-heap memory is limited by -XX:MaxDirectMemorySize, which defaults to the largest heap size (-Xmx)");
    }
}
