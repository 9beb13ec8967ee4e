package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

import org.lora4j.bench.Lora4jContender.Form;
import org.lora4j.device.Device;
import org.lora4j.device.HostDevice;

/** Everybody who takes part: this library first, then what it is compared with, then those peers that can be had. */
final class Contenders implements AutoCloseable {
    private interface Opener {
        Contender open() throws IOException;
    }

    /** Every peer. */
    static final Set<String> PEERS = Set.of("nd4j", "djl", "peft");

    private final List<Contender> all = new ArrayList<>();
    private final Set<String> wanted;
    private final Device device;
    private final Session session;
    private final Path target;

    /**
     * Opens them. ND4J is loaded before this library: then each uses the OpenBLAS that it came with.
     *
     * @param session is told who is there, and for each that isn't the reason
     * @param bench the folder of peft_peer.py
     * @param wanted the peers that take part if they can be had, of {@link #PEERS}
     */
    Contenders(Session session, int threads, String python, Path bench, Set<String> wanted) throws IOException {
        this.session = session;
        this.wanted = wanted;
        target = bench.resolve("target");
        session.absent.clear();
        List<Contender> peers = new ArrayList<>();
        open(peers, "nd4j", () -> new Nd4jContender(true, threads));
        open(peers, "nd4j", () -> new Nd4jContender(false, threads));
        device = HostDevice.open();
        open(peers, "djl", () -> new DjlContender(true, threads));
        open(peers, "djl", () -> new DjlContender(false, threads));
        open(peers, "peft", () -> new PeftContender(new PythonPeer(PythonPeer.executable(python), bench.resolve("peft_peer.py"), target.resolve("inputs"), threads)));
        for (Form form : Form.values()) {
            all.add(new Lora4jContender(device, form));
        }
        all.add(new SquareProduct(device));
        all.add(new ReadingMemory(device, threads));
        all.addAll(peers);
        session.descriptions.put("lora4j", device.description() + ", " + device.library());
        peers.forEach(peer -> session.descriptions.put(peer.name().replace(" usual", ""), peer.description()));
    }

    private void open(List<Contender> peers, String name, Opener opener) throws IOException {
        Path reason = target.resolve("absent").resolve(name); // bench/run could not get its natives
        if (!wanted.contains(name) || session.absent.containsKey(name)) {
            return;
        }
        if (Files.isRegularFile(reason)) {
            session.absent.put(name, Files.readString(reason).strip());
            return;
        }
        try {
            peers.add(opener.open());
        } catch (IOException | RuntimeException | LinkageError e) {
            session.absent.put(name, reasons(e));
        }
    }

    private static String reasons(Throwable e) {
        return e + (e.getCause() == null ? "" : ", because of " + reasons(e.getCause()));
    }

    List<Contender> all() {
        return all;
    }

    /** This library's device. */
    Device device() {
        return device;
    }

    /** PEFT's process, if it is there. */
    Optional<PythonPeer> python() {
        return all.stream().filter(PeftContender.class::isInstance).map(c -> ((PeftContender) c).python()).findFirst();
    }

    /** Measures the machine's ceilings once more; the session keeps the best. */
    void probe(int threads) throws IOException {
        session.seen("lora4j", Ceilings.gemmGflops(device));
        Optional<PythonPeer> there = python();
        if (there.isPresent()) {
            session.seen("PyTorch", there.get().gemmGflops(Ceilings.SIZE));
        }
        session.readGBs = Math.max(session.readGBs, Ceilings.readGBs(device, threads));
    }

    @Override
    public void close() {
        all.forEach(Contender::close);
        device.close();
    }
}
