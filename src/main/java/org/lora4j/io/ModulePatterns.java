package org.lora4j.io;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which modules an adapter_config.json means, as PEFT 0.21 decides it (check_target_module_exists, get_pattern_key).
 * A pattern that can't be used throws {@link PythonPattern.Refused}.
 */
final class ModulePatterns {
    private static final String ALL_LINEAR = "all-linear";

    private final PythonPattern.Budget budget = new PythonPattern.Budget();
    private final Names targets; // null: any module
    private final Names excluded;
    private final Object layers; // BigInteger, Set of BigInteger, or null
    private final List<PythonPattern> layerPatterns = new ArrayList<>();
    private final Keys rankKeys;
    private final Keys alphaKeys;

    /** A pattern for the whole name, or names of which one must be the module's or end it after a dot. */
    private record Names(PythonPattern pattern, Set<String> names) {
        boolean contains(String module) {
            if (pattern != null) {
                return pattern.fullMatch(module);
            }
            for (int from = 0; !names.contains(module.substring(from)); from = module.indexOf('.', from) + 1) {
                if (module.indexOf('.', from) < 0) {
                    return false;
                }
            }
            return true;
        }
    }

    /**
     * @param target text, list or null, as excluded
     * @param layers integer, list of integers, or null
     * @param layersPattern texts
     */
    ModulePatterns(Object target, Object excluded, Object layers, List<String> layersPattern, Set<String> rankPattern, Set<String> alphaPattern) {
        boolean any = target == null || target instanceof String text && text.equalsIgnoreCase(ALL_LINEAR);
        this.targets = any ? null : names(target);
        this.excluded = excluded == null || excluded.equals("") ? new Names(null, Set.of()) : names(excluded);
        this.layers = layers instanceof List<?> list ? list.isEmpty() ? null : new HashSet<>(list.stream().map(ModulePatterns::integer).toList())
                : layers == null ? null : integer(layers);
        if (layersPattern.isEmpty()) {
            layerPatterns.add(PythonPattern.of(".*\\.[^.]*", budget));
        }
        layersPattern.forEach(p -> layerPatterns.add(PythonPattern.of("(?:^|.*\\.)" + p, budget)));
        this.rankKeys = new Keys(rankPattern, budget);
        this.alphaKeys = new Keys(alphaPattern, budget);
    }

    private static BigInteger integer(Object number) {
        return new BigInteger(number.toString());
    }

    private Names names(Object value) {
        if (value instanceof String text) {
            return new Names(PythonPattern.of(text, budget), Set.of());
        }
        Set<String> names = new HashSet<>();
        ((List<?>) value).forEach(name -> names.add((String) name));
        return new Names(null, names);
    }

    /** Whether the module gets an adapter. */
    boolean isTarget(String module) {
        if (excluded.contains(module)) {
            return false;
        }
        if (targets == null || targets.pattern != null) {
            return targets == null || targets.contains(module);
        }
        return targets.names.contains(module) || targets.contains(module) && (layers == null || isInLayers(module));
    }

    /** Whether the first number in the name that follows the name of a layer list, between dots, is one of the layers. */
    private boolean isInLayers(String module) {
        for (PythonPattern pattern : layerPatterns) {
            for (int dot = module.indexOf('.'), end; (end = module.indexOf('.', dot + 1)) > 0; dot = end) {
                String number = module.substring(dot + 1, end);
                if (!number.isEmpty() && number.chars().allMatch(Character::isDigit) && pattern.fullMatch(module.substring(0, dot))) {
                    return layers instanceof Set<?> set ? set.contains(integer(number)) : layers.equals(integer(number));
                }
            }
        }
        return false;
    }

    /** The key of rank_pattern that holds for the module; null if none does. */
    String rankKey(String module) {
        return rankKeys.of(module);
    }

    /** The key of alpha_pattern that holds for the module; null if none does. */
    String alphaKey(String module) {
        return alphaKeys.of(module);
    }

    /** The keys of a pattern field. The first that matches holds, else the one that is the name itself. */
    private static final class Keys {
        private record Key(int place, String text, PythonPattern pattern) {}

        private final Set<String> all;
        private final Map<String, Key> exact = new HashMap<>(); // by the one name that the key matches
        private final List<Key> others = new ArrayList<>();

        Keys(Set<String> texts, PythonPattern.Budget budget) {
            all = texts;
            int place = 0;
            for (String text : texts) {
                Key key = new Key(place++, text, PythonPattern.suffix(text, budget));
                if (key.pattern.literals() == null) {
                    others.add(key);
                } else {
                    exact.putIfAbsent(key.pattern.literals().iterator().next(), key);
                }
            }
        }

        String of(String module) {
            Key found = exact.get(module);
            for (Key key : others) {
                if (found != null && found.place < key.place) {
                    break;
                }
                if (key.pattern.match(module)) {
                    return key.text;
                }
            }
            return found != null ? found.text : all.contains(module) ? module : null;
        }
    }
}
