package org.lora4j.io;

import java.io.IOException;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;

/**
 * Strict JSON: UTF-8, one value and nothing behind it, no name twice in an object, no half of a surrogate pair, at most
 * {@value #DEPTH} levels. Values are Map, List, String, Long, BigInteger, BigDecimal, Boolean and null, in the file's order.
 */
final class Json {
    private static final int DEPTH = 32;

    // No table of names: a file could be made to fill it with names of one hash. No limit of lengths: the file's own is one.
    private static final JsonFactory FACTORY = JsonFactory.builder()
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(DEPTH).maxNumberLength(100)
                    .maxStringLength(Integer.MAX_VALUE).maxNameLength(Integer.MAX_VALUE).build())
            .build();

    /** What is wrong with a text, in words for the reader of a message. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1;

        Malformed(String reason) {
            super(reason);
        }
    }

    /** Reads a value from its first token on, which {@code parser} stands at. */
    interface Reader<T> {
        T read(JsonParser parser) throws IOException, Malformed;
    }

    private Json() {}

    /** Reads the one value of a text. */
    static <T> T read(byte[] utf8, Reader<T> reader) throws Malformed {
        try (JsonParser parser = FACTORY.createParser(decode(utf8))) {
            parser.nextToken();
            T value = reader.read(parser);
            if (parser.nextToken() != null) {
                throw new Malformed("there is more JSON behind its end");
            }
            return value;
        } catch (JsonProcessingException e) {
            String place = e.getLocation() == null ? "" : " at character " + e.getLocation().getCharOffset();
            throw new Malformed("invalid JSON" + place + ": " + e.getOriginalMessage());
        } catch (IOException | NumberFormatException e) { // a number with an exponent beyond any type
            throw new Malformed("invalid JSON: " + e.getMessage());
        }
    }

    private static String decode(byte[] utf8) throws Malformed {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString();
        } catch (CharacterCodingException e) {
            throw new Malformed("invalid UTF-8: " + e.getMessage());
        }
    }

    /** Reads an object's next name; null at its end. */
    static String nextName(JsonParser parser) throws IOException, Malformed {
        JsonToken token = parser.nextToken();
        return token == JsonToken.END_OBJECT ? null : wellFormed(parser.currentName());
    }

    /** The text of a string. */
    static String string(JsonParser parser, String what) throws IOException, Malformed {
        if (parser.currentToken() != JsonToken.VALUE_STRING) {
            throw new Malformed(what + " is not a string");
        }
        return wellFormed(parser.getText());
    }

    static void expect(JsonParser parser, JsonToken token, String what) throws Malformed {
        if (parser.currentToken() != token) {
            throw new Malformed(what + (token == JsonToken.START_OBJECT ? " is not an object" : " is not an array"));
        }
    }

    private static String wellFormed(String text) throws Malformed {
        if (!isWellFormed(text)) {
            throw new Malformed("a string has half of a surrogate pair");
        }
        return text;
    }

    /** Whether UTF-8 can express a text. */
    static boolean isWellFormed(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isHighSurrogate(text.charAt(i)) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(text.charAt(i))) {
                return false;
            }
        }
        return true;
    }

    /** Any value, as the class says. */
    static Object value(JsonParser parser) throws IOException, Malformed {
        JsonToken token = parser.currentToken();
        if (token == null) {
            throw new Malformed("it ends before its JSON does");
        }
        return switch (token) {
            case START_OBJECT -> object(parser);
            case START_ARRAY -> {
                List<Object> list = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    list.add(value(parser));
                }
                yield list;
            }
            case VALUE_STRING -> string(parser, "");
            case VALUE_NUMBER_INT -> parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER ? parser.getBigIntegerValue() : (Object) parser.getLongValue();
            case VALUE_NUMBER_FLOAT -> parser.getDecimalValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            default -> throw new Malformed("unexpected " + token);
        };
    }

    /** An object. */
    static Map<String, Object> object(JsonParser parser) throws IOException, Malformed {
        expect(parser, JsonToken.START_OBJECT, "its JSON");
        Map<String, Object> map = new LinkedHashMap<>();
        for (String name = nextName(parser); name != null; name = nextName(parser)) {
            if (map.containsKey(name)) {
                throw new Malformed("\"" + SafeTensorsException.shortened(name) + "\" stands twice in one object");
            }
            parser.nextToken();
            map.put(name, value(parser));
        }
        return map;
    }

    /** Writes names and values of {@link #value}'s kinds, indented by two spaces as Python's json.dumps does. */
    static byte[] indented(Map<String, ?> object) {
        StringWriter text = new StringWriter();
        try (JsonGenerator generator = FACTORY.createGenerator(text)) {
            DefaultIndenter lines = new DefaultIndenter("  ", "\n");
            DefaultPrettyPrinter printer = new DefaultPrettyPrinter(
                    Separators.createDefaultInstance().withObjectFieldValueSpacing(Separators.Spacing.AFTER)
                            .withObjectEmptySeparator("").withArrayEmptySeparator(""));
            printer.indentObjectsWith(lines);
            printer.indentArraysWith(lines);
            generator.setPrettyPrinter(printer);
            write(generator, object);
        } catch (IOException e) {
            throw new IllegalStateException(e); // a StringWriter throws none
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void write(JsonGenerator generator, Object value) throws IOException {
        switch (value) {
            case null -> generator.writeNull();
            case Map<?, ?> map -> {
                generator.writeStartObject();
                for (Map.Entry<?, ?> e : map.entrySet()) {
                    generator.writeFieldName((String) e.getKey());
                    write(generator, e.getValue());
                }
                generator.writeEndObject();
            }
            case List<?> list -> {
                generator.writeStartArray();
                for (Object element : list) {
                    write(generator, element);
                }
                generator.writeEndArray();
            }
            case String text -> generator.writeString(text);
            case Boolean b -> generator.writeBoolean(b);
            case Long n -> generator.writeNumber(n);
            case BigInteger n -> generator.writeNumber(n);
            case BigDecimal x -> generator.writeNumber(x);
            default -> throw new IllegalArgumentException(value.getClass() + " has no form in JSON");
        }
    }

    /** A generator of compact JSON. */
    static JsonGenerator compact(StringWriter text) throws IOException {
        return FACTORY.createGenerator(text);
    }
}
