package org.lora4j.linked;

import java.util.Arrays;

import org.lora4j.device.DataType;
import org.lora4j.device.HostDevice;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** A program that links the library and uses nothing but its public API: opens the host, multiplies, tells the device. */
public final class Multiply {
    private Multiply() {}

    public static void main(String[] args) {
        try (HostDevice device = HostDevice.open()) {
            System.out.println(multiply(device));
        }
    }

    /** The device's description and where its library is from, after a product that must be exact. */
    public static String multiply(HostDevice device) {
        Matrix a = device.allocate(DataType.FLOAT32, 2, 3);
        Matrix b = device.allocate(DataType.FLOAT32, 3, 2);
        Matrix c = device.allocate(DataType.FLOAT32, 2, 2);
        a.write(1, 2, 3, 4, 5, 6);
        b.write(7, 8, 9, 10, 11, 12);
        c.write(Double.NaN, Double.NaN, Double.NaN, Double.NaN);
        device.gemm(1, a, Op.NONE, b, Op.NONE, 0, c);
        double[] product = c.read();
        if (!Arrays.equals(product, new double[] {58, 64, 139, 154})) {
            throw new AssertionError("wrong product: " + Arrays.toString(product));
        }
        return device.description() + ", " + device.libraryOrigin();
    }
}
