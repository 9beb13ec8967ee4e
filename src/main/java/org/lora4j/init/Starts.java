package org.lora4j.init;

import org.lora4j.LoraLinear;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.gradient.GradientSource;
import org.lora4j.svd.SingularTriplets;

/** What the initialisers share: their checks, and putting the start into the layer. */
final class Starts {
    private static final String ZERO = "the gradient is all zeros and has no direction; it must have a non-zero element";

    private Starts() {}

    /** Refuses a gradient that doesn't fit the layer, and of a matrix a NaN, an infinity, or nothing but zeros. */
    static void checkGradient(GradientSource gradient, LoraLinear layer) {
        checkFit("gradient", gradient.rows(), gradient.cols(), gradient.type(), gradient.device(), layer.outFeatures(), layer.inFeatures(), layer);
        if (gradient instanceof DenseGradient dense && checkFinite("gradient", dense.matrix()) == 0) {
            throw new IllegalArgumentException(ZERO);
        }
    }

    /** Refuses the triplets of a gradient of zeros. */
    static void checkNotZero(SingularTriplets gradient) {
        if (gradient.values()[0] == 0) {
            throw new IllegalArgumentException(ZERO);
        }
    }

    /** Refuses a NaN or an infinity in the layer's weight. Returns ‖W'‖ (Frobenius) of the same pass over W_fz. */
    static double checkWeight(LoraLinear layer) {
        Matrix w = layer.weight();
        double norm2 = layer.device().dot(w, w);
        if (!Double.isFinite(norm2)) {
            checkFinite("weight", w); // float64 beyond 1e154 passes
        }
        return Math.sqrt(Math.max(0, layer.isAdapted() ? norm2 + adapterNorm2(layer) : norm2));
    }

    /** ‖W'‖² − ‖W_fz‖² = 2·η·⟨W_fz·Aᵀ, B⟩ + η²·‖B·A‖², by thin products. */
    private static double adapterNorm2(LoraLinear layer) {
        Device device = layer.device();
        DataType type = layer.type().accumulation();
        double eta = layer.config().eta();
        Matrix b = layer.loraB();
        try (Matrix wa = device.temporary(type, layer.outFeatures(), layer.config().rank()); Matrix wide = b.type() == type ? null : b.temporaryCopy(type)) {
            device.gemm(1, layer.weight(), Op.NONE, layer.loraA(), Op.TRANSPOSE, 0, wa);
            return 2 * eta * device.dot(wa, wide == null ? b : wide) + eta * eta * productNorm2(layer.loraA(), b);
        }
    }

    /** Refuses an A0 or B0 that doesn't fit the layer or isn't finite. */
    static void checkFactor(String what, Matrix a, long rows, long cols, LoraLinear layer) {
        checkFit(what, a.rows(), a.cols(), a.type(), a.device(), rows, cols, layer);
        checkFinite(what, a);
    }

    private static void checkFit(String what, long isRows, long isCols, DataType type, Device device, long rows, long cols, LoraLinear layer) {
        if (isRows != rows || isCols != cols || type != layer.type() && type != layer.type().accumulation() || device != layer.device()) {
            throw new IllegalArgumentException("the " + what + " is " + type + " " + isRows + "×" + isCols + "; for a weight of "
                    + layer.outFeatures() + "×" + layer.inFeatures() + " and rank " + layer.config().rank() + " it must be " + layer.type()
                    + " " + rows + "×" + cols + (device == layer.device() ? "" : " on the layer's own device"));
        }
    }

    private static double checkFinite(String what, Matrix a) {
        double largest = a.device().largest(a);
        if (!Double.isFinite(largest)) {
            throw new IllegalArgumentException("the " + what + " contains " + largest + "; every element must be finite");
        }
        return largest;
    }

    /** Refuses a layer whose {@code vectors} singular vectors can't be had. */
    static void checkRank(LoraLinear layer, int vectors, String what) {
        long min = Math.min(layer.outFeatures(), layer.inFeatures());
        if (vectors > min) {
            throw new IllegalArgumentException("rank " + layer.config().rank() + " takes " + vectors + " " + what + ", but a weight of "
                    + layer.outFeatures() + "×" + layer.inFeatures() + " has " + min + "; the rank must be at most "
                    + min * layer.config().rank() / vectors);
        }
    }

    static void checkUnmerged(LoraLinear layer) {
        if (layer.isMerged()) {
            throw new IllegalStateException("initialize: the adapter is merged; unmerge it first");
        }
    }

    /** A copy of W' that the caller closes, of the type that the layer's is summed in. */
    static Matrix effectiveWeight(LoraLinear layer) {
        Matrix w = layer.device().temporary(layer.type().accumulation(), layer.outFeatures(), layer.inFeatures());
        try {
            layer.effectiveWeight(w);
            return w;
        } catch (RuntimeException e) {
            w.close();
            throw e;
        }
    }

    /** a0 ← the rows {@code ofA} of Vᵀ, b0 ← the columns {@code ofB} of U. */
    static void gather(SingularTriplets g, int[] ofA, int[] ofB, Matrix a0, Matrix b0) {
        Device device = a0.device();
        for (int i = 0; i < ofA.length; i++) {
            device.copy(g.vt().rows(ofA[i], ofA[i] + 1), a0.rows(i, i + 1));
            device.copy(g.u().columns(ofB[i], ofB[i] + 1), b0.columns(i, i + 1));
        }
    }

    /** ‖B·A‖² (Frobenius) as Σ (BᵀB)∘(AAᵀ), from products of r×r. */
    private static double productNorm2(Matrix a, Matrix b) {
        Device device = a.device();
        long r = a.rows();
        try (Matrix aa = device.temporary(a.type().accumulation(), r, r); Matrix bb = device.temporary(a.type().accumulation(), r, r)) {
            device.gemm(1, a, Op.NONE, a, Op.TRANSPOSE, 0, aa);
            device.gemm(1, b, Op.TRANSPOSE, b, Op.NONE, 0, bb);
            return device.dot(aa, bb);
        }
    }

    /**
     * Puts A0 and B0 into the layer.
     *
     * @param found what they are made of, null where nothing was decomposed
     * @param weightNorm ‖W'‖
     */
    static Initialization prefill(LoraLinear layer, Matrix a0, Matrix b0, String method, TimedTriplets found, double weightNorm) {
        double norm2 = productNorm2(a0, b0);
        layer.prefill(a0, b0);
        return result(layer, method, found, Double.NaN, norm2, weightNorm);
    }

    /** Puts A0 and B0 with orthogonal rows and columns of norm {@code c} into the layer: ‖B0·A0‖² = c⁴·r. */
    static Initialization prefillOrthogonal(LoraLinear layer, Matrix a0, Matrix b0, String method, TimedTriplets found, double c, double weightNorm) {
        layer.prefill(a0, b0);
        return result(layer, method, found, c, Math.pow(c, 4) * layer.config().rank(), weightNorm);
    }

    private static Initialization result(LoraLinear layer, String method, TimedTriplets found, double c, double norm2, double weightNorm) {
        double eta = layer.config().eta();
        double moved = eta * Math.sqrt(Math.max(0, norm2));
        SingularTriplets t = found == null ? null : found.triplets();
        return new Initialization(method, t == null ? new double[0] : t.values(), t == null ? -1 : t.numericalRank(), t != null && t.completed(),
                c, Math.sqrt(layer.outFeatures()) / (c * c), eta * eta * c * c, moved * moved / layer.outFeatures(),
                moved * moved / layer.inFeatures(), moved == 0 ? 0 : moved / weightNorm, t == null ? null : t.certificate(),
                found == null ? Double.NaN : found.seconds());
    }
}
