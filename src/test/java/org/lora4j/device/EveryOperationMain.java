package org.lora4j.device;

import java.util.Random;

import org.lora4j.Reference;
import org.lora4j.Types;

/** Runs every native operation once in each type, checks it by its identity and writes the device's description and origin. */
final class EveryOperationMain {
    private static final int N = 40;

    private EveryOperationMain() {}

    public static void main(String[] args) {
        try (HostDevice device = HostDevice.open()) {
            for (DataType type : DataType.values()) {
                check(device, type);
            }
            System.out.println(device.description());
            System.out.println(device.libraryOrigin());
        }
    }

    static void check(Device device, DataType type) {
        double tolerance = 100 * type.unitRoundoff() * Math.sqrt(N);
        Reference a = Reference.random(N, N, type, new Random(7));
        Reference gram = a.times(a.transpose()).plus(N, Reference.identity(N));

        Matrix c = device.allocate(type, N, N);
        device.gemm(1, a.on(device, type), Op.NONE, a.on(device, type), Op.TRANSPOSE, 0, c);
        device.gemm(N, Reference.identity(N).on(device, type), Op.NONE, Reference.identity(N).on(device, type), Op.NONE, 1, c);
        gram.assertNear("gemm", Reference.of(c), tolerance);
        if (Types.isNarrow(type)) {
            return; // nothing else takes 16 bits
        }

        Matrix u = device.allocate(type, N, N);
        Matrix s = device.allocate(type, 1, N);
        Matrix vt = device.allocate(type, N, N);
        device.svd(a.on(device, type), u, s, vt);
        a.assertNear("svd", Reference.of(u).times(diagonal(s)).times(Reference.of(vt)), tolerance);

        Matrix q = a.on(device, type);
        Matrix r = device.allocate(type, N, N);
        device.qr(q, r);
        a.assertNear("qr", Reference.of(q).times(Reference.of(r)), tolerance);

        Matrix l = c;
        device.cholesky(l);
        gram.assertNear("cholesky", Reference.of(l).times(Reference.of(l).transpose()), tolerance);

        Matrix x = a.on(device, type);
        device.triangularSolve(Side.LEFT, Triangle.LOWER, Op.NONE, 1, l, x);
        a.assertNear("triangularSolve", Reference.of(l).times(Reference.of(x)), tolerance);

        Matrix vectors = gram.on(device, type);
        Matrix w = device.allocate(type, 1, N);
        device.symmetricEigen(vectors, w);
        gram.assertNear("symmetricEigen", Reference.of(vectors).transpose().times(diagonal(w)).times(Reference.of(vectors)), tolerance);
    }

    private static Reference diagonal(Matrix values) {
        double[] d = values.read();
        Reference a = Reference.zeros(d.length, d.length);
        for (int i = 0; i < d.length; i++) {
            a.data()[i * d.length + i] = d[i];
        }
        return a;
    }
}
