package org.lora4j.gradient;

import java.util.Arrays;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;

/**
 * The leading singular triplets of L·C·Rᵀ (m×n) for tall L (m×a) and R (n×b), in small matrices only: with LᵀL = HᵀH and
 * RᵀR = JᵀJ they are those of H·C·Jᵀ (Golub and Van Loan, Matrix Computations, section 5.4.3's R-SVD on both sides, by Gram
 * matrices).
 *
 * @param left coordinates: U = L·left
 * @param values descending, not more than were asked for, none of them 0
 * @param right coordinates: V = R·right
 */
record ProductSvd(SmallMatrix left, double[] values, SmallMatrix right) {
    /** Directions of columns of length 1 that are below this times the largest are rounding: what a Gram matrix can tell in float64. */
    static final double NEGLIGIBLE = 1e-6;

    /**
     * Of at most {@code k} triplets.
     *
     * @param left LᵀL
     * @param right RᵀR
     */
    static ProductSvd of(Device device, SmallMatrix left, SmallMatrix core, SmallMatrix right, int k) {
        Root l = Root.of(device, left);
        Root r = Root.of(device, right);
        int full = Math.min(l.h.rows(), r.h.rows());
        if (full == 0) {
            return new ProductSvd(SmallMatrix.zeros(left.rows(), 0), new double[0], SmallMatrix.zeros(right.rows(), 0));
        }
        try (Matrix a = l.h.times(device, core).times(device, r.h.transpose()).on(device);
                Matrix u = device.allocate(DataType.FLOAT64, a.rows(), full);
                Matrix s = device.allocate(DataType.FLOAT64, 1, full);
                Matrix vt = device.allocate(DataType.FLOAT64, full, a.cols())) {
            device.svd(a, u, s, vt);
            double[] values = s.read();
            int found = Math.min(k, full);
            while (found > 0 && !(values[found - 1] > 0)) {
                found--;
            }
            return new ProductSvd(l.k.times(device, SmallMatrix.of(u.columns(0, found))), Arrays.copyOf(values, found),
                    r.k.times(device, SmallMatrix.of(vt.rows(0, found)).transpose()));
        }
    }

    /** K of full rank such that A·K is orthonormal and spans A's columns, from {@code gram}, AᵀA. */
    static SmallMatrix orthonormal(Device device, SmallMatrix gram) {
        return Root.of(device, gram).k;
    }

    /** The same without the triplets whose values are not above {@code threshold} times the first. */
    ProductSvd above(double threshold) {
        int found = 0;
        while (found < values.length && values[found] > threshold * values[0]) {
            found++;
        }
        return new ProductSvd(left.block(0, left.rows(), 0, found), Arrays.copyOf(values, found), right.block(0, right.rows(), 0, found));
    }

    /** V·S⁻¹·Uᵀ, with {@link #left} for U and {@link #right} for V. */
    SmallMatrix inverse(Device device) {
        double[] inverse = new double[values.length];
        for (int i = 0; i < inverse.length; i++) {
            inverse[i] = 1 / values[i];
        }
        return right.times(device, left.transpose().scaledRows(inverse));
    }

    /** H and K of full rank with HᵀH = AᵀA and H·K = I: A·K is orthonormal, and A = (A·K)·H. */
    private record Root(SmallMatrix h, SmallMatrix k) {
        /** Of AᵀA, by its eigenvalues when the columns of A have been scaled to length 1. */
        static Root of(Device device, SmallMatrix gram) {
            int columns = gram.rows();
            double[] length = new double[columns];
            double[] inverse = new double[columns];
            for (int i = 0; i < columns; i++) {
                length[i] = Math.sqrt(gram.at(i, i));
                inverse[i] = length[i] == 0 ? 0 : 1 / length[i];
                if (!Double.isFinite(length[i]) || !Double.isFinite(inverse[i])) {
                    throw new IllegalArgumentException("the sketch of the gradient has a column of length " + length[i] + ", which is out of range");
                }
            }
            if (Arrays.stream(length).allMatch(x -> x == 0)) {
                return new Root(SmallMatrix.zeros(0, columns), SmallMatrix.zeros(columns, 0));
            }
            SmallMatrix.Eigen e = gram.scaledRows(inverse).transpose().scaledRows(inverse).eigen(device);
            int rank = e.rank(NEGLIGIBLE * NEGLIGIBLE);
            return new Root(e.scaled(rank, Math::sqrt).transpose().scaledRows(length).transpose(),
                    e.scaled(rank, x -> 1 / Math.sqrt(x)).transpose().scaledRows(inverse));
        }
    }

    /** How many of {@code values} are above rounding for factors of these shapes. */
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
            double sign = device.largest(v) < 0 ? -1 : 1; // the counters don't tell which: it is the library's
            device.scale(sign, v);
            device.scale(sign, u.columns(i, i + 1));
        }
    }
}
