package org.lora4j.gradient;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/** Several matrices or none. */
final class Allocations {
    private Allocations() {}

    /** Matrices of the given {rows, columns}; where one can't be had, those before it are freed again. */
    static Matrix[] all(Device device, DataType type, long[][] shapes) {
        Matrix[] made = new Matrix[shapes.length];
        try {
            for (int i = 0; i < shapes.length; i++) {
                made[i] = device.allocate(type, shapes[i][0], shapes[i][1]);
            }
            return made;
        } catch (RuntimeException e) {
            close(made);
            throw e;
        }
    }

    /** Closes those that are not null; nothing for null. */
    static void close(Matrix... matrices) {
        for (Matrix m : matrices == null ? new Matrix[0] : matrices) {
            if (m != null) {
                m.close();
            }
        }
    }
}
