package org.lora4j.svd;

import java.util.Arrays;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/** All singular triplets by {@link Device#svd}, of which the leading ones are kept. Costs O(m·n·min(m, n)). */
public final class ExactSvd implements TopSvd {
    /** It has no settings. */
    public ExactSvd() {}

    @Override
    public SingularTriplets top(Matrix g, int k, long seed) {
        Triplets.checkCount(g, k);
        Device device = g.device();
        DataType type = g.type();
        long min = Math.min(g.rows(), g.cols());
        Matrix leadingU = device.temporary(type, g.rows(), k);
        Matrix leadingVt = null;
        try (Matrix u = device.temporary(type, g.rows(), min);
                Matrix s = device.temporary(type, 1, min);
                Matrix vt = device.temporary(type, min, g.cols());
                Matrix gv = device.temporary(type, g.rows(), k)) {
            leadingVt = device.temporary(type, k, g.cols());
            device.svd(g, u, s, vt);
            double[] values = s.read();
            int rank = Triplets.numericalRank(values, g);
            device.copy(u.columns(0, k), leadingU);
            device.copy(vt.rows(0, k), leadingVt);
            if (rank < k) {
                Triplets.complete(leadingU, leadingVt, rank, seed);
            }
            Triplets.fixSigns(leadingVt, i -> leadingU.columns(i, i + 1));
            double[] leading = Arrays.copyOf(values, k);
            device.gemm(1, g, Op.NONE, leadingVt, Op.TRANSPOSE, 0, gv);
            Certificate certificate = new Certificate(Residuals.of(gv, leadingU, leading), Residuals.capturedEnergy(leading, g, device.dot(g, g)), 0, 0, true);
            return new SingularTriplets(leadingU, leading, leadingVt, rank, certificate);
        } catch (RuntimeException e) {
            leadingU.close();
            if (leadingVt != null) {
                leadingVt.close();
            }
            throw e;
        }
    }
}
