package org.lora4j.init;

import org.lora4j.LoraLinear;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * OLoRA (Büyükakyüz, arXiv 2406.01775): with the QR factorisation W = Q·R, B0 is the first r columns of Q and A0 the
 * first r rows of R. R's diagonal is positive here, which makes the start unique.
 */
public record Olora() implements Initializer {
    @Override
    public Initialization initialize(LoraLinear layer) {
        int r = layer.config().rank();
        Starts.checkUnmerged(layer);
        Starts.checkRank(layer, r, "columns of Q");
        double weightNorm = Starts.checkWeight(layer);
        Device device = layer.device();
        try (Matrix w = Starts.effectiveWeight(layer);
                Matrix q = device.temporary(layer.type().accumulation(), layer.outFeatures(), r);
                Matrix triangle = device.temporary(layer.type().accumulation(), r, r);
                Matrix a0 = device.temporary(layer.type().accumulation(), r, layer.inFeatures())) {
            device.copy(w.columns(0, r), q);
            device.qr(q, triangle); // Q's first r columns need no more than W's first r
            device.gemm(1, q, Op.TRANSPOSE, w, Op.NONE, 0, a0);
            return Starts.prefill(layer, a0, q, "olora", null, weightNorm);
        }
    }
}
