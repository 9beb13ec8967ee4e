package org.lora4j.analysis;

import java.util.Arrays;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * The singular values of B·A, which an adapter adds to its weight, without forming it: with B = Q·R and Aᵀ = Q'·R', they are
 * those of R·R'ᵀ (r×r).
 *
 * @param singularValues min(m, n, r) of them, descending; 0 where they are no larger than rounding, 4·ε·r·‖A‖·‖B‖
 */
public record AdapterSpectrum(double[] singularValues) {
    /**
     * Computes it.
     *
     * @param a A (r×n), finite, not modified
     * @param b B (m×r), finite, of the same type, not modified
     */
    public static AdapterSpectrum of(Matrix a, Matrix b) {
        if (b.cols() != a.rows() || a.type() != b.type() || a.rows() < 1) {
            throw new IllegalArgumentException("A is " + a.type() + " " + a.rows() + "×" + a.cols() + " and B " + b.type() + " " + b.rows() + "×" + b.cols()
                    + "; they must be r×n and m×r of one type");
        }
        Device device = a.device();
        DataType type = a.type();
        long r = a.rows();
        try (Matrix identity = identity(device, type, r);
                Matrix at = device.temporary(type, a.cols(), r)) {
            device.gemm(1, a, Op.TRANSPOSE, identity, Op.NONE, 0, at);
            try (Matrix left = triangle(b); Matrix right = triangle(at); Matrix core = device.temporary(type, left.rows(), right.rows())) {
                device.gemm(1, left, Op.NONE, right, Op.TRANSPOSE, 0, core);
                long k = Math.min(core.rows(), core.cols());
                try (Matrix u = device.temporary(type, core.rows(), k); Matrix s = device.temporary(type, 1, k); Matrix vt = device.temporary(type, k, core.cols())) {
                    device.svd(core, u, s, vt);
                    double rounding = 4 * type.unitRoundoff() * r * Math.sqrt(device.dot(a, a)) * Math.sqrt(device.dot(b, b));
                    return new AdapterSpectrum(Arrays.stream(s.read()).map(x -> x > rounding ? x : 0).toArray());
                }
            }
        }
    }

    /** R of X = Q·R for an X (rows×r) that is tall, else a copy of X: XᵀX is the same. */
    private static Matrix triangle(Matrix x) {
        Matrix q = x.temporaryCopy(x.type());
        if (x.rows() <= x.cols()) {
            return q;
        }
        try (q) {
            Matrix r = x.device().temporary(x.type(), x.cols(), x.cols());
            try {
                x.device().qr(q, r);
                return r;
            } catch (RuntimeException e) {
                r.close();
                throw e;
            }
        }
    }

    private static Matrix identity(Device device, DataType type, long r) {
        double[] values = new double[Math.toIntExact(r * r)];
        for (int i = 0; i < r; i++) {
            values[(int) (i * (r + 1))] = 1;
        }
        Matrix identity = device.temporary(type, r, r);
        identity.write(values);
        return identity;
    }

    /** ‖B·A‖ (Frobenius). */
    public double norm() {
        double norm = 0;
        for (double s : singularValues) {
            norm = Math.hypot(norm, s);
        }
        return norm;
    }

    /**
     * exp(−Σ pᵢ·ln pᵢ) with pᵢ = σᵢ/Σσ: r when all r singular values are equal, 1 when one outweighs the others; 0 when all
     * are zeros (Roy and Vetterli, "The effective rank", EUSIPCO 2007).
     */
    public double effectiveRank() {
        double sum = 0;
        for (double s : singularValues) {
            sum += s;
        }
        double entropy = 0;
        for (double s : singularValues) {
            double p = sum == 0 ? 0 : s / sum;
            entropy -= p == 0 ? 0 : p * Math.log(p);
        }
        return sum == 0 ? 0 : Math.exp(entropy);
    }
}
