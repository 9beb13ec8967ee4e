package org.lora4j;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

/** The values in golden.json, which golden.py made with PyTorch and PEFT. */
public final class Golden {
    private Golden() {}

    /** The items of a section, "layers" or "initialisers"; an item's name is in "name". */
    public static List<JsonNode> items(String section) {
        try (InputStream in = Golden.class.getResourceAsStream("golden/golden.json")) {
            JsonNode root = new ObjectMapper().readTree(in);
            if (root.path("format").asInt() != 1 || root.path(section).isEmpty()) {
                throw new IllegalStateException("golden.json has format " + root.path("format") + " and "
                        + root.path(section).size() + " items in " + section);
            }
            List<JsonNode> items = new ArrayList<>();
            root.get(section).forEach(items::add);
            return items;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The matrix at {@code key} of an item; null where the item has null. */
    public static Reference matrix(JsonNode item, String key) {
        JsonNode node = item.required(key);
        if (node.isNull()) {
            return null;
        }
        JsonNode data = node.required("data");
        Reference m = Reference.zeros(node.required("rows").intValue(), node.required("cols").intValue());
        if (data.size() != m.data().length) {
            throw new IllegalStateException(item.path("name") + ", " + key + ": " + data.size() + " values");
        }
        for (int i = 0; i < data.size(); i++) {
            m.data()[i] = data.get(i).doubleValue();
        }
        return m;
    }

    /** Rank, α and scaling of an item. */
    public static LoraConfig config(JsonNode item) {
        return new LoraConfig(item.required("r").intValue(), item.required("alpha").doubleValue(),
                Scaling.valueOf(item.required("scaling").textValue()));
    }
}
