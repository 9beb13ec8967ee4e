package org.lora4j.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.File;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import org.junit.jupiter.api.Assertions;
import org.junit.platform.commons.JUnitException;
import org.lora4j.linked.Multiply;
import org.opentest4j.AssertionFailedError;

/** Another JVM, of the same JDK as this one, that runs one main class or one source file. */
public final class ForkedJvm {
    private static final long LIMIT_SECONDS = 120;

    /** How a JVM ended and everything it wrote. */
    public record Result(int exitCode, String output) {
        public Result assertSuccess() {
            assertEquals(0, exitCode, output);
            return this;
        }
    }

    private final Process process;
    private final Path output;

    private ForkedJvm(Process process, Path output) {
        this.process = process;
        this.output = output;
    }

    /** Builds a command; {@link Command#start} and {@link Command#run} end it. */
    static Command command(Class<?> main, String... arguments) {
        return new Command(main.getName(), arguments);
    }

    /** The same for a file of Java source that has {@code main}: it is compiled against the class path and run. */
    public static Command source(Path file, String... arguments) {
        return new Command(file.toString(), arguments);
    }

    public static final class Command {
        private final String main;
        private final List<String> arguments;
        private final List<String> flags = new ArrayList<>(List.of("-Xss16m"));
        private final ProcessBuilder builder = new ProcessBuilder();

        private Command(String main, String... arguments) {
            this.main = main;
            this.arguments = List.of(arguments);
            builder.environment().keySet().removeAll(
                    List.of("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"));
        }

        public Command flags(String... more) {
            flags.addAll(List.of(more));
            return this;
        }

        public Command environment(String name, Object value) {
            builder.environment().put(name, value.toString());
            return this;
        }

        /** The library's and the tests' classes and {@code more}, all on the class path, native access for all of it. */
        public Command classPath(List<Path> more) {
            List<Path> all = new ArrayList<>(List.of(location(HostDevice.class), location(Multiply.class)));
            all.addAll(more);
            return flags("--enable-native-access=ALL-UNNAMED", "-cp", join(all));
        }

        Command classPath(Path... more) {
            return classPath(List.of(more));
        }

        ForkedJvm start() throws IOException {
            Path output = Files.createTempFile("lora4j-forked", ".txt");
            List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
            command.addAll(flags);
            command.add(main);
            command.addAll(arguments);
            return new ForkedJvm(builder.command(command).redirectErrorStream(true).redirectOutput(output.toFile()).start(), output);
        }

        public Result run() throws IOException, InterruptedException {
            return start().result();
        }
    }

    /** Waits until the process has written {@code text}, or has ended. */
    void awaitOutput(String text) throws IOException, InterruptedException {
        for (int i = 0; i < LIMIT_SECONDS * 100 && process.isAlive() && !Files.readString(output).contains(text); i++) {
            Thread.sleep(10);
        }
    }

    /** Asks the process to end; whether it was alive. */
    boolean stop() {
        boolean alive = process.isAlive();
        process.destroy();
        return alive;
    }

    /** Waits for the end; a process that takes too long is ended and fails the test. */
    Result result() throws IOException, InterruptedException {
        try {
            if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
                fail("still running after " + LIMIT_SECONDS + " s: " + Files.readString(output));
            }
            return new Result(process.exitValue(), Files.readString(output));
        } finally {
            process.destroyForcibly().waitFor();
            Files.delete(output);
        }
    }

    static String join(List<Path> paths) {
        return paths.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator));
    }

    /** The folder or jar that a class was loaded from. */
    static Path location(Class<?> type) {
        try {
            return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The parts of JUnit that {@link org.lora4j.Reference} needs. */
    public static List<Path> junit() {
        return Stream.of(Assertions.class, AssertionFailedError.class, JUnitException.class).map(ForkedJvm::location).toList();
    }

    /** The newest OpenBLAS artifact of this JVM's class path. */
    static NativeArtifact openblas() {
        return NativeArtifact.find(NativeArtifact.OPENBLAS, new ArrayList<>()).getFirst();
    }

    public static Path openblasJar() {
        return Path.of(openblas().location());
    }
}
