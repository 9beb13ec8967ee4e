package org.lora4j.init;

/**
 * How long the rows of A0 and the columns of B0 are: their common norm c. By c the first gradient step of rate λ moves
 * the effective weight by −λ·ζ·G₂ᵣ with ζ = η²·c², and y = η·B0·A0·x has E[yᵢ²] = η²·c⁴·r/m for x of unit second moment.
 */
public sealed interface Scale {
    /**
     * c = m^¼/√γ, that is ζ = η²·√m/γ (arXiv 2407.05000, section 3.3). With η = α/√r, E[yᵢ²] = α²/γ² for every m, n, r.
     *
     * @param gamma γ, positive; the paper's default is 16
     */
    record Stable(double gamma) implements Scale {
        public Stable {
            checkPositive("gamma", gamma);
        }
    }

    /**
     * ζ = η·√(v·m/r): forward stable for either scaling, with E[yᵢ²] = v.
     *
     * @param moment v, positive
     */
    record Forward(double moment) implements Scale {
        public Forward {
            checkPositive("moment", moment);
        }
    }

    /**
     * ζ = η·√(v·n/r): backward stable for either scaling, with E[dxⱼ²] = v.
     *
     * @param moment v, positive
     */
    record Backward(double moment) implements Scale {
        public Backward {
            checkPositive("moment", moment);
        }
    }

    /** c = 1/η, so that ζ = 1: the first step is that of gradient descent on W, cut to rank 2r ("gd"). */
    record GradientDescent() implements Scale {}

    /** c = 1: the singular vectors as they are. */
    record Unit() implements Scale {}

    /** c = the mean of √(σᵢ/η) over the r largest singular values σᵢ of the weight ("weight-svd"). */
    record WeightSvd() implements Scale {}

    /**
     * The paper's stable c (γ = 16), but never so much that the start moves more of the weight between the adapter and the
     * frozen weight than a fraction of its size: c = min(m^¼/√16, √(fraction·‖W'‖/(η·√r))), so that
     * ‖η·B0·A0‖ = η·c²·√r ≤ fraction·‖W'‖ (Frobenius). It is an upper limit on the shift, not a target: where the stable c
     * stays below it, that is taken. A weight of all zeros is refused.
     *
     * @param fraction positive
     */
    record MaxShift(double fraction) implements Scale {
        public MaxShift {
            checkPositive("fraction", fraction);
        }
    }

    /** {@link Stable} with the paper's γ = 16. */
    static Scale stable() {
        return new Stable(16);
    }

    private static void checkPositive(String name, double value) {
        if (!(value > 0) || Double.isInfinite(value)) {
            throw new IllegalArgumentException(name + " " + value + ": it must be positive and finite");
        }
    }
}
