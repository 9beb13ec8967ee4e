package org.lora4j.device;

import java.util.Arrays;

import org.lora4j.linked.Multiply;

/**
 * lora4j and ND4J in one JVM, in the order of the arguments: each loads its libraries and multiplies. Then every
 * operation of lora4j is checked, and both multiply again. ND4J is called by reflection, so nothing here is compiled
 * against it.
 */
final class Nd4jMain {
    private Nd4jMain() {}

    public static void main(String[] args) throws ReflectiveOperationException {
        for (String arg : args) {
            if (arg.equals("lora4j")) {
                multiply();
            } else {
                multiplyOnNd4j();
            }
        }
        try (HostDevice device = HostDevice.open()) {
            for (DataType type : DataType.values()) {
                EveryOperationMain.check(device, type);
            }
        }
        multiplyOnNd4j();
        multiply();
    }

    private static void multiply() {
        try (HostDevice device = HostDevice.open()) {
            System.out.println(Multiply.multiply(device));
        }
    }

    private static void multiplyOnNd4j() throws ReflectiveOperationException {
        Class<?> array = Class.forName("org.nd4j.linalg.api.ndarray.INDArray");
        var create = Class.forName("org.nd4j.linalg.factory.Nd4j").getMethod("createFromArray", float[][].class);
        Object a = create.invoke(null, (Object) new float[][] {{1, 2, 3}, {4, 5, 6}});
        Object b = create.invoke(null, (Object) new float[][] {{7, 8}, {9, 10}, {11, 12}});
        Object c = array.getMethod("mmul", array).invoke(a, b);
        float[][] product = (float[][]) array.getMethod("toFloatMatrix").invoke(c);
        if (!Arrays.deepEquals(product, new float[][] {{58, 64}, {139, 154}})) {
            throw new AssertionError("wrong product of ND4J: " + Arrays.deepToString(product));
        }
    }
}
