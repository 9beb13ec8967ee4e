package org.lora4j.bench;

/**
 * What is measured, and the least that any implementation has to do for it: floating-point operations, and bytes read or
 * written at least once from memory. With m out features, n in features, rank r and b batch rows, float32.
 */
enum Work {
    /** Y = X·Wᵀ + η·X·Aᵀ·Bᵀ. */
    FORWARD("forward") {
        @Override
        double flops(double b, double m, double n, double r) {
            return 2 * b * m * n + 2 * b * r * (m + n);
        }

        @Override
        double bytes(double b, double m, double n, double r) {
            return 4 * (m * n + r * (m + n) + b * (m + n));
        }
    },
    /** The same, then dX, dA and dB from dY. */
    FORWARD_BACKWARD("forward+backward") {
        @Override
        double flops(double b, double m, double n, double r) {
            return 4 * b * m * n + 6 * b * r * (m + n);
        }

        @Override
        double bytes(double b, double m, double n, double r) {
            return 4 * (2 * m * n + 4 * r * (m + n) + b * (2 * m + 3 * n)); // W twice; X twice, dX, Y, dY; A, B, dA, dB
        }
    },
    /**
     * LoRA-GA's start from G, SVD included. At least, whatever the method: two products of G with 2r vectors, one for each
     * side's singular vectors, and W ← W − η·B0·A0.
     */
    INIT("init") {
        @Override
        double flops(double b, double m, double n, double r) {
            return 8 * m * n * r + 2 * m * n * r;
        }

        @Override
        double bytes(double b, double m, double n, double r) {
            return 4 * (2 * m * n + 2 * m * n + r * (m + n));
        }
    },
    /** W ← W + η·B·A. */
    MERGE("merge") {
        @Override
        double flops(double b, double m, double n, double r) {
            return 2 * m * n * r;
        }

        @Override
        double bytes(double b, double m, double n, double r) {
            return 4 * (2 * m * n + r * (m + n));
        }
    },
    /** Y = G·V and Z = Gᵀ·Y with r vectors: the step of the iteration that a start's singular vectors come from. */
    POWER_STEP("power step") {
        @Override
        double flops(double b, double m, double n, double r) {
            return 4 * m * n * r;
        }

        @Override
        double bytes(double b, double m, double n, double r) {
            return 4 * (m * n + r * (m + 2 * n)); // G once
        }
    },
    /** Y = G·V with r vectors. */
    PRODUCT("G·V") {
        @Override
        double flops(double b, double m, double n, double r) {
            return 2 * m * n * r;
        }

        @Override
        double bytes(double b, double m, double n, double r) {
            return 4 * (m * n + r * (m + n));
        }
    },
    /** Z = Gᵀ·V with r vectors. */
    TRANSPOSED_PRODUCT("Gᵀ·V") {
        @Override
        double flops(double b, double m, double n, double r) {
            return 2 * m * n * r;
        }

        @Override
        double bytes(double b, double m, double n, double r) {
            return 4 * (m * n + r * (m + n));
        }
    },
    /** ‖G‖², the captured energy's measure. */
    SQUARES("‖G‖²") {
        @Override
        double flops(double b, double m, double n, double r) {
            return 2 * m * n;
        }

        @Override
        double bytes(double b, double m, double n, double r) {
            return 4 * m * n;
        }
    };

    private final String word;

    Work(String word) {
        this.word = word;
    }

    abstract double flops(double b, double m, double n, double r);

    abstract double bytes(double b, double m, double n, double r);

    /** Whether an activation is involved, so that there is a frozen product to compare with. */
    boolean isPass() {
        return this == FORWARD || this == FORWARD_BACKWARD;
    }

    /** Whether it is one of the passes over G that the leading singular triplets are made of. */
    boolean isKernel() {
        return switch (this) {
            case POWER_STEP, PRODUCT, TRANSPOSED_PRODUCT, SQUARES -> true;
            case FORWARD, FORWARD_BACKWARD, INIT, MERGE -> false;
        };
    }

    static Work of(String word) {
        for (Work work : values()) {
            if (work.word.equals(word)) {
                return work;
            }
        }
        throw new IllegalArgumentException("no such work: " + word);
    }

    @Override
    public String toString() {
        return word;
    }
}
