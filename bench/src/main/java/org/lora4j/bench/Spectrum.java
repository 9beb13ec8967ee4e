package org.lora4j.bench;

/** How the singular values of a synthetic gradient fall, i from 1. */
enum Spectrum {
    /** As those of real gradients, about. */
    INVERSE("1/i") {
        @Override
        double value(int i) {
            return 1.0 / i;
        }
    },
    /** So slowly that the leading ones hold little of the energy. */
    INVERSE_ROOT("1/√i") {
        @Override
        double value(int i) {
            return 1 / Math.sqrt(i);
        }
    },
    /** As good as of low rank. */
    GEOMETRIC("0.95ⁱ") {
        @Override
        double value(int i) {
            return Math.pow(0.95, i);
        }
    };

    private final String formula;

    Spectrum(String formula) {
        this.formula = formula;
    }

    /** σᵢ. */
    abstract double value(int i);

    @Override
    public String toString() {
        return formula;
    }
}
