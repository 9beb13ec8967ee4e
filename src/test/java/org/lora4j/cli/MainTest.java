package org.lora4j.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.lora4j.device.Device;
import org.lora4j.device.DeviceStatus;

/** Exit status, help and errors of all commands; the commands that need no files. */
class MainTest {
    @ParameterizedTest
    @ValueSource(strings = {"devices", "init", "merge", "convert", "inspect", "stability", "demo"})
    void everyCommandHasHelpWithExamples(String command) {
        Cli.Result help = Cli.run(command, "--help").assertDone();
        assertTrue(help.out().contains("Examples:") && help.out().contains("  lora4j " + command), help.out());
        assertTrue(help.out().contains("--json") && help.out().contains("--verbose"), help.out());
        assertEquals("", help.err());
        String all = Cli.run("--help").assertDone().out();
        assertTrue(all.contains("Examples:") && all.lines().anyMatch(line -> line.startsWith("  " + command + " ")), all);
    }

    @Test
    void theVersionIsTold() {
        assertTrue(Cli.run("--version").assertDone().out().startsWith("lora4j "));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
            "                                                    | no command",
            "nope                                                | nope",
            "devices more                                        | more",
            "devices --jsn                                       | --jsn",
            "inspect                                             | FILE|DIR",
            "init                                                | --weights",
            "init --weights w --rank x --alpha 1 --out o         | 'x' is not an int",
            "init --weights w --rank 0 --alpha 1 --out o         | rank 0: it must be at least 1",
            "init --weights w --rank 1 --alpha -1 --out o        | alpha -1.0",
            "init --weights w --rank 1 --alpha 1 --out o         | --gradients is missing",
            "init --weights w --rank 1 --alpha 1 --out o --method pissa | --target",
            "init --weights w --rank 1 --alpha 1 --out o --method x     | none of lora-ga, lora, pissa, olora",
            "init --weights w --rank 1 --alpha 1 --out o --scaling x    | none of rslora, standard",
            "init --weights w --rank 1 --alpha 1 --out o --svd x        | none of krylov, exact",
            "init --weights w --rank 1 --alpha 1 --out o --target (     | '('",
            "init --weights w --rank 1 --alpha 1 --out o --device tpu   | --device tpu",
            "init --weights w --rank 1 --alpha 1 --out o --gradients g --gamma 0      | gamma 0.0",
            "init --weights w --rank 1 --alpha 1 --out o --gradients g --max-shift -1 | fraction -1.0",
            "init --weights w --rank 1 --alpha 1 --out o --gradients g --gamma 1 --max-shift 1 | mutually exclusive",
            "init --weights w --rank 1 --alpha 1 --out o --gradients g --method lora --gamma 1 | --method lora-ga",
            "init --weights no/such --gradients g --rank 1 --alpha 1 --out o          | no/such: there is no such file",
            "inspect no/such                                     | no/such: there is no such file",
            "merge --base no/such --adapter a --out o            | no/such: there is no such file",
            "convert --initial no/such --trained t --out o       | no/such",
            "stability 1x2                                       | '1x2'",
            "stability 99999x99999x2                             | elements",
            "stability 8x8x5                                     | the rank must be at most 4",
            "stability --samples 0                               | --samples 0",
            "stability --gamma -1                                | gamma -1.0",
            "demo --out pom.xml                                  | is no folder"})
    void wrongUsageIsOneLineAndStatus2(String arguments, String word) {
        String[] split = arguments == null ? new String[0] : arguments.strip().split(" +");
        Cli.run((Object[]) split).assertFailed(2, word.strip());
    }

    @Test
    void aDefectIsTraceableWithVerbose() {
        Cli.Result quiet = Cli.run("inspect", "no/such");
        Cli.Result verbose = Cli.run("inspect", "no/such", "--verbose");
        assertEquals(2, verbose.status());
        assertTrue(verbose.err().startsWith(quiet.err()), verbose.err());
        assertTrue(verbose.err().contains("\tat org.lora4j."), verbose.err());
    }

    @Test
    void aMessageIsOneLineWhateverItHolds() {
        assertEquals("a b c d", Failures.oneLine(" a\n\tb \r\n c\u2028d\u0007"));
        Cli.run("inspect", "no\nsuch").assertFailed(2, "no such: there is");
    }

    @Test
    void devicesAreThoseOfTheSurvey() {
        JsonNode json = Cli.run("devices", "--json").assertDone().json();
        String text = Cli.run("devices").assertDone().out();
        int i = 0;
        String first = null;
        for (DeviceStatus status : Device.survey()) {
            JsonNode entry = json.get("devices").get(i++);
            assertEquals(status.name(), entry.get("name").asText());
            assertEquals(status.usable(), entry.get("usable").asBoolean());
            assertEquals(status.usable(), !entry.get("description").isNull());
            assertEquals(status.usable(), entry.get("reason").isNull());
            first = first == null && status.usable() ? status.name() : first;
            assertTrue(text.contains(status.name() + ": " + (status.usable() ? "usable" : "can't be used")), text);
            status.details().lines().forEach(line -> assertTrue(text.contains("    " + line.strip()), text));
        }
        assertEquals(i, json.get("devices").size());
        assertEquals(first, json.get("automatic").asText());
    }

    @Test
    void aDeviceThatFailsTellsAllThatWasTried() {
        Devices.Entry entry = Devices.Entry.of(new DeviceStatus("cuda", false, "no CUDA libraries. Tried:\n  a: not found\n  b: too old"));
        assertEquals("no CUDA libraries. Tried:", entry.reason());
        assertEquals("[a: not found, b: too old]", entry.tried().toString());
    }

    @Test
    void stabilityIsMeasuredAndPredicted() {
        JsonNode json = Cli.run("stability", "--json", "--scaling", "standard", "--alpha", 8, "--gamma", 4, "64x48x4", "48x64x2").assertDone().json();
        assertEquals("standard", json.get("scaling").asText());
        assertEquals(2, json.get("stability").size());
        JsonNode row = json.get("stability").get(0);
        double eta = 8 / 4.0;
        double predicted = eta * eta * Math.pow(Math.sqrt(Math.sqrt(64) / 4), 4) * 4 / 64;
        assertEquals(predicted, row.get("forwardPredicted").asDouble(), 1e-12);
        assertEquals(predicted, row.get("forward").asDouble(), 5 * predicted * Math.sqrt(2.0 / (4 * 1024)));
        String text = Cli.run("stability", "64x48x4").assertDone().out();
        assertTrue(text.contains("predicted") && text.lines().count() == 2, text);
    }

    @Test
    void theDemonstrationOverwritesNothing(@TempDir Path folder) throws Exception {
        Files.writeString(folder.resolve("report.json"), "mine");
        Cli.run("demo", "--out", folder).assertFailed(2, "--force");
        assertEquals("mine", Files.readString(folder.resolve("report.json")));
        assertFalse(Files.exists(folder.resolve("convergence.png")));
    }
}
