package org.lora4j.gradient;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.device.Side;
import org.lora4j.device.Triangle;
import org.lora4j.svd.ExactSvd;
import org.lora4j.svd.SingularTriplets;

/**
 * The most plausible G (m×n) behind Y = G·Ω (m×l) and Z = Gᵀ·Ψ (n×l), in small matrices only.
 *
 * <p>G is taken for A^½·W·B^½ with independent normal numbers W, and A (m×m), B (n×n) for what the sketches say of √(GGᵀ)
 * and √(GᵀG). The mean of such G for given Y and Z is
 * <pre>
 *     Ĝ = Y·Rᵀ + L·Zᵀ − L·(ΨᵀY)·Rᵀ      R = BΩ(ΩᵀBΩ)⁻¹ (n×l)      L = AΨ(ΨᵀAΨ)⁻¹ (m×l)
 * </pre>
 * because W is known on the range of B^½Ω and on the co-range of A^½Ψ, and nothing is known of the rest. With the singular
 * value decomposition Y = Q·S·…, A = Q·(S²·n/l + f²)ᵖ·Qᵀ + f²ᵖ·(I − QQᵀ) for random Ω, f² being the mean square of G's singular
 * values behind the k-th; and the same for B. Where Ω and Ψ are bases of what G mostly is, A = B = I: what is left,
 * (I − ΨΨᵀ)·G·(I − ΩΩᵀ), is small and taken for 0. Ω and Ψ are made orthonormal first. Columns that take no part estimate
 * the error (arXiv 1902.08651, section 6).
 *
 * @param left [Ψ, Y]ᵀ[Ψ, Y] (2l×2l)
 * @param right [Ω, Z]ᵀ[Ω, Z] (2l×2l)
 * @param sampling how many of the l columns, the first ones, take part
 * @param random whether Ω and Ψ are random
 */
record TwoSided(Device device, SmallMatrix left, SmallMatrix right, long m, long n, int sampling, boolean random) {
    /** Singular values of Y and Z below this times the largest one are rounding: what a Gram matrix can tell in float64. */
    static final double NEGLIGIBLE = 1e-6;
    /** p. ½ is what A and B mean; a little more was better on a transformer's gradients, because Ĝ shrinks. */
    private static final double POWER = 0.65;

    /**
     * The leading triplets of Ĝ, at most {@code k}, without those that are not above rounding.
     *
     * @param u coordinates (2·sampling×found): U = [Ψ, Y]·u
     * @param v coordinates (2·sampling×found): V = [Ω, Z]·v
     * @param residuals the estimated larger of ‖G·vᵢ − σᵢ·uᵢ‖/σ₁ and ‖Gᵀ·uᵢ − σᵢ·vᵢ‖/σ₁
     * @param captured the estimated 1 − ‖G − U·S·Vᵀ‖²/‖G‖²
     */
    record Estimate(SmallMatrix u, double[] values, SmallMatrix v, double[] residuals, double captured) {}

    Estimate leading(int k) {
        SmallMatrix whitePsi = whitening(left);
        SmallMatrix whiteOmega = whitening(right);
        SmallMatrix toLeft = SmallMatrix.diagonal(whitePsi, whiteOmega); // [Ψ, Y]·toLeft: with orthonormal test matrices
        SmallMatrix toRight = SmallMatrix.diagonal(whiteOmega, whitePsi);
        int s = sampling;
        SmallMatrix gramLeft = toLeft.transpose().times(device, sampled(left)).times(device, toLeft);
        SmallMatrix gramRight = toRight.transpose().times(device, sampled(right)).times(device, toRight);
        SmallMatrix.Eigen ofY = gramLeft.block(s, 2 * s, s, 2 * s).eigen(device);
        SmallMatrix.Eigen ofZ = gramRight.block(s, 2 * s, s, 2 * s).eigen(device);
        if (ofY.largest() <= 0 || ofZ.largest() <= 0) {
            SmallMatrix none = SmallMatrix.zeros(2 * s, 0);
            return new Estimate(none, new double[0], none, new double[0], 1);
        }
        SmallMatrix core = gramLeft.block(0, s, s, 2 * s).plus(1, gramRight.block(0, s, s, 2 * s).transpose()).scaled(0.5); // ΨᵀGΩ
        double ofY2 = (double) n / s; // ‖G‖² over ‖Y‖², on average
        double ofZ2 = (double) m / s;
        double floor2 = Math.max((ofY2 * tail(ofY, k) + ofZ2 * tail(ofZ, k)) / 2 / Math.min(m, n),
                NEGLIGIBLE * NEGLIGIBLE * Math.max(ofY2 * ofY.largest(), ofZ2 * ofZ.largest()));
        SmallMatrix l = inverse(ofY, core, ofY2, floor2); // L = [Ψ, Y]·l
        SmallMatrix r = inverse(ofZ, core.transpose(), ofZ2, floor2); // R = [Ω, Z]·r
        SmallMatrix ofImage = SmallMatrix.zeros(s, s).above(SmallMatrix.zeros(s, s).plusIdentity(1)); // Y = [Ψ, Y]·ofImage
        SmallMatrix g = ofImage.plus(-1, l.times(device, core)).times(device, r.transpose()).plus(1, l.times(device, ofImage.transpose())); // Ĝ = [Ψ, Y]·g·[Ω, Z]ᵀ
        SmallMatrix[] q = roots(gramLeft, Math.sqrt(ofY.largest()));
        SmallMatrix[] p = roots(gramRight, Math.sqrt(ofZ.largest()));
        int found = Math.min(k, Math.min(rank(ofY), rank(ofZ)));
        SmallMatrix inBases = q[0].times(device, g).times(device, p[0].transpose());
        try (Matrix on = inBases.on(device); SingularTriplets t = new ExactSvd().top(on, found, 0)) {
            SmallMatrix u = toLeft.times(device, q[1]).times(device, SmallMatrix.of(t.u()));
            SmallMatrix v = toRight.times(device, p[1]).times(device, SmallMatrix.of(t.vt()).transpose());
            return estimated(u, t.values(), v);
        }
    }

    /** (TᵀT)^(−½) of the test matrix's sampling columns, which makes them orthonormal; without what they lack. */
    private SmallMatrix whitening(SmallMatrix side) {
        SmallMatrix.Eigen e = side.block(0, sampling, 0, sampling).eigen(device);
        double[] scale = new double[sampling];
        for (int i = 0; i < sampling; i++) {
            scale[i] = e.values()[i] > 1e-12 * e.largest() ? 1 / Math.sqrt(e.values()[i]) : 0;
        }
        return e.rows().transpose().times(device, e.rows().scaledRows(scale));
    }

    /** Of a Gram matrix of [T, Y], the rows and columns that take part. */
    private SmallMatrix sampled(SmallMatrix side) {
        return columns(side, 0, sampling).beside(columns(side, side.rows() / 2, sampling));
    }

    /** {@code count} columns from {@code first} on, of them the rows of sampling columns. */
    private SmallMatrix columns(SmallMatrix side, int first, int count) {
        int l = side.rows() / 2;
        return side.block(0, sampling, first, first + count).above(side.block(l, l + sampling, first, first + count));
    }

    private static double tail(SmallMatrix.Eigen e, int k) {
        double sum = 0;
        for (int i = e.values().length - 1; i >= k; i--) {
            sum += Math.max(0, e.values()[i]);
        }
        return sum;
    }

    private static int rank(SmallMatrix.Eigen e) {
        int c = 0;
        while (c < e.values().length && e.values()[c] > NEGLIGIBLE * NEGLIGIBLE * e.largest()) {
            c++;
        }
        return c;
    }

    /**
     * AΨ(ΨᵀAΨ)⁻¹ in the coordinates of [Ψ, Y].
     *
     * @param ofY of YᵀY
     * @param psiY ΨᵀY
     * @param scale2 by which YYᵀ is to be multiplied for GGᵀ
     */
    private SmallMatrix inverse(SmallMatrix.Eigen ofY, SmallMatrix psiY, double scale2, double floor2) {
        SmallMatrix identity = SmallMatrix.zeros(sampling, sampling).plusIdentity(1);
        if (!random) {
            return identity.above(SmallMatrix.zeros(sampling, sampling));
        }
        double floor = Math.pow(floor2, POWER);
        double[] above = new double[sampling]; // A = Y·E·diag(above)·Eᵀ·Yᵀ + floor·I
        for (int i = 0; i < rank(ofY); i++) {
            above[i] = (Math.pow(scale2 * ofY.values()[i] + floor2, POWER) - floor) / ofY.values()[i];
        }
        SmallMatrix image = ofY.rows().transpose().times(device, ofY.rows().scaledRows(above)).times(device, psiY.transpose());
        SmallMatrix a = psiY.times(device, image).plusIdentity(floor); // ΨᵀAΨ
        try (Matrix factor = a.on(device); Matrix x = identity.scaled(floor).above(image).on(device)) {
            device.cholesky(factor);
            device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.TRANSPOSE, 1, factor, x);
            device.triangularSolve(Side.RIGHT, Triangle.LOWER, Op.NONE, 1, factor, x);
            return SmallMatrix.of(x);
        }
    }

    /** H and K of full rank with gram = HᵀH, so that [T, Y]·K is orthonormal and [T, Y] = ([T, Y]·K)·H. */
    private SmallMatrix[] roots(SmallMatrix gram, double largest) {
        int s = sampling;
        double[] unit = new double[2 * s]; // columns of one size
        for (int i = 0; i < 2 * s; i++) {
            unit[i] = i < s ? 1 : 1 / largest;
        }
        SmallMatrix.Eigen e = gram.scaledRows(unit).transpose().scaledRows(unit).eigen(device);
        int c = rank(e);
        double[] root = new double[c];
        double[] inverse = new double[c];
        double[] back = new double[2 * s];
        for (int i = 0; i < 2 * s; i++) {
            back[i] = 1 / unit[i];
            if (i < c) {
                root[i] = Math.sqrt(e.values()[i]);
                inverse[i] = 1 / root[i];
            }
        }
        SmallMatrix rows = e.rows().block(0, c, 0, 2 * s);
        return new SmallMatrix[] {rows.scaledRows(root).transpose().scaledRows(back).transpose(), rows.scaledRows(inverse).transpose().scaledRows(unit)};
    }

    /** With what the columns that are held out, Θ of Ω and Ξ of Ψ, say of it. */
    private Estimate estimated(SmallMatrix u, double[] values, SmallMatrix v) {
        int l = left.rows() / 2;
        int probes = l - sampling;
        SmallMatrix vTheta = v.transpose().times(device, columns(right, sampling, probes)); // VᵀΘ (k,probes)
        SmallMatrix uImage = u.transpose().times(device, columns(left, l + sampling, probes)); // UᵀGΘ
        SmallMatrix uXi = u.transpose().times(device, columns(left, sampling, probes)); // UᵀΞ
        SmallMatrix vImage = v.transpose().times(device, columns(right, l + sampling, probes)); // VᵀGᵀΞ
        SmallMatrix ofGt = vTheta.scaledRows(values).plus(-1, uImage); // (σV − GᵀU)ᵀΘ
        SmallMatrix ofG = uXi.scaledRows(values).plus(-1, vImage); // (σU − GV)ᵀΞ
        double all2 = 0; // ‖G·Θ‖² + ‖Gᵀ·Ξ‖²
        for (int i = l + sampling; i < 2 * l; i++) {
            all2 += left.at(i, i) + right.at(i, i);
        }
        double left2 = all2; // ‖(G − U·S·Vᵀ)Θ‖² = ‖GΘ‖² − 2⟨UᵀGΘ, S·VᵀΘ⟩ + ‖S·VᵀΘ‖², and the same for Ξ
        double[] residuals = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            residuals[i] = values[0] == 0 ? 0 : Math.sqrt(Math.max(ofGt.meanSquare(i), ofG.meanSquare(i))) / values[0];
            for (int j = 0; j < probes; j++) {
                left2 += values[i] * vTheta.at(i, j) * (values[i] * vTheta.at(i, j) - 2 * uImage.at(i, j));
                left2 += values[i] * uXi.at(i, j) * (values[i] * uXi.at(i, j) - 2 * vImage.at(i, j));
            }
        }
        return new Estimate(u, values, v, residuals, all2 == 0 ? 1 : Math.max(0, 1 - left2 / all2));
    }
}
