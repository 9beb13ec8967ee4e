package org.lora4j.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The {@code lora4j} command. */
@Command(name = "lora4j", header = "Starts of LoRA adapters from gradients (LoRA-GA), and what belongs to them.", versionProvider = Main.Version.class,
        subcommands = {Devices.class, Init.class, Merge.class, Convert.class, Inspect.class, Stability.class, Demo.class},
        synopsisSubcommandLabel = "COMMAND", footerHeading = "%nExamples:%n", footer = {
                "  lora4j devices",
                "  lora4j init --weights model.safetensors --gradients grads.safetensors \\",
                "      --rank 16 --alpha 16 --out start",
                "  lora4j init --help",
                "%nExit status: 0 done, 1 failed, 2 wrong usage or input."})
public final class Main implements Runnable {
    private static final long STACK = 16 << 20; // OpenBLAS writes large arrays on its caller's stack

    @Spec
    private CommandSpec spec;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help and exit.")
    private boolean help;

    @Option(names = {"-V", "--version"}, versionHelp = true, description = "Show the version and exit.")
    private boolean version;

    /** The version that the jar's manifest has. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            String version = Main.class.getPackage().getImplementationVersion();
            return new String[] {"lora4j " + (version == null ? "(not from a jar)" : version)};
        }
    }

    private Main() {}

    /** Runs a command in a thread of its own and ends the JVM with its exit status. */
    public static void main(String[] args) throws InterruptedException {
        int[] status = {Failures.FAILED};
        Thread worker = new Thread(null, () -> status[0] = commandLine().execute(args), "lora4j", STACK);
        worker.start();
        worker.join();
        System.exit(status[0]);
    }

    /** The whole command, to be executed once. */
    static CommandLine commandLine() {
        return new CommandLine(new Main())
                .setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8))
                .setErr(new PrintWriter(System.err, true, StandardCharsets.UTF_8))
                .setUsageHelpAutoWidth(true)
                .registerConverter(ScalingName.class, new WordOf<>(ScalingName.class))
                .registerConverter(Init.Method.class, new WordOf<>(Init.Method.class))
                .registerConverter(Init.Svd.class, new WordOf<>(Init.Svd.class))
                .setExpandAtFiles(false)
                .setParameterExceptionHandler(Failures::wrongUsage)
                .setExecutionExceptionHandler(Failures::failed);
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "no command; there are " + String.join(", ", spec.subcommands().keySet()));
    }
}
