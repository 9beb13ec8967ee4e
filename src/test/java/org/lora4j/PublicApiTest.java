package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.lang.module.ModuleDescriptor;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import org.junit.jupiter.api.Test;

/**
 * The bill of what is public: public-api.txt lists the module's exports and requirements and every type and member that users
 * can see, so that a change of them is a difference of that file. Where a change is meant, copy target/public-api.txt over it.
 */
class PublicApiTest {
    private static final Path WRITTEN = Path.of("target", "public-api.txt");
    private static final Set<String> OF_OBJECT = Set.of("equals", "hashCode", "toString");

    @Test
    void isWhatTheBillSays() throws Exception {
        String api = String.join("\n", api()) + "\n";
        Files.writeString(WRITTEN, api);
        try (InputStream bill = PublicApiTest.class.getResourceAsStream("public-api.txt")) {
            assertEquals(new String(bill.readAllBytes()), api, "the public API has changed; if that is meant, src/test/resources/org/lora4j/public-api.txt is now "
                    + WRITTEN);
        }
    }

    /** Nothing that users see is made of types that they can't name. */
    @Test
    void namesExportedTypesOnly() throws Exception {
        Set<String> exported = descriptor().exports().stream().map(ModuleDescriptor.Exports::source).collect(Collectors.toSet());
        for (Class<?> type : types()) {
            for (Executable e : executables(type)) {
                List<Class<?>> named = new ArrayList<>(List.of(e.getParameterTypes()));
                named.addAll(List.of(e.getExceptionTypes()));
                if (e instanceof Method m) {
                    named.add(m.getReturnType());
                }
                for (Class<?> n : named) {
                    Class<?> element = n.isArray() ? n.componentType() : n;
                    assertTrue(element.isPrimitive() || isVisible(element) && (element.getName().startsWith("java.") || exported.contains(element.getPackageName())),
                            e + " names " + element);
                }
            }
        }
    }

    private static ModuleDescriptor descriptor() throws IOException, URISyntaxException {
        Path classes = classes();
        try (InputStream file = Files.newInputStream(classes.resolve("module-info.class"))) {
            return ModuleDescriptor.read(file);
        }
    }

    private static Path classes() throws URISyntaxException {
        return Path.of(LoraLinear.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    }

    private static List<String> api() throws Exception {
        ModuleDescriptor module = descriptor();
        List<String> lines = new ArrayList<>();
        lines.add("module " + module.name());
        module.exports().stream().sorted().forEach(e -> lines.add("    exports " + e.source()));
        module.requires().stream().sorted().filter(r -> !r.name().equals("java.base"))
                .forEach(r -> lines.add("    requires " + (r.modifiers().contains(ModuleDescriptor.Requires.Modifier.STATIC) ? "static " : "") + r.name()));
        for (Class<?> type : types()) {
            lines.add("");
            lines.add(declaration(type));
            Set<String> members = new TreeSet<>();
            for (Field field : type.getDeclaredFields()) {
                if (isVisible(field.getModifiers()) && !field.isSynthetic()) {
                    members.add(field.isEnumConstant() ? field.getName() : modifiers(field.getModifiers()) + name(field.getGenericType()) + " " + field.getName());
                }
            }
            executables(type).forEach(e -> members.add(signature(e)));
            members.forEach(m -> lines.add("    " + m));
        }
        return lines;
    }

    /** The public types of the exported packages and the visible ones within them, by name. */
    private static List<Class<?>> types() throws Exception {
        List<Class<?>> types = new ArrayList<>();
        Path classes = classes();
        for (String exported : descriptor().exports().stream().map(ModuleDescriptor.Exports::source).sorted().toList()) {
            try (Stream<Path> files = Files.list(classes.resolve(exported.replace('.', '/')))) {
                for (String file : files.map(f -> f.getFileName().toString()).filter(f -> f.endsWith(".class") && !f.startsWith("package-info")).sorted().toList()) {
                    Class<?> type = Class.forName(exported + "." + file.substring(0, file.length() - ".class".length()), false, PublicApiTest.class.getClassLoader());
                    if (isVisible(type)) {
                        types.add(type);
                    }
                }
            }
        }
        return types;
    }

    private static boolean isVisible(Class<?> type) {
        return isVisible(type.getModifiers()) && !type.isAnonymousClass() && (type.getEnclosingClass() == null || isVisible(type.getEnclosingClass()));
    }

    private static boolean isVisible(int modifiers) {
        return Modifier.isPublic(modifiers) || Modifier.isProtected(modifiers);
    }

    /** Constructors and methods, with those inherited from types that users don't see; without what each record, enum and object has. */
    private static List<Executable> executables(Class<?> type) {
        List<Executable> found = new ArrayList<>();
        for (Constructor<?> c : type.getDeclaredConstructors()) {
            if (isVisible(c.getModifiers()) && !(type.isRecord() && c.getParameterCount() == type.getRecordComponents().length)) {
                found.add(c);
            }
        }
        for (Class<?> c = type; c != null && (c == type || !isVisible(c)); c = c.getSuperclass()) {
            for (Method m : c.getDeclaredMethods()) {
                boolean ofEnum = type.isEnum() && Modifier.isStatic(m.getModifiers()) && (m.getName().equals("values") || m.getName().equals("valueOf"));
                if (isVisible(m.getModifiers()) && !m.isSynthetic() && !ofEnum && !OF_OBJECT.contains(m.getName()) && !isComponent(m)) {
                    found.add(m);
                }
            }
        }
        return found;
    }

    private static boolean isComponent(Method m) {
        return m.getDeclaringClass().isRecord() && m.getParameterCount() == 0
                && Arrays.stream(m.getDeclaringClass().getRecordComponents()).anyMatch(c -> c.getName().equals(m.getName()));
    }

    private static String declaration(Class<?> type) {
        String kind = type.isRecord() ? "record " : type.isEnum() ? "enum " : type.isInterface() ? "interface " : "class ";
        int shown = type.getModifiers() & (type.isRecord() || type.isEnum() ? Modifier.PUBLIC | Modifier.PROTECTED
                : type.isInterface() ? ~(Modifier.ABSTRACT | Modifier.STATIC | Modifier.INTERFACE) : ~Modifier.STATIC);
        String components = type.isRecord()
                ? Arrays.stream(type.getRecordComponents()).map(c -> name(c.getGenericType()) + " " + c.getName()).collect(Collectors.joining(", ", "(", ")")) : "";
        Class<?> parent = type.getSuperclass();
        boolean plain = parent == null || parent == Object.class || parent == Record.class || parent == Enum.class || !isVisible(parent);
        String parents = Arrays.stream(type.getGenericInterfaces()).map(PublicApiTest::name).collect(Collectors.joining(", "));
        boolean sealed = type.isSealed() && !type.isEnum();
        String permitted = !sealed ? "" : Arrays.stream(type.getPermittedSubclasses()).map(PublicApiTest::name).collect(Collectors.joining(", ", " permits ", ""));
        return Modifier.toString(shown) + (sealed ? " sealed " : " ") + kind + type.getTypeName().replace('$', '.') + components + (plain ? "" : " extends " + name(parent))
                + (parents.isEmpty() ? "" : (type.isInterface() ? " extends " : " implements ") + parents) + permitted;
    }

    private static String signature(Executable e) {
        String returned = e instanceof Method m ? name(m.getGenericReturnType()) + " " : "";
        String called = e instanceof Method ? e.getName() : e.getDeclaringClass().getSimpleName();
        String parameters = Arrays.stream(e.getGenericParameterTypes()).map(PublicApiTest::name).collect(Collectors.joining(", ", "(", ")"));
        String thrown = Arrays.stream(e.getGenericExceptionTypes()).map(PublicApiTest::name).sorted().collect(Collectors.joining(", "));
        int shown = e.getDeclaringClass().isInterface() ? e.getModifiers() & ~Modifier.ABSTRACT : e.getModifiers();
        return modifiers(shown) + (e instanceof Method m && m.isDefault() ? "default " : "") + returned + called
                + (e.isVarArgs() ? parameters.replace("[])", "...)") : parameters) + (thrown.isEmpty() ? "" : " throws " + thrown);
    }

    /** Of a member; {@code public} goes without saying. */
    private static String modifiers(int modifiers) {
        String text = Modifier.toString(modifiers & (Modifier.PROTECTED | Modifier.STATIC | Modifier.FINAL | Modifier.ABSTRACT));
        return text.isEmpty() ? "" : text + " ";
    }

    /** A type's name without packages. */
    private static String name(Type type) {
        return type.getTypeName().replaceAll("\\b[a-z][a-z0-9]*\\.(?=[A-Za-z])", "").replace('$', '.');
    }
}
