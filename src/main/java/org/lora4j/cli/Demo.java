package org.lora4j.cli;

import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import org.lora4j.demo.Main;
import org.lora4j.device.Device;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The demonstration. */
@Command(name = "demo", header = "Compare LoRA-GA with LoRA on handwritten digits.",
        description = {"LoRA-GA against LoRA on handwritten digits, and what an adapter costs: about a minute.",
        "Writes report.json and convergence.png."}, footer = {"  lora4j demo", "  lora4j demo --out demo2 --json"})
final class Demo extends Verb {
    @Option(names = "--out", paramLabel = "DIR", description = "Where to write (default: lora4j-demo).")
    private Path folder = Path.of("lora4j-demo");

    @Option(names = "--force", description = "Overwrite what is there.")
    private boolean force;

    @Mixin
    private DeviceChoice device;

    @Override
    void run() throws Exception {
        Staging.checkFolder(folder, force);
        System.setProperty("java.awt.headless", "true");
        try (Staging staging = Staging.create(folder); Device opened = device.open()) {
            OutputStream lines = isJson() ? OutputStream.nullOutputStream() : System.out;
            new Main(new PrintStream(lines, true, StandardCharsets.UTF_8), staging.folder()).run(opened);
            staging.commitFolder(List.of(Main.REPORT, Main.PICTURE));
        }
        Path report = folder.resolve(Main.REPORT);
        if (isJson()) {
            out().println(Files.readString(report));
        } else {
            out().printf("%nWrote %s and %s%n", report, folder.resolve(Main.PICTURE));
        }
        out().flush();
    }
}
