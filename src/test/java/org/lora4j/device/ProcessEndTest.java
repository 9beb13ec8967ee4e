package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.lora4j.linked.Busy;

@EnabledOnOs(value = OS.LINUX, disabledReason = "elsewhere a process ends as the system has it")
class ProcessEndTest {
    private static final int SIGTERM = 128 + 15;

    /** With OpenBLAS's exit handler it would crash: the handler frees the buffers of the product. */
    @Test
    void aProgramStoppedInTheMiddleOfAProductEnds() throws IOException, InterruptedException {
        ForkedJvm program = ForkedJvm.command(Busy.class).flags("-Dlora4j.threads=1", "-XX:+SuppressFatalErrorMessage")
                .classPath(ForkedJvm.openblasJar()).start();
        program.awaitOutput("busy");
        Thread.sleep(200); // into the first product
        assertTrue(program.stop());
        ForkedJvm.Result result = program.result();
        assertEquals("busy", result.output().strip());
        assertEquals(SIGTERM, result.exitCode());
    }
}
