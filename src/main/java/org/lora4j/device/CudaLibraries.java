package org.lora4j.device;

import java.io.File;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * CUDA's runtime, cuBLAS and cuSOLVER of one version, 12 or 13.
 *
 * <p>Where {@code -Dlora4j.cuda=} is set it says where: folders, separated as in a path, or one library that exports
 * everything. Else they are looked for in the toolkit that CUDA_HOME or CUDA_PATH names, and then by name wherever the
 * system's loader looks. Nothing is kept of an attempt that failed: the next one looks again.
 */
final class CudaLibraries {
    static final String PROPERTY = "lora4j.cuda";
    private static final int OLDEST = 12000;

    /** The names of one version's libraries; cuSOLVER counts on its own. Those it needs are opened first where they are found. */
    private record Version(String cudart, String cublas, String cusolver, List<String> needed) {}

    private static final List<Version> VERSIONS = List.of(
            new Version("libcudart.so.13", "libcublas.so.13", "libcusolver.so.12",
                    List.of("libnvJitLink.so.13", "libcusparse.so.12", "libcublasLt.so.13")),
            new Version("libcudart.so.12", "libcublas.so.12", "libcusolver.so.11",
                    List.of("libnvJitLink.so.12", "libcusparse.so.12", "libcublasLt.so.12")));
    private static final List<String> TOOLKIT_FOLDERS = List.of("lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib");

    private static final Map<String, CudaLibraries> OPENED = new LinkedHashMap<>(); // by the runtime's origin

    private final Cudart cudart;
    private final String origin;
    private final Map<String, List<Path>> places;
    private final Version version;
    private final boolean byName; // whether the loader is asked too
    private Cublas cublas; // opened when the first device is
    private Cusolver cusolver;

    private CudaLibraries(Cudart cudart, String origin, Version version, Map<String, List<Path>> places, boolean byName) {
        this.byName = byName;
        this.cudart = cudart;
        this.origin = origin;
        this.version = version;
        this.places = places;
    }

    /**
     * The runtime that the property, the environment or the loader finds, with the rest of its version.
     *
     * @throws DeviceUnavailableException listing everything that was tried and the loader's own words
     */
    static CudaLibraries load() {
        return load(System.getProperty(PROPERTY), System::getenv);
    }

    static synchronized CudaLibraries load(String property, UnaryOperator<String> environment) {
        List<String> tried = new ArrayList<>();
        List<Path> folders = new ArrayList<>();
        if (property != null) {
            for (String part : property.split(File.pathSeparator)) {
                Path path = path(part, tried);
                if (path != null && Files.isDirectory(path)) {
                    folders.add(path);
                } else if (path != null && Files.isRegularFile(path)) {
                    CudaLibraries single = openSingle(path, tried);
                    if (single != null) {
                        return single;
                    }
                } else if (path != null) {
                    tried.add(path + ": there is no such file or folder");
                }
            }
        } else {
            for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
                String home = environment.apply(variable);
                Path path = home == null || home.isBlank() ? null : path(home, tried);
                for (String folder : path == null ? List.<String>of() : TOOLKIT_FOLDERS) {
                    if (Files.isDirectory(path.resolve(folder))) {
                        folders.add(path.resolve(folder));
                    }
                }
            }
        }
        for (Version version : VERSIONS) {
            CudaLibraries found = open(version, folders, property == null, tried);
            if (found != null) {
                return found;
            }
        }
        throw new DeviceUnavailableException("no CUDA libraries" + (property == null ? "" : " in -D" + PROPERTY + "=" + property) + ". Tried:\n  "
                + String.join("\n  ", tried));
    }

    private static Path path(String text, List<String> tried) {
        try {
            return Path.of(text.strip()).toAbsolutePath();
        } catch (InvalidPathException e) {
            tried.add(text + ": " + e.getMessage());
            return null;
        }
    }

    /** One library with the functions of all three. */
    private static CudaLibraries openSingle(Path file, List<String> tried) {
        CudaLibraries known = OPENED.get(file.toString());
        if (known != null) {
            return known;
        }
        try {
            SymbolLookup all = DynamicLoader.open(file.toString());
            CudaLibraries libraries = new CudaLibraries(checkVersion(new Cudart(all)), file.toString(), null, Map.of(), false);
            libraries.cublas = new Cublas(all);
            libraries.cusolver = new Cusolver(all);
            OPENED.put(file.toString(), libraries);
            return libraries;
        } catch (UnsatisfiedLinkError | NativeException e) {
            tried.add(file + ": " + e.getMessage());
            return null;
        }
    }

    /** The runtime of one version from the folders and, where {@code byName}, from where the loader finds it. */
    private static CudaLibraries open(Version version, List<Path> folders, boolean byName, List<String> tried) {
        Map<String, List<Path>> places = new LinkedHashMap<>();
        List<String> names = new ArrayList<>(version.needed);
        names.addAll(List.of(version.cudart, version.cublas, version.cusolver));
        for (String name : names) {
            places.put(name, folders.stream().map(folder -> folder.resolve(name)).filter(Files::isRegularFile).toList());
        }
        List<String> candidates = new ArrayList<>(places.get(version.cudart).stream().map(Path::toString).toList());
        folders.stream().filter(folder -> !Files.isRegularFile(folder.resolve(version.cudart)))
                .forEach(folder -> tried.add(folder.resolve(version.cudart) + ": there is no such file"));
        if (byName) {
            candidates.add(version.cudart);
        }
        for (String candidate : candidates) {
            CudaLibraries known = OPENED.get(candidate);
            if (known != null) {
                return known;
            }
            try {
                Cudart cudart = checkVersion(new Cudart(DynamicLoader.open(candidate)));
                CudaLibraries libraries = new CudaLibraries(cudart, candidate, version, places, byName);
                OPENED.put(candidate, libraries);
                return libraries;
            } catch (UnsatisfiedLinkError | NativeException e) {
                tried.add(candidate + ": " + e.getMessage());
            }
        }
        return null;
    }

    private static Cudart checkVersion(Cudart cudart) {
        int version = cudart.runtimeVersion();
        if (version < OLDEST) {
            throw new UnsatisfiedLinkError("it is CUDA " + text(version) + "; 12.0 is the oldest that is supported");
        }
        int driver = cudart.driverVersion(); // 0 without one, which the search for a GPU will tell
        if (driver > 0 && driver / 1000 < version / 1000) {
            throw new UnsatisfiedLinkError("it is CUDA " + text(version) + "; the driver is for up to " + text(driver));
        }
        return cudart;
    }

    Cudart cudart() {
        return cudart;
    }

    /** @throws DeviceUnavailableException listing everything that was tried and the loader's own words */
    synchronized Cublas cublas() {
        if (cublas == null) {
            for (String needed : version.needed) {
                for (Path file : places.get(needed)) {
                    try {
                        DynamicLoader.open(file.toString()); // what cuBLAS and cuSOLVER need is then found by its name
                    } catch (UnsatisfiedLinkError e) {
                        // Not all versions need all of them; what is missed is said when cuBLAS or cuSOLVER is opened.
                    }
                }
            }
            cublas = open(version.cublas, Cublas::new);
        }
        return cublas;
    }

    /** @throws DeviceUnavailableException listing everything that was tried and the loader's own words */
    synchronized Cusolver cusolver() {
        if (cusolver == null) {
            cublas(); // which it needs
            cusolver = open(version.cusolver, Cusolver::new);
        }
        return cusolver;
    }

    private <T> T open(String name, Function<SymbolLookup, T> bind) {
        List<String> tried = new ArrayList<>();
        for (String candidate : Stream.concat(places.get(name).stream().map(Path::toString), byName ? Stream.of(name) : Stream.of()).toList()) {
            try {
                return bind.apply(DynamicLoader.open(candidate));
            } catch (UnsatisfiedLinkError e) {
                tried.add(candidate + ": " + e.getMessage());
            }
        }
        throw new DeviceUnavailableException("the CUDA runtime is " + origin + ", but its " + name + " can't be used. "
                + (tried.isEmpty() ? "It is in none of the folders of -D" + PROPERTY : "Tried:\n  " + String.join("\n  ", tried)));
    }

    /** Where the runtime was found. */
    String origin() {
        return origin;
    }

    /** "CUDA 13.0, driver for up to 13.0". */
    String versions() {
        int driver = cudart.driverVersion();
        return "CUDA " + text(cudart.runtimeVersion()) + (driver == 0 ? ", no driver" : ", driver for up to " + text(driver));
    }

    private static String text(int version) {
        return version / 1000 + "." + version % 1000 / 10;
    }
}
