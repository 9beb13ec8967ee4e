package org.lora4j;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * A matrix amid a larger one, so that reading or writing outside of it is seen.
 *
 * @param whole the larger matrix, which holds one number everywhere outside
 * @param inside the matrix
 */
public record Framed(Matrix whole, Matrix inside) {
    private static final double FRAME = 61440; // 15·2¹², which every type holds
    private static final int TOP = 1;
    private static final int LEFT = 2;

    public static Framed of(Device device, DataType type, Reference values) {
        Matrix whole = device.allocate(type, TOP + values.rows() + 2, LEFT + values.cols() + 3);
        device.fill(whole, FRAME);
        Matrix inside = whole.view(TOP, TOP + values.rows(), LEFT, LEFT + values.cols());
        inside.write(values.data());
        return new Framed(whole, inside);
    }

    /** With NaN inside, for a result that is to be overwritten. */
    public static Framed nan(Device device, DataType type, long rows, long cols) {
        Framed f = of(device, type, Reference.zeros((int) rows, (int) cols));
        device.fill(f.inside, Double.NaN);
        return f;
    }

    public void assertFrameUnchanged(String what) {
        Reference all = Reference.of(whole);
        for (int i = 0; i < all.rows(); i++) {
            for (int j = 0; j < all.cols(); j++) {
                boolean in = i >= TOP && i < TOP + inside.rows() && j >= LEFT && j < LEFT + inside.cols();
                if (!in) {
                    assertEquals(FRAME, all.at(i, j), what + ": element (" + (i - TOP) + ", " + (j - LEFT) + "), outside of the matrix");
                }
            }
        }
    }
}
