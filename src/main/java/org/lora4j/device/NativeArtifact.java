package org.lora4j.device;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReference;
import java.net.JarURLConnection;
import java.net.URL;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Enumeration;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * A jar of the JavaCPP presets that holds the native libraries of one platform. Only its files are used, none of its
 * classes, so it doesn't matter which version of JavaCPP an application has.
 *
 * @param location the jar
 * @param folder the folder inside it, ending in a slash
 * @param library the file name of the library to load
 * @param version the artifact's version
 */
record NativeArtifact(String location, String folder, String library, String version) {
    /** An artifact and the names that its main library has in the versions there are, on Linux, macOS and Windows. */
    record Name(String artifact, List<String> linux, List<String> mac, List<String> windows) {}

    static final Name OPENBLAS = new Name("openblas", List.of("libopenblas.so.0"), List.of("libopenblas.0.dylib"), List.of("libopenblas.dll"));
    static final Name MKL = new Name("mkl", List.of("libmkl_rt.so.3", "libmkl_rt.so.2"), List.of("libmkl_rt.2.dylib"),
            List.of("mkl_rt.3.dll", "mkl_rt.2.dll"));

    /** Every such artifact on the class path or the module path, the newest first; what was not found goes to {@code tried}. */
    static List<NativeArtifact> find(Name name, List<String> tried) {
        String platform = platform();
        List<String> libraries = platform.startsWith("linux") ? name.linux : platform.startsWith("macosx") ? name.mac : name.windows;
        String folder = "org/bytedeco/" + name.artifact + "/" + platform + "/";
        List<NativeArtifact> found = new ArrayList<>();
        for (String library : libraries) {
            try {
                for (String jar : jars(folder + library, tried)) {
                    found.add(new NativeArtifact(jar, folder, library, version(jar, name.artifact)));
                }
            } catch (IOException | java.net.URISyntaxException | RuntimeException e) {
                tried.add(folder + library + ": " + e);
            }
        }
        if (found.isEmpty()) {
            tried.add("org.bytedeco:" + name.artifact + " for " + platform + ": " + folder + String.join(" or ", libraries)
                    + " is neither on the class path nor on the module path");
        }
        found.sort((a, b) -> compareVersions(b.version, a.version));
        return found.stream().distinct().toList();
    }

    private static List<String> jars(String resource, List<String> tried) throws IOException, java.net.URISyntaxException {
        List<String> jars = new ArrayList<>();
        Enumeration<URL> urls = NativeArtifact.class.getClassLoader().getResources(resource);
        while (urls.hasMoreElements()) {
            URL url = urls.nextElement();
            if (url.openConnection() instanceof JarURLConnection connection) {
                jars.add(Path.of(connection.getJarFileURL().toURI()).toString());
            } else {
                tried.add(url + ": not inside a jar");
            }
        }
        jars.addAll(onModulePath(resource));
        return jars;
    }

    /** The jars of the module path that hold {@code resource}; nothing requires them, so the boot layer may lack them. */
    private static List<String> onModulePath(String resource) throws IOException {
        String modulePath = System.getProperty("jdk.module.path", "");
        List<String> jars = new ArrayList<>();
        if (!modulePath.isEmpty()) {
            Path[] paths = Arrays.stream(modulePath.split(java.io.File.pathSeparator)).map(Path::of).toArray(Path[]::new);
            for (ModuleReference module : ModuleFinder.of(paths).findAll()) {
                try (var reader = module.open()) {
                    if (module.location().isPresent() && reader.find(resource).isPresent()) {
                        jars.add(Path.of(module.location().get()).toString());
                    }
                }
            }
        }
        return jars;
    }

    private static String version(String location, String artifact) {
        try (JarFile jar = new JarFile(location)) {
            JarEntry entry = jar.getJarEntry("META-INF/maven/org.bytedeco/" + artifact + "/pom.properties");
            if (entry == null) {
                return "unknown";
            }
            Properties properties = new Properties();
            try (InputStream in = jar.getInputStream(entry)) {
                properties.load(in);
            }
            return properties.getProperty("version", "unknown");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** "0.3.9" before "0.3.31". */
    static int compareVersions(String a, String b) {
        return Arrays.compare(numbers(a), numbers(b));
    }

    private static int[] numbers(String version) {
        return Arrays.stream(version.split("\\D+")).filter(s -> !s.isEmpty()).mapToInt(Integer::parseInt).toArray();
    }

    /** The platform as the presets name it, linux-x86_64 for example. */
    static String platform() {
        String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String arch = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
        return (os.startsWith("linux") ? "linux" : os.startsWith("mac") ? "macosx" : os.startsWith("windows") ? "windows" : os) + "-"
                + (arch.equals("amd64") || arch.equals("x86_64") ? "x86_64" : arch.equals("aarch64") ? "arm64" : arch);
    }

    @Override
    public String toString() {
        return location + " (" + version + ")";
    }
}
