package org.lora4j.gradient;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.Certificate;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/**
 * Singular triplets from what both sides of G were multiplied with: G·Ω (m×l) and Gᵀ·Ψ (n×l), and from the bases Q (m×c)
 * and P (n×c) of their leading singular vectors. The core C ≈ QᵀGP is where both agree best,
 * <pre>
 *     min ‖(ΨᵀQ)·C − (GᵀΨ)ᵀP‖² + ‖C·(PᵀΩ) − Qᵀ(GΩ)‖²      (Frobenius)
 * </pre>
 * the one-sided least squares of arXiv 1609.00048 (section 4) with both sketches in their roles at once. Its normal
 * equations are a symmetric Sylvester equation. The last {@code probes} columns of all four take no part: they estimate
 * the error (arXiv 1902.08651, section 6).
 *
 * @param left ΨᵀQ (l×c)
 * @param leftImage (GᵀΨ)ᵀP (l×c)
 * @param right PᵀΩ (c×l)
 * @param rightImage Qᵀ(GΩ) (c×l)
 * @param error2 ‖G·Θ‖² and ‖Gᵀ·Ξ‖² of the probes Θ, Ξ, added
 */
record TwoSided(SmallMatrix left, SmallMatrix leftImage, SmallMatrix right, SmallMatrix rightImage, int probes, double error2) {
    /** Below this the estimated residuals count as converged: sketches are for directions, not for digits. */
    static final double TOLERANCE = 0.01;

    /** Triplets in the coordinates of the bases: u (c×k), v (k×c), their estimated residuals and what they leave of G. */
    private record Candidate(SmallMatrix u, double[] values, SmallMatrix vt, double[] residuals, double left2) {}

    /**
     * The {@code k} leading triplets, from the first {@code sizes[i]} vectors of both bases, for the i that leaves the
     * least of G according to the probes.
     *
     * @param unit what G was divided by
     */
    SingularTriplets triplets(Matrix q, Matrix p, int k, int[] sizes, double unit, int passes) {
        Device device = q.device();
        Candidate best = null;
        for (int c : sizes) {
            Candidate candidate = candidate(device, c, k);
            best = best == null || candidate.left2 < best.left2 ? candidate : best;
        }
        int c = best.u.rows();
        Matrix[] made = Allocations.all(device, q.type(), new long[][] {{q.rows(), k}, {k, p.rows()}});
        Matrix u = made[0];
        Matrix vt = made[1];
        try (Matrix small = device.allocate(q.type(), c, k); Matrix smallT = device.allocate(q.type(), k, c)) {
            small.write(best.u.data());
            smallT.write(best.vt.data());
            device.gemm(1, q.columns(0, c), Op.NONE, small, Op.NONE, 0, u);
            device.gemm(1, smallT, Op.NONE, p.columns(0, c), Op.TRANSPOSE, 0, vt);
            fixSigns(u, vt);
            double captured = error2 == 0 ? 1 : Math.max(0, 1 - best.left2 / error2);
            boolean converged = true;
            for (double residual : best.residuals) {
                converged &= residual <= TOLERANCE;
            }
            Certificate certificate = new Certificate(best.residuals, captured, 2 * passes, passes, converged);
            double[] values = best.values.clone();
            int rank = rank(values, q, p);
            for (int i = 0; i < k; i++) {
                values[i] *= unit;
            }
            return new SingularTriplets(u, values, vt, rank, certificate);
        } catch (RuntimeException e) {
            u.close();
            vt.close();
            throw e;
        }
    }

    private Candidate candidate(Device device, int c, int k) {
        int l = left.rows() - probes;
        SmallMatrix core = solve(device, left.rows(0, l).columns(0, c), leftImage.rows(0, l).columns(0, c),
                right.rows(0, c).columns(0, l), rightImage.rows(0, c).columns(0, l));
        try (Matrix on = core.on(device); SingularTriplets t = new ExactSvd().top(on, k, 0)) {
            SmallMatrix u = SmallMatrix.of(t.u());
            SmallMatrix vt = SmallMatrix.of(t.vt());
            int all = left.rows();
            SmallMatrix vTheta = vt.times(right.rows(0, c).columns(l, all)); // VᵀΘ (k,probes)
            SmallMatrix uImage = u.transpose().times(rightImage.rows(0, c).columns(l, all)); // UᵀGΘ
            SmallMatrix uXi = u.transpose().times(left.rows(l, all).columns(0, c).transpose()); // UᵀΞ
            SmallMatrix vImage = vt.times(leftImage.rows(l, all).columns(0, c).transpose()); // VᵀGᵀΞ
            SmallMatrix ofGt = vTheta.scaledMinus(t.values(), uImage); // (σV − GᵀU)ᵀΘ
            SmallMatrix ofG = uXi.scaledMinus(t.values(), vImage); // (σU − GV)ᵀΞ
            double[] residuals = new double[k];
            double left2 = error2;
            for (int i = 0; i < k; i++) {
                double sigma = t.values()[i];
                residuals[i] = t.values()[0] == 0 ? error2 == 0 ? 0 : Double.POSITIVE_INFINITY : Math.sqrt(Math.max(ofGt.meanSquare(i), ofG.meanSquare(i))) / t.values()[0];
                for (int j = 0; j < probes; j++) { // ‖(G − U·S·Vᵀ)Θ‖² = ‖GΘ‖² − 2⟨UᵀGΘ, S·VᵀΘ⟩ + ‖S·VᵀΘ‖², and the same for Ξ
                    left2 += sigma * vTheta.at(i, j) * (sigma * vTheta.at(i, j) - 2 * uImage.at(i, j));
                    left2 += sigma * uXi.at(i, j) * (sigma * uXi.at(i, j) - 2 * vImage.at(i, j));
                }
            }
            return new Candidate(u, t.values(), vt, residuals, left2);
        }
    }

    /** The C that minimises ‖M·C − R‖² + ‖C·N − S‖²: (MᵀM)·C + C·(NNᵀ) = MᵀR + SNᵀ in the eigenbases of both sides. */
    private static SmallMatrix solve(Device device, SmallMatrix m, SmallMatrix r, SmallMatrix n, SmallMatrix s) {
        int c = m.cols();
        try (Matrix qa = m.transpose().times(m).on(device); Matrix qb = n.times(n.transpose()).on(device);
                Matrix wa = new SmallMatrix(1, c, new double[c]).on(device); Matrix wb = new SmallMatrix(1, c, new double[c]).on(device)) {
            device.symmetricEigen(qa, wa);
            device.symmetricEigen(qb, wb);
            SmallMatrix a = SmallMatrix.of(qa);
            SmallMatrix b = SmallMatrix.of(qb);
            double[] alpha = wa.read();
            double[] beta = wb.read();
            SmallMatrix x = a.times(m.transpose().times(r).plus(s.times(n.transpose()))).times(b.transpose());
            double floor = 1e-10 * (alpha[c - 1] + beta[c - 1]);
            for (int i = 0; i < c * c; i++) {
                double sum = alpha[i / c] + beta[i % c];
                x.data()[i] = sum > floor ? x.data()[i] / sum : 0;
            }
            return a.transpose().times(x).times(b);
        }
    }

    static int rank(double[] values, Matrix q, Matrix p) {
        double threshold = 8 * q.type().unitRoundoff() * Math.sqrt(Math.max(q.rows(), p.rows())) * values[0];
        int rank = 0;
        while (rank < values.length && values[rank] > threshold) {
            rank++;
        }
        return rank;
    }

    /** Gives each pair the sign that makes the entry of v of largest magnitude positive. */
    static void fixSigns(Matrix u, Matrix vt) {
        Device device = u.device();
        for (long i = 0; i < u.cols(); i++) {
            Matrix v = vt.rows(i, i + 1);
            if (device.largest(v) < 0) {
                device.scale(-1, v);
                device.scale(-1, u.columns(i, i + 1));
            }
        }
    }
}
