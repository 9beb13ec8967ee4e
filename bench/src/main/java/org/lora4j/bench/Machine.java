package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * The machine, as far as results depend on it.
 *
 * @param cpu its name
 * @param family of the processor: vendor and family, as amd26
 * @param instructions the widest instructions: amx, avx512, avx2 or the architecture's name
 * @param threads that everything is given
 * @param cacheBytes the last-level cache
 */
record Machine(String cpu, String family, String instructions, int threads, long cacheBytes) {
    static Machine of(int threads) {
        String info = read("/proc/cpuinfo");
        String arch = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
        String instructions = info.contains(" amx_tile ") ? "amx" : info.contains(" avx512f ") ? "avx512" : info.contains(" avx2 ") ? "avx2" : arch;
        String cpu = info.lines().filter(line -> line.startsWith("model name")).map(line -> line.replaceAll(".*: *", "")).findFirst().orElse(arch);
        String model = info.lines().filter(line -> line.startsWith("cpu family") || line.startsWith("model\t")).limit(2)
                .map(line -> line.replaceAll("\\s*:\\s*", " ")).reduce((a, b) -> a + ", " + b).orElse("");
        String family = value(info, "vendor_id").replaceAll("Authentic|Genuine", "").toLowerCase(Locale.ROOT) + value(info, "cpu family");
        String size = read("/sys/devices/system/cpu/cpu0/cache/index3/size").strip();
        long cache = size.endsWith("K") ? Long.parseLong(size.substring(0, size.length() - 1)) << 10 : 32L << 20;
        return new Machine(cpu + (model.isEmpty() ? "" : " (" + model + ")"), family.isEmpty() ? arch : family, instructions, threads, cache);
    }

    /** The first value of a key of /proc/cpuinfo; "" where there is none. */
    private static String value(String info, String key) {
        return info.lines().filter(line -> line.startsWith(key)).map(line -> line.replaceAll(".*: *", "")).findFirst().orElse("");
    }

    private static String read(String file) {
        try {
            return Files.readString(Path.of(file));
        } catch (IOException e) {
            return "";
        }
    }

    /** Seconds of processor time that everything but this process and its children has used, or 0 where that can't be told. */
    static double othersSeconds() {
        String[] fields = read("/proc/stat").lines().findFirst().orElse("").split(" +"); // cpu user nice system idle iowait irq softirq steal …
        if (fields.length < 9) {
            return 0;
        }
        double busy = 0;
        for (int i : new int[] {1, 2, 3, 6, 7, 8}) {
            busy += Double.parseDouble(fields[i]) / 100;
        }
        return busy - Stream.concat(Stream.of(ProcessHandle.current()), ProcessHandle.current().descendants())
                .mapToDouble(process -> process.info().totalCpuDuration().map(Duration::toMillis).orElse(0L) / 1e3).sum();
    }

    /** Machines that one baseline serves. The peers' libraries choose by vendor: PyTorch's products took twice this library's time on an EPYC, the same on a Xeon. */
    String name() {
        return System.getProperty("os.name").toLowerCase(Locale.ROOT).replaceAll("\\s.*", "") + "-" + family + "-" + instructions + "-" + threads;
    }

    @Override
    public String toString() {
        return cpu + ", " + instructions + ", " + threads + " threads, last-level cache " + (cacheBytes >> 20) + " MiB, JDK " + Runtime.version() + ", "
                + System.getProperty("os.name") + " " + System.getProperty("os.version");
    }
}
