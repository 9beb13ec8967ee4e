package org.lora4j.cli;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

import org.lora4j.LoraLinear;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.init.LayerStart;
import org.lora4j.io.AdapterModule;
import org.lora4j.io.TensorData;
import org.lora4j.io.TensorType;

/**
 * A0 and B0 of a module. Nothing else of its start is kept: the frozen weight is worked out again whenever it is written, so
 * that no more than one is in memory.
 */
record AdapterStart(Target target, AdapterModule module) {
    /** Copies the factors of a start. */
    static AdapterStart of(Target target, LayerStart start) {
        TensorType type = TensorType.of(start.factorType());
        int r = start.layer().config().rank();
        return new AdapterStart(target, new AdapterModule(target.module(), start.layer().config(),
                TensorData.of(type, copy(start.a()), r, target.cols()), TensorData.of(type, copy(start.b()), target.rows(), r)));
    }

    private static MemorySegment copy(MemorySegment values) {
        return Arena.ofAuto().allocate(values.byteSize(), 8).copyFrom(values);
    }

    /** W0 − η·B0·A0 in the weight's own type, worked out when it is read, which the progress is told. */
    TensorData frozenWeight(Device device, Progress progress) {
        TensorType type = target.weight().type();
        return TensorData.of(type, sink -> {
            try (LoraLinear layer = new LoraLinear(device, module.config(), type == TensorType.F64 ? DataType.FLOAT64 : DataType.FLOAT32, target.rows(),
                    target.cols(), false, 1)) {
                prefill(layer);
                TensorData.of(layer.weight()).as(type).writeTo(sink);
                progress.step(target.module(), target.rows() * target.cols());
            }
        }, target.rows(), target.cols());
    }

    private void prefill(LoraLinear layer) throws IOException {
        int r = module.config().rank();
        try (Matrix a0 = layer.device().temporary(layer.type(), r, target.cols()); Matrix b0 = layer.device().temporary(layer.type(), target.rows(), r)) {
            target.weight().copyTo(layer.weight());
            module.a().copyTo(a0);
            module.b().copyTo(b0);
            layer.prefill(a0, b0);
        }
    }
}
