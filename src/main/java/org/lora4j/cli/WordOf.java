package org.lora4j.cli;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a constant of an enum by the word that users know: LORA_GA is lora-ga. */
record WordOf<E extends Enum<E>>(Class<E> type) implements ITypeConverter<E> {
    static String word(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    @Override
    public E convert(String value) {
        return Arrays.stream(type.getEnumConstants()).filter(c -> word(c).equalsIgnoreCase(value)).findAny().orElseThrow(() -> new TypeConversionException(
                "'" + value + "' is none of " + Arrays.stream(type.getEnumConstants()).map(WordOf::word).collect(Collectors.joining(", "))));
    }
}
