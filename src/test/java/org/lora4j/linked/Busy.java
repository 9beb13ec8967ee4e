package org.lora4j.linked;

import org.lora4j.device.DataType;
import org.lora4j.device.HostDevice;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** A program that is always in the middle of a product, each of which takes seconds on one thread. */
public final class Busy {
    private static final int SIZE = 4096;

    private Busy() {}

    public static void main(String[] args) {
        try (HostDevice device = HostDevice.open()) {
            Matrix a = device.allocate(DataType.FLOAT64, SIZE, SIZE);
            Matrix b = device.allocate(DataType.FLOAT64, SIZE, SIZE);
            System.out.println("busy");
            while (true) {
                device.gemm(1, a, Op.NONE, a, Op.NONE, 0, b);
            }
        }
    }
}
