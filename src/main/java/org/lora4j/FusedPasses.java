package org.lora4j;

import java.util.List;

import org.lora4j.device.DataType;
import org.lora4j.device.Device;
import org.lora4j.device.Matrix;
import org.lora4j.device.Op;

/**
 * The products of a layer's forward and backward pass, and what they leave behind: T, dT, dA and dB. Arguments have been
 * checked; nothing is allocated.
 */
final class FusedPasses {
    private final Device device;
    private final double eta;
    private final int r;
    private final BorderedWeight w;

    /** dA (r, n). */
    final Matrix gradA;
    /** dB (m, r). */
    final Matrix gradB;
    /** [X|1|T]. */
    final Activation inputs;
    /** [dY|dT]. */
    final Activation outputGradients;

    /** @param closers is given what frees each of the matrices, as it is allocated */
    FusedPasses(Device device, LoraConfig config, DataType type, BorderedWeight w, long maxBatch, List<Runnable> closers) {
        this.device = device;
        this.eta = config.eta();
        this.r = config.rank();
        this.w = w;
        long m = w.weight.rows();
        long n = w.weight.cols();
        gradA = device.allocate(type.accumulation(), r, n);
        closers.add(gradA::close);
        gradB = device.allocate(type.accumulation(), m, r);
        closers.add(gradB::close);
        inputs = new Activation(device, type, maxBatch, n, w.bColumn, r, w.bias != null);
        closers.add(inputs::close);
        outputGradients = new Activation(device, type, maxBatch, m, w.aRow, r, false);
        closers.add(outputGradients::close);
    }

    /** T = η·X·Aᵀ and Y = [X|1|T]·[W_fz|bias|B]ᵀ; while merged Y = 1·biasᵀ + X·W'ᵀ. T and Y are overwritten. */
    void forward(Matrix x, Matrix y) {
        long b = x.rows();
        long m = w.weight.rows();
        long n = w.weight.cols();
        boolean beside = inputs.holds(x);
        long border = !w.isMerged() ? w.outBorder.cols() : w.bias != null ? 1 : 0; // columns of [1|T] that count
        if (!w.isMerged()) {
            device.gemm(b, r, n, eta, x, Op.NONE, w.a(), Op.TRANSPOSE, 0, inputs.t(beside));
            if (beside) {
                device.gemm(b, m, n + border, 1, inputs.bordered(), Op.NONE, w.out, Op.TRANSPOSE, 0, y);
                return;
            }
        }
        if (border > 0) { // the small one first: then Y is written once more, not read and written
            device.gemm(b, m, border, 1, inputs.border, Op.NONE, w.outBorder, Op.TRANSPOSE, 0, y);
        }
        device.gemm(b, m, n, 1, x, Op.NONE, w.applied(), Op.TRANSPOSE, border > 0 ? 1 : 0, y);
    }

    /**
     * dT = η·dY·B, dB += dYᵀ·T, dA += dTᵀ·X and, unless {@code dx} is null, dX = [dY|dT]·[W_fz;A]. dT and dX are
     * overwritten, dX last: it may stand where X did.
     */
    void backward(Matrix x, Matrix dy, Matrix dx) {
        long b = x.rows();
        long m = w.weight.rows();
        long n = w.weight.cols();
        boolean beside = outputGradients.holds(dy);
        Matrix t = inputs.t(inputs.holds(x)); // (b, r)
        Matrix dt = outputGradients.t(beside); // (b, r)
        device.gemm(b, r, m, eta, dy, Op.NONE, w.b(), Op.NONE, 0, dt);
        device.gemm(m, r, b, 1, dy, Op.TRANSPOSE, t, Op.NONE, 1, gradB);
        device.gemm(r, n, b, 1, dt, Op.TRANSPOSE, x, Op.NONE, 1, gradA);
        if (dx == null) {
            return;
        }
        if (beside) {
            device.gemm(b, n, w.in.rows(), 1, outputGradients.bordered(), Op.NONE, w.in, Op.NONE, 0, dx);
        } else {
            device.gemm(b, n, w.inBorder.rows(), 1, outputGradients.border, Op.NONE, w.inBorder, Op.NONE, 0, dx);
            device.gemm(b, n, m, 1, dy, Op.NONE, w.weight, Op.NONE, 1, dx);
        }
    }
}
