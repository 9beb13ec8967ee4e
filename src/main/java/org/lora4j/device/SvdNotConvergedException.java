package org.lora4j.device;

/** Jacobi's method for the SVD did not converge within its sweeps. The device is still usable. */
public class SvdNotConvergedException extends NativeException {
    private static final long serialVersionUID = 1L;

    private final int sweeps;
    private final double residual;

    SvdNotConvergedException(String call, int code, int sweeps, double residual) {
        super(call, code, "not converged after " + sweeps + " sweeps, residual " + residual
                + "; more sweeps or a larger tolerance can be had by CudaOptions");
        this.sweeps = sweeps;
        this.residual = residual;
    }

    /** How many sweeps were made. */
    public int sweeps() {
        return sweeps;
    }

    /** What is left beside the diagonal (Frobenius), as the library tells; NaN where it doesn't. */
    public double residual() {
        return residual;
    }
}
