package org.lora4j.cli;

import java.util.Locale;

import org.lora4j.device.CudaDevice;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The option {@code --device}. */
final class DeviceChoice {
    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    private String name = "auto";

    @Option(names = "--device", order = 50, paramLabel = "DEVICE",
            description = "auto (the default: a GPU where one can be used), host, cuda, or cuda:1 and so on.")
    private void choose(String value) {
        name = value.toLowerCase(Locale.ROOT);
        if (!name.matches("auto|host|cuda(:[0-9]{1,4})?")) {
            throw new ParameterException(spec.commandLine(), "--device " + value + ": it must be auto, host, cuda, or cuda: and a number");
        }
    }

    /** Opens the device for the calling thread. */
    Device open() {
        return switch (name) {
            case "auto" -> Device.open();
            case "host" -> HostDevice.open();
            case "cuda" -> CudaDevice.open(0);
            default -> CudaDevice.open(Integer.parseInt(name.substring("cuda:".length())));
        };
    }
}
