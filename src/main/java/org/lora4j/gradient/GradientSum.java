package org.lora4j.gradient;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.gradient.ThinColumns.Part;

/** M = P·Qᵀ + dYᵀ·X (m×n), which is never formed: what is known of a gradient, and a micro-batch of many rows. */
record GradientSum(Matrix p, Matrix q, Matrix dy, Matrix x) {
    private static final int PANEL = 512;

    GradientSum transpose() {
        return new GradientSum(q, p, x, dy);
    }

    /**
     * Overwrites left and right by U·√S and V·√S for about the leading singular triplets of M, which it finds by subspace
     * iteration (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4). The start is P and some random columns: M's
     * left vectors are near them where P·Qᵀ was most of it. Then one step is enough, else there is another.
     *
     * @param left where P stands; as wide as this the iterated subspaces are
     * @param right where Q stands
     * @param most triplets that are wanted
     * @return how many were found; there are fewer where M is of lower rank
     */
    int replace(Matrix left, Matrix right, int most, long seed) {
        Device device = left.device();
        long s = left.cols();
        long known = Math.min(p.cols(), most);
        try (Matrix u = device.temporary(left.type(), left.rows(), s); Matrix v = device.temporary(left.type(), right.rows(), s);
                Matrix small = device.temporary(left.type(), s, s); Matrix panel = device.temporary(left.type(), Math.min(PANEL, x.rows()), s)) {
            device.copy(p.columns(0, known), u.columns(0, known));
            device.uniform(seed, u.columns(known, s));
            Matrix basis = orthonormal(u);
            for (int i = known < most / 2 ? 0 : 1; i < 2; i++) {
                basis = orthonormal(transpose().times(basis, panel, small, v));
                basis = orthonormal(times(basis, panel, small, u));
            }
            Matrix w = transpose().times(basis, panel, small, v); // M ≈ U·Wᵀ, and WᵀW = B·S²·Bᵀ
            Batches.checkFinite("sketch of the gradient", w);
            SmallMatrix.Eigen e = ThinColumns.gram(new Part(w)).eigen(device);
            int found = Math.min(most, e.rank(ProductSvd.NEGLIGIBLE * ProductSvd.NEGLIGIBLE));
            SmallMatrix roots = e.scaled(found, x -> Math.sqrt(Math.sqrt(x))); // √S·Bᵀ: S² are the eigenvalues
            SmallMatrix inverses = e.scaled(found, x -> 1 / Math.sqrt(Math.sqrt(x)));
            ThinColumns.combine(roots.transpose(), left.columns(0, found), new Part(basis));
            ThinColumns.combine(inverses.transpose(), right.columns(0, found), new Part(w));
            return found;
        }
    }

    /** target ← M·b, as many columns of it as b has, which are returned. */
    private Matrix times(Matrix b, Matrix panel, Matrix small, Matrix target) {
        Device device = b.device();
        Matrix image = target.columns(0, b.cols());
        for (long i = 0; i < x.rows(); i += panel.rows()) {
            long to = Math.min(i + panel.rows(), x.rows());
            Matrix part = panel.view(0, to - i, 0, b.cols());
            device.gemm(1, x.rows(i, to), Op.NONE, b, Op.NONE, 0, part);
            device.gemm(1, dy.rows(i, to), Op.TRANSPOSE, part, Op.NONE, i == 0 ? 0 : 1, image);
        }
        if (q.cols() > 0) {
            Matrix part = small.view(0, q.cols(), 0, b.cols());
            device.gemm(1, q, Op.TRANSPOSE, b, Op.NONE, 0, part);
            device.gemm(1, p, Op.NONE, part, Op.NONE, 1, image);
        }
        return image;
    }

    /** Overwrites {@code a} by an orthonormal basis of its columns, which is returned: as many as are independent. */
    private static Matrix orthonormal(Matrix a) {
        SmallMatrix map = ProductSvd.orthonormal(a.device(), ThinColumns.gram(new Part(a)));
        Matrix basis = a.columns(0, map.cols());
        ThinColumns.combine(map, basis, new Part(a));
        return basis;
    }
}
