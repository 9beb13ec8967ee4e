package org.lora4j.gradient;

import java.util.Arrays;

import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.gradient.ThinColumns.Part;
import org.lora4j.svd.SingularTriplets;

/** L·C·Rᵀ (m×n) for tall L and R, each of one or more parts side by side. */
record ThinProduct(Part[] left, Core core, Part[] right) {
    interface Core {
        /** C, from LᵀL and RᵀR, where {@code k} triplets are wanted. */
        SmallMatrix of(SmallMatrix left, SmallMatrix right, int k);
    }

    /** P₁·Q₁ᵀ + P₂·Q₂ᵀ + …. */
    static ThinProduct of(Part[] p, Part[] q) {
        return new ThinProduct(p, (ofLeft, ofRight, k) -> SmallMatrix.identity(ofLeft.rows()), q);
    }

    /**
     * What Y = G·P and Z = Gᵀ·Q show of G for orthonormal bases Q (m×c) and P (n×c). With K = QᵀGP that is G but for
     * (I − QQᵀ)·G·(I − PPᵀ), and of this what goes with the k leading singular triplets of K, with inverses in K⁺ (the
     * generalised Nyström approximation of Nakatsukasa, arXiv 2009.11392, but for the part that is known):
     * <pre>
     *     Y·Pᵀ + Q·Zᵀ − Q·K·Pᵀ + (Y − QK)·K⁺·(Z − PKᵀ)ᵀ = [Q, Y]·C·[P, Z]ᵀ      C = [−K + KK⁺K, I − KK⁺; I − K⁺K, K⁺]
     * </pre>
     */
    static ThinProduct seen(Matrix q, Matrix y, Matrix p, Matrix z) {
        Device device = q.device();
        int c = (int) q.cols();
        Core core = (left, right, k) -> {
            SmallMatrix both = left.block(0, c, c, 2 * c).plus(1, right.block(0, c, c, 2 * c).transpose()).scaled(0.5); // K
            SmallMatrix inverse = ProductSvd.of(device, SmallMatrix.identity(c), both, SmallMatrix.identity(c), k).above(ProductSvd.NEGLIGIBLE).inverse(device);
            SmallMatrix onLeft = SmallMatrix.identity(c).plus(-1, both.times(device, inverse)); // I − KK⁺
            SmallMatrix onRight = SmallMatrix.identity(c).plus(-1, inverse.times(device, both));
            return onLeft.times(device, both).scaled(-1).beside(onLeft).above(onRight.beside(inverse));
        };
        return new ThinProduct(new Part[] {new Part(q), new Part(y)}, core, new Part[] {new Part(p), new Part(z)});
    }

    ProductSvd svd(int k) {
        SmallMatrix ofLeft = ThinColumns.gram(left);
        SmallMatrix ofRight = ThinColumns.gram(right);
        return ProductSvd.of(left[0].matrix().device(), ofLeft, core.of(ofLeft, ofRight, k), ofRight, k);
    }

    /** The leading triplets, completed to {@code k}; {@code probes} tell how near they are to G's. */
    SingularTriplets top(int k, long completion, Probes probes, int passes) {
        Device device = left[0].matrix().device();
        ProductSvd found = finite().svd(k).above(ProductSvd.NEGLIGIBLE);
        Matrix[] made = Allocations.all(device, left[0].matrix().type(), new long[][] {{left[0].rows(), k}, {k, right[0].rows()}});
        try (Matrix v = device.allocate(right[0].matrix().type(), right[0].rows(), k); Matrix identity = device.allocate(v.type(), k, k)) {
            ThinColumns.orthonormal(found.left(), completion, made[0], left);
            ThinColumns.orthonormal(found.right(), completion + 1, v, right);
            identity.write(SmallMatrix.identity(k).data());
            device.gemm(1, identity, Op.NONE, v, Op.TRANSPOSE, 0, made[1]);
            ProductSvd.fixSigns(made[0], made[1]);
            double[] values = Arrays.copyOf(found.values(), k);
            return new SingularTriplets(made[0], values, made[1], ProductSvd.rank(values, made[0], v), probes.certificate(made[0], values, made[1], passes));
        } catch (RuntimeException | Error e) {
            Allocations.close(made);
            throw e;
        }
    }

    /** Orthonormal bases (m×c and n×c) of the c leading left and right singular vectors. */
    Matrix[] bases(int c, long completion) {
        ProductSvd found = finite().svd(c).above(ProductSvd.NEGLIGIBLE);
        Matrix[] made = Allocations.all(left[0].matrix().device(), left[0].matrix().type(), new long[][] {{left[0].rows(), c}, {right[0].rows(), c}});
        try {
            ThinColumns.orthonormal(found.left(), completion, made[0], left);
            ThinColumns.orthonormal(found.right(), completion + 1, made[1], right);
            return made;
        } catch (RuntimeException | Error e) {
            Allocations.close(made);
            throw e;
        }
    }

    private ThinProduct finite() {
        for (Part[] side : new Part[][] {left, right}) {
            for (Part part : side) {
                Batches.checkFinite("sketch of the gradient", part.matrix());
            }
        }
        return this;
    }
}
