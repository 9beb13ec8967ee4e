package org.lora4j.gradient;

import java.util.Arrays;
import java.util.function.BinaryOperator;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.svd.SingularTriplets;

/**
 * L·C·Rᵀ (m×n) for tall L and R, each of one or more parts side by side.
 *
 * @param core C, from LᵀL and RᵀR
 */
record ThinProduct(Matrix[] left, BinaryOperator<SmallMatrix> core, Matrix[] right) {
    /** P·Qᵀ. */
    static ThinProduct of(Matrix p, Matrix q) {
        return new ThinProduct(new Matrix[] {p}, (pp, qq) -> SmallMatrix.zeros(pp.rows(), pp.rows()).plusIdentity(1), new Matrix[] {q});
    }

    /**
     * What G·P and Gᵀ·Q show of G for orthonormal bases Q (m×c) and P (n×c), G but for (I − QQᵀ)·G·(I − PPᵀ):
     * <pre>
     *     G·P·Pᵀ + Q·QᵀG − Q·(QᵀGP)·Pᵀ = [Q, GP]·C·[P, GᵀQ]ᵀ      C = [−QᵀGP, I; I, 0]
     * </pre>
     */
    static ThinProduct seen(Matrix q, Matrix image, Matrix p, Matrix coImage) {
        int c = (int) q.cols();
        BinaryOperator<SmallMatrix> core = (left, right) -> {
            SmallMatrix both = left.block(0, c, c, 2 * c).plus(1, right.block(0, c, c, 2 * c).transpose()).scaled(-0.5);
            SmallMatrix identity = SmallMatrix.zeros(c, c).plusIdentity(1);
            return both.beside(identity).above(identity.beside(SmallMatrix.zeros(c, c)));
        };
        return new ThinProduct(new Matrix[] {q, image}, core, new Matrix[] {p, coImage});
    }

    ProductSvd svd(int k) {
        SmallMatrix ofLeft = ThinColumns.gram(left);
        SmallMatrix ofRight = ThinColumns.gram(right);
        return ProductSvd.of(left[0].device(), ofLeft, core.apply(ofLeft, ofRight), ofRight, k);
    }

    /** The leading triplets, completed to {@code k}; {@code probes} tell how near they are to G's. */
    SingularTriplets top(int k, long completion, Probes probes, int passes) {
        Device device = left[0].device();
        ProductSvd found = finite().svd(k).above(ProductSvd.NEGLIGIBLE);
        Matrix[] made = Allocations.all(device, left[0].type(), new long[][] {{left[0].rows(), k}, {k, right[0].rows()}});
        try (Matrix v = device.allocate(right[0].type(), right[0].rows(), k); Matrix identity = device.allocate(v.type(), k, k)) {
            ThinColumns.orthonormal(found.left(), completion, made[0], left);
            ThinColumns.orthonormal(found.right(), completion + 1, v, right);
            identity.write(SmallMatrix.zeros(k, k).plusIdentity(1).data());
            device.gemm(1, identity, Op.NONE, v, Op.TRANSPOSE, 0, made[1]);
            ProductSvd.fixSigns(made[0], made[1]);
            double[] values = Arrays.copyOf(found.values(), k);
            return new SingularTriplets(made[0], values, made[1], ProductSvd.rank(values, made[0], v), probes.certificate(made[0], values, made[1], passes));
        } catch (RuntimeException e) {
            Allocations.close(made);
            throw e;
        }
    }

    /** Orthonormal bases (m×c and n×c) of the c leading left and right singular vectors. */
    Matrix[] bases(int c, long completion) {
        ProductSvd found = finite().svd(c).above(ProductSvd.NEGLIGIBLE);
        Matrix[] made = Allocations.all(left[0].device(), left[0].type(), new long[][] {{left[0].rows(), c}, {right[0].rows(), c}});
        try {
            ThinColumns.orthonormal(found.left(), completion, made[0], left);
            ThinColumns.orthonormal(found.right(), completion + 1, made[1], right);
            return made;
        } catch (RuntimeException e) {
            Allocations.close(made);
            throw e;
        }
    }

    private ThinProduct finite() {
        for (Matrix[] side : new Matrix[][] {left, right}) {
            for (Matrix part : side) {
                Batches.checkFinite("sketch of the gradient", part);
            }
        }
        return this;
    }
}
