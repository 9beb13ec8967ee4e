package org.lora4j.cli;

import java.nio.file.Path;

import org.lora4j.io.AdapterModule;
import org.lora4j.io.PeftAdapter;
import org.lora4j.io.PeftExport;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** A trained adapter for the base model as it was before the initialisation. */
@Command(name = "convert", header = "Make a trained adapter fit the untouched base model.",
        description = {"Makes of an adapter that was started by init and then trained a plain one for the untouched base model:",
        "[B | −B0]·[A; A0], of twice the rank. It needs nothing but the base model and PEFT."},
        footer = {"  lora4j convert --initial start --trained trained --out plain"})
final class Convert extends Verb {
    @Option(names = "--initial", required = true, paramLabel = "DIR", description = "What init wrote: A0 and B0.")
    private Path initialFolder;

    @Option(names = "--trained", required = true, paramLabel = "DIR", description = "The same adapter after training: A and B.")
    private Path trainedFolder;

    @Option(names = "--out", required = true, paramLabel = "DIR", description = "The folder to write.")
    private Path target;

    @Option(names = "--force", description = "Overwrite an adapter that is there.")
    private boolean force;

    /** What was done. */
    record Done(String out, int modules) {}

    @Override
    void run() throws Exception {
        Staging.checkFolder(target, force);
        try (PeftAdapter initial = PeftAdapter.read(initialFolder); PeftAdapter trained = PeftAdapter.read(trainedFolder)) {
            for (AdapterModule module : initial.modules()) {
                trained.module(module.name()); // refuses one that has no counterpart
            }
            PeftExport export = new PeftExport(trained.config().with("init_lora_weights", true));
            try (Progress progress = Progress.start("convert", trained.modules().size(), err())) {
                for (AdapterModule module : trained.modules()) {
                    export.add(module.onUntouchedBase(initial.module(module.name())));
                    progress.step(module.name(), 1);
                }
            }
            try (Staging staging = Staging.create(target)) {
                export.write(staging.folder());
                staging.commitFolder(Staging.ADAPTER);
            }
            Done done = new Done(target.toString(), trained.modules().size());
            show(done, () -> out().printf("Wrote %s: %d modules of twice the rank%n", target, done.modules));
        }
    }
}
