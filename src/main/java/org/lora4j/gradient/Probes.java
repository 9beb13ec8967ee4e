package org.lora4j.gradient;

import java.util.Arrays;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.Certificate;

/**
 * G·Θ (m×p) and Gᵀ·Ξ (n×p) of all micro-batches for random signs Θ and Ξ. They are linear in G, and nothing else depends on
 * them: they estimate without bias how far triplets are from those of G (arXiv 1902.08651, section 6).
 */
final class Probes implements AutoCloseable {
    /** Below this the estimated residuals count as converged: sketches are for directions, not for digits. */
    private static final double TOLERANCE = 0.01;

    private final Device device;
    private final Matrix range; // G·Θ (m,p)
    private final Matrix coRange; // Gᵀ·Ξ (n,p)
    private final Matrix panel; // X·Θ or dY·Ξ of some rows of a micro-batch
    private final Matrix block; // some rows of Θ or Ξ
    private final SignMatrix theta;
    private final SignMatrix xi;

    Probes(Device device, DataType type, long m, long n, int p, long seed) {
        this.device = device;
        Matrix[] made = Allocations.all(device, type, new long[][] {{m, p}, {n, p}, {256, p}, {256, p}});
        range = made[0];
        coRange = made[1];
        panel = made[2];
        block = made[3];
        SignMatrix.Workspace workspace = new SignMatrix.Workspace(block);
        theta = new SignMatrix(seed, 1, workspace);
        xi = new SignMatrix(seed, 2, workspace);
    }

    /** Adds dYᵀ·X to G. */
    void update(Matrix x, Matrix dy) {
        for (long i = 0; i < x.rows(); i += panel.rows()) {
            long to = Math.min(i + panel.rows(), x.rows());
            Matrix xRows = x.rows(i, to);
            Matrix dyRows = dy.rows(i, to);
            Matrix image = panel.rows(0, to - i);
            theta.multiply(xRows, Op.NONE, image);
            device.gemm(1, dyRows, Op.TRANSPOSE, image, Op.NONE, 1, range); // G·Θ += dYᵀ·(X·Θ)
            xi.multiply(dyRows, Op.NONE, image);
            device.gemm(1, xRows, Op.TRANSPOSE, image, Op.NONE, 1, coRange); // Gᵀ·Ξ += Xᵀ·(dY·Ξ)
        }
    }

    /** Adds the G of {@code other}, which has the same seed. */
    void add(Probes other) {
        int p = columns();
        try (Matrix identity = device.allocate(range.type(), p, p)) {
            identity.write(SmallMatrix.identity(p).data());
            device.gemm(1, other.range, Op.NONE, identity, Op.NONE, 1, range);
            device.gemm(1, other.coRange, Op.NONE, identity, Op.NONE, 1, coRange);
        }
    }

    /**
     * The larger of ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ and ‖Gᵀ·uᵢ − σᵢ·vᵢ‖/σ₁, and 1 − ‖G − U·S·Vᵀ‖²/‖G‖², each estimated.
     *
     * @param u m×k
     * @param vt k×n
     */
    Certificate certificate(Matrix u, double[] values, Matrix vt, int passes) {
        Batches.checkFinite("sketch of the gradient", range);
        Batches.checkFinite("sketch of the gradient", coRange);
        int k = values.length;
        SmallMatrix vTheta; // VᵀΘ (k,p)
        SmallMatrix uImage; // UᵀGΘ
        SmallMatrix uXi; // UᵀΞ
        SmallMatrix vImage; // VᵀGᵀΞ
        try (Matrix product = device.allocate(u.type(), k, columns())) {
            theta.multiply(vt, Op.NONE, product);
            vTheta = SmallMatrix.of(product);
            device.gemm(1, u, Op.TRANSPOSE, range, Op.NONE, 0, product);
            uImage = SmallMatrix.of(product);
            xi.multiply(u, Op.TRANSPOSE, product);
            uXi = SmallMatrix.of(product);
            device.gemm(1, vt, Op.NONE, coRange, Op.NONE, 0, product);
            vImage = SmallMatrix.of(product);
        }
        SmallMatrix ofGt = vTheta.scaledRows(values).plus(-1, uImage); // (σV − GᵀU)ᵀΘ
        SmallMatrix ofG = uXi.scaledRows(values).plus(-1, vImage); // (σU − GV)ᵀΞ
        double all2 = device.dot(range, range) + device.dot(coRange, coRange);
        double left2 = all2; // ‖(G − U·S·Vᵀ)Θ‖² = ‖GΘ‖² − 2⟨UᵀGΘ, S·VᵀΘ⟩ + ‖S·VᵀΘ‖², and the same for Ξ
        double[] residuals = new double[k];
        for (int i = 0; i < k; i++) {
            residuals[i] = values[0] == 0 ? 0 : Math.sqrt(Math.max(ofGt.meanSquare(i), ofG.meanSquare(i))) / values[0];
            for (int j = 0; j < columns(); j++) {
                left2 += values[i] * vTheta.at(i, j) * (values[i] * vTheta.at(i, j) - 2 * uImage.at(i, j));
                left2 += values[i] * uXi.at(i, j) * (values[i] * uXi.at(i, j) - 2 * vImage.at(i, j));
            }
        }
        boolean converged = Arrays.stream(residuals).allMatch(r -> r <= TOLERANCE);
        return new Certificate(residuals, all2 == 0 ? 1 : Math.max(0, 1 - left2 / all2), 2 * passes, passes, converged);
    }

    /** p. */
    int columns() {
        return (int) range.cols();
    }

    Matrix range() {
        return range;
    }

    Matrix coRange() {
        return coRange;
    }

    @Override
    public void close() {
        Allocations.close(range, coRange, panel, block);
    }
}
