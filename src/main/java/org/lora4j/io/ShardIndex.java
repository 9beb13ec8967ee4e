package org.lora4j.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** The {@code model.safetensors.index.json} of a model in several files: {"weight_map": {tensor: file in the same folder}, …}. */
final class ShardIndex {
    static final String SUFFIX = ".index.json";
    private static final String WEIGHT_MAP = "weight_map";

    private ShardIndex() {}

    /** The file of each tensor, in the index's order. */
    static Map<String, Path> read(Path index) throws IOException {
        TensorFile.checkRegular(index);
        if (Files.size(index) > TensorHeader.MAX_BYTES) {
            throw new SafeTensorsException(index, null, "an index of " + Files.size(index) + " bytes is over the limit of " + TensorHeader.MAX_BYTES);
        }
        Map<String, Object> json;
        try {
            json = Json.read(Files.readAllBytes(index), Json::object);
        } catch (Json.Malformed e) {
            throw new SafeTensorsException(index, null, e.getMessage());
        }
        if (!(json.get(WEIGHT_MAP) instanceof Map<?, ?> map)) {
            throw new SafeTensorsException(index, null, "it has no object " + WEIGHT_MAP);
        }
        Path folder = index.toAbsolutePath().normalize().getParent();
        Map<String, Path> files = new LinkedHashMap<>();
        for (Map.Entry<?, ?> e : map.entrySet()) {
            files.put((String) e.getKey(), shard(index, folder, (String) e.getKey(), e.getValue()));
        }
        return files;
    }

    private static Path shard(Path index, Path folder, String tensor, Object name) throws SafeTensorsException {
        if (!(name instanceof String text)) {
            throw new SafeTensorsException(index, tensor, "its file is not named by a string");
        }
        String shown = "its file \"" + SafeTensorsException.shortened(text) + "\"";
        Path file;
        try {
            file = folder.resolve(text).normalize();
        } catch (InvalidPathException e) {
            throw new SafeTensorsException(index, tensor, shown + " is no path: " + e.getReason());
        }
        if (Path.of(text).isAbsolute() || !file.startsWith(folder) || file.equals(folder)) {
            throw new SafeTensorsException(index, tensor, shown + " is outside the index's folder");
        }
        if (!Files.isRegularFile(file)) {
            throw new SafeTensorsException(index, tensor, shown + " is missing");
        }
        return file;
    }
}
