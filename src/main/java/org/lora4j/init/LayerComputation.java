package org.lora4j.init;

import org.lora4j.LoraLinear;
import org.lora4j.analysis.FirstOrderAlignment;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Starts one layer of a model on the device: from its host memory, and back there. Nothing stays on the device. */
final class LayerComputation {
    private final ModelInitializer settings;
    private final LoadedLayer host;
    private final ModelLayer shape;
    private final DataType type; // that the device computes in

    LayerComputation(ModelInitializer settings, LoadedLayer host) {
        this.settings = settings;
        this.host = host;
        this.shape = host.layer;
        DataType weightType = shape.weight().type();
        type = host.factorType == weightType ? weightType : weightType.accumulation();
    }

    LayerStart run(int index) {
        long seed = ModelInitializer.seedOf(settings.seed(), shape.name());
        try (LoraLinear layer = new LoraLinear(settings.device(), shape.config(), type, shape.outFeatures(), shape.inFeatures(), false, 1);
                Matrix gradient = gradient()) {
            Transfers.in(host.weight, shape.weight().type(), layer.weight());
            Initialization start = settings.method().of(shape, gradient, seed).initialize(layer);
            if (host.factorType.unitRoundoff() > type.unitRoundoff()) {
                roundFactors(layer);
            }
            double alignment = settings.alignment() && gradient != null
                    ? FirstOrderAlignment.of(gradient, layer.loraA(), layer.loraB()).cosine() : Double.NaN;
            Transfers.out("A0", layer.loraA(), host.a, host.factorType);
            Transfers.out("B0", layer.loraB(), host.b, host.factorType);
            Transfers.out("W_fz", layer.weight(), host.weight, shape.weight().type());
            return new LayerStart(shape, index, seed, start, alignment, host.weight, host.factorType, host.a, host.b);
        }
    }

    /** The gradient on the device, of a type that the layer takes; null where there is none. */
    private Matrix gradient() {
        if (shape.gradient() == null) {
            return null;
        }
        DataType stored = shape.gradient().type();
        Device device = settings.device();
        Matrix gradient = device.allocate(stored == type ? type : type.accumulation(), shape.outFeatures(), shape.inFeatures());
        try {
            Transfers.in(host.gradient, stored, gradient);
            return gradient;
        } catch (RuntimeException e) {
            gradient.close();
            throw e;
        }
    }

    /** A, B ← A0, B0 rounded as they are handed over, and W_fz ← W0 − η·B·A with those, from the W0 that was read. */
    private void roundFactors(LoraLinear layer) {
        DataType weightType = shape.weight().type();
        try (Matrix a = rounded("A0", layer.loraA()); Matrix b = rounded("B0", layer.loraB())) {
            layer.device().fill(layer.loraA(), 0);
            layer.device().fill(layer.loraB(), 0);
            Transfers.in(host.weight, weightType, layer.weight());
            layer.prefill(a, b);
        }
    }

    private Matrix rounded(String what, Matrix factor) {
        Transfers.checkRange(what, factor, host.factorType);
        try (Matrix narrow = factor.temporaryCopy(host.factorType)) {
            return narrow.temporaryCopy(type);
        }
    }
}
