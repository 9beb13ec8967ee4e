/**
 * Kernels for low-rank adaptation (LoRA) and its gradient-aligned initialisation (LoRA-GA) on native libraries.
 *
 * <p>{@link org.lora4j.LoraLinear} is the layer, {@link org.lora4j.init} its initialisers, {@link org.lora4j.device}
 * the memory and the operations underneath, {@link org.lora4j.io} its files, {@link org.lora4j.analysis} what says
 * whether a start is good.
 */
module org.lora4j {
    exports org.lora4j;
    exports org.lora4j.analysis;
    exports org.lora4j.device;
    exports org.lora4j.gradient;
    exports org.lora4j.init;
    exports org.lora4j.io;
    exports org.lora4j.svd;

    requires com.fasterxml.jackson.core;

    // Of the command line and the demonstration only.
    requires static info.picocli;
    requires static com.fasterxml.jackson.databind;
    requires static org.knowm.xchart;
    requires static me.tongfei.progressbar;
    requires static java.desktop;

    opens org.lora4j.cli to info.picocli, com.fasterxml.jackson.databind;
    opens org.lora4j.demo to com.fasterxml.jackson.databind;
}
