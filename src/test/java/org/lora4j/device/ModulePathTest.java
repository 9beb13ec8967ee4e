package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;

import com.fasterxml.jackson.core.JsonFactory;

import org.junit.jupiter.api.Test;
import org.lora4j.linked.Multiply;

/** The library as a module, with nothing beside it but OpenBLAS and jackson-core: none of the demonstration's libraries is needed. */
class ModulePathTest {
    private static final Path JSON = ForkedJvm.location(JsonFactory.class);

    @Test
    void multipliesAsAModule() throws Exception {
        String output = ForkedJvm.command(Multiply.class)
                .flags("--module-path", ForkedJvm.join(List.of(ForkedJvm.location(HostDevice.class), JSON, ForkedJvm.openblasJar())),
                        "--add-modules", "org.lora4j", "--enable-native-access=org.lora4j",
                        "-cp", ForkedJvm.location(Multiply.class).toString())
                .run().assertSuccess().output();
        assertTrue(output.startsWith("host, OpenBLAS"), output);
        assertFalse(output.contains("WARNING"), output);
    }

    @Test
    void multipliesWithOpenBlasOnTheClassPath() throws Exception {
        ForkedJvm.command(Multiply.class)
                .flags("--module-path", ForkedJvm.join(List.of(ForkedJvm.location(HostDevice.class), JSON)),
                        "--add-modules", "org.lora4j", "--enable-native-access=org.lora4j",
                        "-cp", ForkedJvm.join(List.of(ForkedJvm.location(Multiply.class), ForkedJvm.openblasJar())))
                .run().assertSuccess();
    }
}
