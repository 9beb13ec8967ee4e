package org.lora4j.cli;

import java.util.List;

import org.lora4j.init.Initialization;
import org.lora4j.init.LayerStart;
import org.lora4j.svd.Certificate;

/** What {@code init} did, as {@code --report} and {@code --json} have it. A number that a method does not have is null. */
record InitReport(List<Row> matrices, Totals totals) {
    /**
     * One matrix.
     *
     * @param name the module
     * @param m out features
     * @param n in features
     * @param svdSeconds from the matrix in the device's memory to its singular vectors
     * @param products with a block of vectors that the SVD made
     * @param residual the largest ‖G·vᵢ − σᵢ·uᵢ‖/σ₁
     * @param capturedEnergy Σσᵢ² of the vectors taken over ‖G‖²
     * @param alignment the cosine between the first step of the adapter and that of the full weight
     * @param forwardMoment E[yᵢ²] of y = η·B0·A0·x
     * @param backwardMoment E[dxⱼ²] of dx = η·A0ᵀ·B0ᵀ·dy
     */
    record Row(String name, long m, long n, Double svdSeconds, Integer products, Double residual, Double capturedEnergy, Double alignment,
            double forwardMoment, double backwardMoment) {
        static Row of(LayerStart start) {
            Initialization i = start.initialization();
            Certificate c = i.certificate();
            return new Row(start.name(), start.layer().outFeatures(), start.layer().inFeatures(), number(i.svdSeconds()), c == null ? null : c.products(),
                    c == null ? null : c.largestResidual(), c == null ? null : c.capturedEnergy(), number(start.alignment()), i.forwardMoment(),
                    i.backwardMoment());
        }

        private static Double number(double x) {
            return Double.isNaN(x) ? null : x;
        }
    }

    /**
     * All of them.
     *
     * @param seconds of the whole command
     * @param peakBytes the most memory that matrices had: the device's own peak and that of what was read ahead
     */
    record Totals(double svdSeconds, double seconds, long peakBytes) {}

    static InitReport of(List<Row> rows, double seconds, long peakBytes) {
        double svd = rows.stream().mapToDouble(r -> r.svdSeconds == null ? 0 : r.svdSeconds).sum();
        return new InitReport(rows, new Totals(svd, seconds, peakBytes));
    }
}
