package org.lora4j;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Forward, backward and merge give what PEFT's LoRA layer gives in float64; the inputs are float32 numbers, which 16 bits don't hold. */
class LayerGoldenTest extends DeviceTest {
    @ParameterizedTest
    @MethodSource(Types.FULL)
    void layersAgreeWithPeft(DataType type) {
        for (JsonNode item : Golden.items("layers")) {
            try (Device device = opener.get()) {
                compare(item, device, type);
            }
        }
    }

    private static void compare(JsonNode item, Device device, DataType type) {
        String what = item.required("name").textValue() + " " + type;
        Reference x = Golden.matrix(item, "x"); // (b, n)
        Reference dy = Golden.matrix(item, "dy"); // (b, m)
        LayerReference inputs = new LayerReference(Golden.config(item), Golden.matrix(item, "weight"), Golden.matrix(item, "bias"),
                Golden.matrix(item, "loraA"), Golden.matrix(item, "loraB"));
        LoraLinear layer = inputs.on(device, type, x.rows());
        Matrix inX = layer.input(x.rows());
        Matrix inDy = layer.outputGradient(x.rows());
        Matrix y = Framed.nan(device, type, x.rows(), dy.cols()).inside();
        Matrix dx = Framed.nan(device, type, x.rows(), x.cols()).inside();
        inX.write(x.data());
        inDy.write(dy.data());
        layer.forward(inX, y);
        layer.backward(inX, inDy, dx);

        LayerReference magnitudes = inputs.magnitudes(); // bound the sums of magnitudes, to which rounding is relative
        Reference absX = x.magnitudes();
        Reference absDy = dy.magnitudes();
        int b = x.rows();
        int m = dy.cols();
        int n = x.cols();
        int r = inputs.config().rank();
        Golden.matrix(item, "y").assertClose(what + ", Y", Reference.of(y), type, n + r + 2, magnitudes.y(absX));
        Golden.matrix(item, "dx").assertClose(what + ", dX", Reference.of(dx), type, m + r + 1, magnitudes.dx(absDy));
        Golden.matrix(item, "dA").assertClose(what + ", dA", Reference.of(layer.gradA()), type, b + m + 1, magnitudes.dA(absX, absDy));
        Golden.matrix(item, "dB").assertClose(what + ", dB", Reference.of(layer.gradB()), type, b + n + 1, magnitudes.dB(absX, absDy));

        layer.merge();
        Golden.matrix(item, "merged").assertClose(what + ", merged weight", Reference.of(layer.weight()), type, r + 2,
                magnitudes.effectiveWeight());
        device.fill(y, Double.NaN);
        layer.forward(inX, y);
        Golden.matrix(item, "y").assertClose(what + ", merged Y", Reference.of(y), type, n + r + 2, magnitudes.y(absX));
    }
}
