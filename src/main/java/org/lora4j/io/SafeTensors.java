package org.lora4j.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

import org.lora4j.file.AtomicFile;

/**
 * The tensors of a safetensors file, or of the several files of one model, mapped into memory: opening reads headers only,
 * and a file may be larger than memory.
 *
 * <p>Opening checks every rule of the format: the header's length and JSON, names, types, and that the tensors' ranges fit
 * their shapes and cover the data without gap or overlap. A field that the format does not know is refused. Any thread may
 * read; an interrupted thread closes the files for all (as with any {@link java.nio.channels.FileChannel}).
 *
 * @see <a href="https://github.com/huggingface/safetensors">the format</a>
 */
public final class SafeTensors implements AutoCloseable {
    private static final String MODEL = "model.safetensors";

    private final Map<Path, TensorFile> files = new LinkedHashMap<>();
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Path path;

    private SafeTensors(Path path) {
        this.path = path;
    }

    /**
     * Opens a safetensors file; or the index of a model's files, whose name ends in {@code .index.json}; or a model's folder,
     * which has {@code model.safetensors.index.json} or {@code model.safetensors}. Of a model in several files, the tensors
     * are those that its index names.
     *
     * @throws SafeTensorsException when a file breaks the format's rules, a file or tensor that an index names is missing, or
     *     an index names a file outside its folder
     * @throws IOException when a file can't be read
     */
    public static SafeTensors open(Path path) throws IOException {
        Path file = path;
        if (Files.isDirectory(path)) {
            file = path.resolve(MODEL + ShardIndex.SUFFIX);
            file = Files.exists(file) ? file : path.resolve(MODEL);
        }
        SafeTensors opened = new SafeTensors(file);
        try {
            if (file.toString().endsWith(ShardIndex.SUFFIX)) {
                opened.openShards();
            } else {
                opened.openFile(file).header.entries().forEach(e -> opened.add(opened.files.get(opened.path), e));
            }
            return opened;
        } catch (IOException | RuntimeException | Error e) {
            opened.close();
            throw e;
        }
    }

    private void openShards() throws IOException {
        Map<String, Path> index = ShardIndex.read(path);
        Map<Path, Map<String, TensorHeader.Entry>> entries = new LinkedHashMap<>();
        for (Path shard : new LinkedHashSet<>(index.values())) {
            Map<String, TensorHeader.Entry> byName = new LinkedHashMap<>();
            openFile(shard).header.entries().forEach(e -> byName.put(e.name(), e));
            entries.put(shard, byName);
        }
        for (Map.Entry<String, Path> e : index.entrySet()) {
            TensorHeader.Entry entry = entries.get(e.getValue()).get(e.getKey());
            if (entry == null) {
                throw new SafeTensorsException(e.getValue(), e.getKey(), "the index " + path.getFileName() + " names it, but this file has no such tensor");
            }
            add(files.get(e.getValue()), entry);
        }
    }

    private TensorFile openFile(Path file) throws IOException {
        TensorFile opened = TensorFile.open(file);
        files.put(file, opened);
        opened.header.metadata().forEach(metadata::putIfAbsent);
        return opened;
    }

    private void add(TensorFile file, TensorHeader.Entry entry) {
        tensors.put(entry.name(), new Tensor(file, entry));
    }

    /** The file or index that was opened. */
    public Path path() {
        return path;
    }

    /** The free texts of the file; of several files, the first that has a name says what it means. */
    public Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    /** The names of the tensors, in the order of {@link #tensors()}. */
    public Set<String> names() {
        return Collections.unmodifiableSet(tensors.keySet());
    }

    /** All tensors, in the order of their data in the file, or in the order of the index. */
    public Collection<Tensor> tensors() {
        return Collections.unmodifiableCollection(tensors.values());
    }

    /** The tensor of a name, if there is one. */
    public Optional<Tensor> find(String name) {
        return Optional.ofNullable(tensors.get(name));
    }

    /**
     * The tensor of a name.
     *
     * @throws SafeTensorsException when there is none
     */
    public Tensor tensor(String name) throws SafeTensorsException {
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new SafeTensorsException(path, name, "there is no such tensor among its " + tensors.size());
        }
        return tensor;
    }

    /**
     * Writes a safetensors file, laid out as the format's reference does: data by type, the widest first, then by name, from
     * a multiple of 8 bytes on. The elements are taken from each tensor in turn and pass through a small buffer.
     *
     * <p>All is written to a temporary file in the same folder, forced to the disk, and renamed: at any time {@code file} is
     * what it was before or complete, and a failure leaves what it was. A process that is killed meanwhile leaves a hidden
     * file {@code .….part} behind. A symbolic link is replaced, not followed.
     *
     * @param file replaced if it exists; may be the file that the tensors come from
     * @param tensors in any order
     * @param metadata free texts; empty for none
     * @throws IllegalArgumentException when a name is none (half of a surrogate pair, {@code __metadata__}), the header would
     *     be over the format's 100 MB, or the sizes overflow
     * @throws IllegalStateException when a source gives more or fewer bytes than its type and shape take
     */
    public static void write(Path file, Map<String, ? extends TensorData> tensors, Map<String, String> metadata) throws IOException {
        try (AtomicFile target = AtomicFile.create(file)) {
            new SafeTensorsWriter(tensors, metadata).writeTo(target);
            target.commit();
        }
    }

    /** Ends the mappings and closes the files. Closing again does nothing. */
    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (TensorFile file : files.values()) {
            try {
                file.close();
            } catch (IOException e) {
                failure = e;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
