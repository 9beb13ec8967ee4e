package org.lora4j;

/** How the adapter scale η follows from α and the rank r. */
public enum Scaling {
    /** η = α/r (Hu et al., arXiv 2106.09685, section 4.1). */
    STANDARD {
        @Override
        double eta(double alpha, int rank) {
            return alpha / rank;
        }
    },
    /** η = α/√r, "rsLoRA" (Kalajdzievski, arXiv 2312.03732). */
    RANK_STABILISED {
        @Override
        double eta(double alpha, int rank) {
            return alpha / Math.sqrt(rank);
        }
    };

    abstract double eta(double alpha, int rank);
}
