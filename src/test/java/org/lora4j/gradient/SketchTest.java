package org.lora4j.gradient;

import org.lora4j.DeviceTest;
import org.lora4j.Reference;
import org.lora4j.device.DataType;
import org.lora4j.svd.SingularTriplets;

/** Tests of sketches of an M×N gradient, with what they measure. */
abstract class SketchTest extends DeviceTest {
    static final int M = 90;
    static final int N = 120;
    static final int L = 64;

    GradientSketch of(Streams s, DataType type, long seed) {
        GradientSketch sketch = new GradientSketch(device, type, s.dy().get(0).cols(), s.x().get(0).cols(), L, seed);
        s.feed(device, type, sketch::update);
        return sketch;
    }

    static void assertOrthonormal(SingularTriplets t, double tolerance) {
        Reference u = Reference.of(t.u());
        Reference vt = Reference.of(t.vt());
        Reference.identity(vt.rows()).assertNear("UᵀU", u.transpose().times(u), tolerance);
        Reference.identity(vt.rows()).assertNear("VᵀV", vt.times(vt.transpose()), tolerance);
    }

    /** ‖G − U·S·Vᵀ‖/‖G‖. */
    static double left(Reference g, SingularTriplets t) {
        Reference us = Reference.of(t.u());
        for (int i = 0; i < us.data().length; i++) {
            us.data()[i] *= t.values()[i % t.values().length];
        }
        return us.times(Reference.of(t.vt())).plus(-1, g).norm() / g.norm();
    }
}
