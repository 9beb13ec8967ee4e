package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;

import org.junit.jupiter.api.Test;
import org.lora4j.linked.Multiply;

/** The library as a module, with nothing beside it but OpenBLAS: none of the demonstration's libraries is needed. */
class ModulePathTest {
    @Test
    void multipliesAsAModule() throws Exception {
        String output = ForkedJvm.command(Multiply.class)
                .flags("--module-path", ForkedJvm.join(List.of(ForkedJvm.location(HostDevice.class), ForkedJvm.openblasJar())),
                        "--add-modules", "org.lora4j", "--enable-native-access=org.lora4j",
                        "-cp", ForkedJvm.location(Multiply.class).toString())
                .run().assertSuccess().output();
        assertTrue(output.startsWith("host, OpenBLAS"), output);
        assertFalse(output.contains("WARNING"), output);
    }

    @Test
    void multipliesWithOpenBlasOnTheClassPath() throws Exception {
        ForkedJvm.command(Multiply.class)
                .flags("--module-path", ForkedJvm.location(HostDevice.class).toString(),
                        "--add-modules", "org.lora4j", "--enable-native-access=org.lora4j",
                        "-cp", ForkedJvm.join(List.of(ForkedJvm.location(Multiply.class), ForkedJvm.openblasJar())))
                .run().assertSuccess();
    }
}
