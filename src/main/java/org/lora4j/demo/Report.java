package org.lora4j.demo;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;

import org.lora4j.analysis.ScaleStability;

/**
 * What the demonstration found, as {@code report.json} has it.
 *
 * @param methods the best outcome of each method
 */
record Report(String device, String library, long seed, Map<String, Adaptation.Outcome> methods, List<ScaleStability> stability,
        List<KernelTiming> kernels) {
    void write(Path file) throws IOException {
        new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValue(file.toFile(), this);
    }
}
