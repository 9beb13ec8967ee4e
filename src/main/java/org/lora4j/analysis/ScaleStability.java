package org.lora4j.analysis;

import java.util.Random;

import org.lora4j.LoraConfig;
import org.lora4j.LoraLinear;
import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;
import org.lora4j.init.Initialization;
import org.lora4j.init.LoraGa;
import org.lora4j.init.Scale;

/**
 * The second moments of an adapter at its start, measured and predicted.
 *
 * <p>An adapter is forward stable when input of unit second moment gives output of a second moment that neither
 * vanishes nor explodes as m, n and r grow, and backward stable when the same holds of dX for unit dY
 * (arXiv 2407.05000, section 3.3). For a LoRA-GA start with orthogonal rows and columns of norm c,
 * E[yᵢ²] = η²·c⁴·r/m and E[dxⱼ²] = η²·c⁴·r/n.
 *
 * @param m out features
 * @param n in features
 * @param r rank
 * @param forward E[yᵢ²] of y = η·B0·A0·x, measured with standard normal x
 * @param forwardPredicted η²·c⁴·r/m
 * @param backward E[dxⱼ²] of dx = η·A0ᵀ·B0ᵀ·dy, measured with standard normal dy
 * @param backwardPredicted η²·c⁴·r/n
 */
public record ScaleStability(long m, long n, int r, double forward, double forwardPredicted, double backward, double backwardPredicted) {
    /**
     * Initialises an m×n layer by LoRA-GA from a random gradient and measures it.
     *
     * @param samples how many random rows are sent through; the relative sampling error of a moment is √(2/(r·samples))
     * @param seed of the gradient and the samples
     */
    public static ScaleStability measure(Device device, long m, long n, LoraConfig config, Scale scale, int samples, long seed) {
        Random random = new Random(seed);
        int r = config.rank();
        double eta = config.eta();
        try (LoraLinear layer = new LoraLinear(device, config, DataType.FLOAT32, m, n, false, 1);
                Matrix gradient = normal(device, m, n, random)) {
            Initialization start = LoraGa.of(gradient).withScale(scale).initialize(layer);
            double c4 = Math.pow(start.scale(), 4);
            try (Matrix x = normal(device, samples, n, random); Matrix dy = normal(device, samples, m, random)) {
                return new ScaleStability(m, n, r,
                        moment(x, eta, layer.loraA(), Op.TRANSPOSE, layer.loraB(), Op.TRANSPOSE, m), eta * eta * c4 * r / m,
                        moment(dy, eta, layer.loraB(), Op.NONE, layer.loraA(), Op.NONE, n), eta * eta * c4 * r / n);
            }
        }
    }

    /** The mean square of η·X·op(first)·op(second). */
    private static double moment(Matrix x, double eta, Matrix first, Op opFirst, Matrix second, Op opSecond, long features) {
        Device device = x.device();
        long r = opFirst == Op.NONE ? first.cols() : first.rows();
        try (Matrix t = device.allocate(x.type(), x.rows(), r); Matrix y = device.allocate(x.type(), x.rows(), features)) {
            device.gemm(eta, x, Op.NONE, first, opFirst, 0, t);
            device.gemm(1, t, Op.NONE, second, opSecond, 0, y);
            return device.dot(y, y) / (x.rows() * features);
        }
    }

    private static Matrix normal(Device device, long rows, long cols, Random random) {
        Matrix a = device.allocate(DataType.FLOAT32, rows, cols);
        double[] values = new double[Math.toIntExact(rows * cols)];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextGaussian();
        }
        a.write(values);
        return a;
    }
}
