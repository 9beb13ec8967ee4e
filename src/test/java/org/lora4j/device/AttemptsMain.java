package org.lora4j.device;

import java.util.Properties;

import org.lora4j.linked.Multiply;

/**
 * Opens the host device once for each argument, a system property as {@code name=value} that holds for that attempt
 * only, and writes for each a line {@code attempt <argument>} followed by the device or the error.
 */
final class AttemptsMain {
    static final String ATTEMPT = "attempt ";

    private AttemptsMain() {}

    public static void main(String[] args) {
        for (String arg : args) {
            Properties before = (Properties) System.getProperties().clone();
            if (!arg.isEmpty()) {
                System.setProperty(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
            }
            System.out.println(ATTEMPT + arg);
            try (HostDevice device = HostDevice.open()) {
                System.out.println(Multiply.multiply(device));
            } catch (UnsatisfiedLinkError | IllegalArgumentException e) {
                System.out.println(e);
            }
            System.setProperties(before);
        }
    }
}
