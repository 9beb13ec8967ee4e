package org.lora4j.bench;

import java.io.IOException;
import java.nio.file.Path;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** The results for machines: each peer in its best form, ratio = the peer's time over ours; a peer that is absent is left out. */
final class Results {
    private static final String[] PEERS = {"nd4j", "djl", "peft"};

    private Results() {}

    static void write(Session session, Machine machine, Path file) throws IOException {
        ObjectMapper json = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
        ObjectNode root = json.createObjectNode();
        root.put("machine", machine.toString());
        double gflops = session.gemmCeiling();
        root.putObject("ceilings").put("gemmGflops", gflops).put("readGBs", session.readGBs);
        var items = root.putArray("items");
        for (Measured measured : session.items) {
            Item i = measured.item();
            ObjectNode node = items.addObject().put("work", i.work().toString()).put("b", i.b()).put("m", i.m()).put("n", i.n()).put("r", i.r())
                    .put("lora4jMs", measured.ours().median()).put("lowMs", measured.ours().low()).put("highMs", measured.ours().high())
                    .put("percentOfLimit", measured.percentOfLimit(gflops, session.readGBs));
            ObjectNode peers = node.putObject("peers");
            for (String peer : PEERS) {
                Interval ratio = measured.ratios().get(peer);
                if (ratio != null) {
                    peers.putObject(peer).put("ms", measured.others().get(peer).median()).put("ratio", ratio.median()).put("low", ratio.low())
                            .put("high", ratio.high());
                }
            }
        }
        if (!session.svd.isEmpty()) {
            root.putPOJO("svd", session.svd);
        }
        json.writeValue(file.toFile(), root);
    }
}
