package org.lora4j.cli;

import java.util.List;

import org.lora4j.device.Device;
import org.lora4j.device.DeviceStatus;

import picocli.CommandLine.Command;

/** What can be used on this machine, and for what can't be, everything that was tried. */
@Command(name = "devices", header = "Which devices of this machine can be used.",
        description = "Says which devices of this machine can be used, and of the others everything that was tried and why it failed.",
        footer = {"  lora4j devices", "  lora4j devices --json"})
final class Devices extends Verb {
    /** What is shown; {@code automatic} is the one that {@code --device auto} takes, null if there is none. */
    record Found(String automatic, List<Entry> devices) {}

    /**
     * One device.
     *
     * @param description what it is; null where it can't be used
     * @param reason why it can't be used; null where it can
     * @param tried everything that was tried for it
     */
    record Entry(String name, boolean usable, String description, String reason, List<String> tried) {
        static Entry of(DeviceStatus status) {
            if (status.usable()) {
                return new Entry(status.name(), true, status.details(), null, List.of());
            }
            List<String> lines = status.details().lines().map(String::strip).filter(line -> !line.isEmpty()).toList();
            return new Entry(status.name(), false, null, lines.isEmpty() ? "" : lines.getFirst(), lines.stream().skip(1).toList());
        }
    }

    @Override
    void run() {
        List<Entry> devices = Device.survey().stream().map(Entry::of).toList();
        String automatic = devices.stream().filter(Entry::usable).map(Entry::name).findFirst().orElse(null);
        show(new Found(automatic, devices), () -> {
            for (Entry d : devices) {
                out().println(d.name + ": " + (d.usable ? "usable" + (d.name.equals(automatic) ? ", taken by --device auto" : "") : "can't be used"));
                out().println("    " + (d.usable ? d.description : d.reason));
                d.tried.forEach(line -> out().println("      " + line));
            }
        });
    }
}
