package org.lora4j.device;

import java.util.List;

import org.lora4j.device.Counters.Call;

/**
 * A place where matrices live and are multiplied and factorised.
 *
 * <p>Every operation checks its arguments before anything native is called and counts what it does
 * ({@link #counters()}). All of them throw
 * <ul>
 *   <li>{@link IllegalStateException} when the device or one of the matrices is closed,
 *   <li>{@link WrongThreadException} when called by another thread than the device's owner,
 *   <li>{@link IllegalArgumentException} when shapes or types disagree, a matrix belongs to another device, a result
 *       overlaps an operand, or a dimension is beyond what the native library takes,
 *   <li>{@link NativeException} when the native library fails.
 * </ul>
 * A device is owned by the thread that opened it until {@link #handOver}; devices are independent of each other.
 * Closing it frees every matrix it allocated.
 */
public abstract sealed class Device extends DeviceElements permits HostDevice, CudaDevice {
    Device() {}

    private String choice = "asked for by name";

    /**
     * Opens the best device of this machine: the first GPU, or the host where no GPU can be used. {@link #choice} tells why,
     * and so does, once a device, the logger {@code org.lora4j} at level DEBUG.
     */
    public static Device open() {
        Device device;
        String choice;
        try {
            device = CudaDevice.open(0);
            choice = "a GPU was found";
        } catch (DeviceUnavailableException | NativeException | OutOfDeviceMemoryException e) {
            device = HostDevice.open();
            choice = "no GPU can be used: " + e.getMessage();
        }
        device.choice = choice;
        System.getLogger("org.lora4j").log(System.Logger.Level.DEBUG, "chosen: {0}; {1}", device.description(), choice);
        return device;
    }

    /** Every device of this machine, and for each that can't be used everything that was tried and why. */
    public static List<DeviceStatus> survey() {
        return DeviceStatus.all();
    }

    /** Why {@link #open()} chose this device, in words. */
    public final String choice() {
        return choice;
    }

    /** The device, its library and the library's threads, in words. */
    public abstract String description();

    /** The native library that does the work, in its own words where it has any. */
    public abstract String library();

    /** The least number of elements from {@code elements} on that is whole blocks of 16 bytes, where libraries are fast. */
    public final long aligned(DataType type, long elements) {
        long block = 16 / type.bytes();
        return Math.ceilDiv(elements, block) * block;
    }

    // ---- products

    /**
     * C ← α·op(A)·op(B) + β·C. With β = 0, C is not read. C must not overlap A or B. A and B have one type; C has the
     * same, or FLOAT32 where they have 16 bits. Products of 16 bits are summed in float32 and rounded once.
     *
     * @see <a href="https://www.netlib.org/blas/">BLAS xGEMM</a>
     */
    public final void gemm(double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        long k = opA == Op.NONE ? a.cols() : a.rows();
        Checks.gemmShapes(a, opA, b, opB, c);
        gemm(c.rows(), c.cols(), k, alpha, a, opA, b, opB, beta, c);
    }

    /**
     * C ← α·op(A)·op(B) + β·C for the leading blocks op(A) (m×k), op(B) (k×n) and C (m×n) of matrices at least as
     * large. Allocates nothing, whatever the sizes: fixed matrices serve batches of changing size.
     */
    public final void gemm(long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c) {
        enter();
        check(a);
        check(b);
        check(c);
        Checks.gemm(m, n, k, a, opA, b, opB, c, maxDimension());
        count(Call.GEMM);
        doGemm(m, n, k, alpha, a, opA, b, opB, beta, c);
    }

    /**
     * D = α·op(A)·op(B) + C in memory of its own, as {@code torch.addmm}; C is left as it is. Where op(A) and op(B) are thin, as A and B of an
     * adapter, the host reads C once and writes D once; else a copy is made, and added to. C must not overlap A or B; types as in {@link #gemm}.
     *
     * @return D, of C's shape and type, each row at whole blocks of 16 bytes, for the caller to close
     * @throws OutOfDeviceMemoryException when there is no room for D
     */
    public final Matrix addmm(Matrix c, double alpha, Matrix a, Op opA, Matrix b, Op opB) {
        enter();
        check(a);
        check(b);
        check(c);
        Checks.gemmShapes(a, opA, b, opB, c);
        Checks.gemm(c.rows(), c.cols(), opA == Op.NONE ? a.cols() : a.rows(), a, opA, b, opB, c, maxDimension());
        count(Call.GEMM);
        long ld = aligned(c.type(), c.cols());
        Matrix d = allocateUnset(c.type(), c.rows(), c.cols(), Math.max(1, ld <= maxDimension() ? ld : c.cols()));
        try {
            if (c.rows() > 0 && c.cols() > 0) {
                doAddmm(c, alpha, a, opA, b, opB, d);
            }
            return d;
        } catch (RuntimeException e) {
            d.close();
            throw e;
        }
    }

    /**
     * Y ← G·V and, unless {@code z} is null, Z ← Gᵀ·Y, reading G once where the device can: the step of a power or
     * Krylov method. The operands must not overlap.
     *
     * @param g m×n, not modified
     * @param v n×k with few columns, not modified
     * @param y m×k, overwritten
     * @param z n×k, overwritten; null if it is not wanted
     */
    public final void powerStep(Matrix g, Matrix v, Matrix y, Matrix z) {
        checkPowerStep(g, v, y, z);
        count(Call.POWER_STEP);
        doPowerStep(g, v, y, z);
    }

    /** The same as {@link #powerStep}; returns Σᵢⱼ Gᵢⱼ², as {@link #dot dot(g, g)}, from the same pass over G where the device can. */
    public final double powerStepAndNorm(Matrix g, Matrix v, Matrix y, Matrix z) {
        checkPowerStep(g, v, y, z);
        count(Call.POWER_STEP);
        return doPowerStepAndNorm(g, v, y, z);
    }

    private void checkPowerStep(Matrix g, Matrix v, Matrix y, Matrix z) {
        if (z == null) {
            checkOperands("powerStep", g, v, y);
        } else {
            checkOperands("powerStep", g, v, y, z);
            Checks.shape("powerStep: z", z, g.cols(), v.cols());
        }
        Checks.shape("powerStep: v", v, g.cols(), v.cols());
        Checks.shape("powerStep: y", y, g.rows(), v.cols());
    }

    /**
     * Says that {@link #powerStep}s of G with {@code k} columns follow, and small products between them, until the result is
     * closed. On the host, power steps have threads of their own, which BLAS's would get in the way of: looking for work,
     * these keep the processors busy for some 25 ms after each product. So BLAS has one thread meanwhile (in the process).
     */
    public final PowerSteps powerSteps(Matrix g, long k) {
        enter();
        check(g);
        return doPowerSteps(g, k);
    }

    /** The time of some power steps; closing it again does nothing. */
    public interface PowerSteps extends AutoCloseable {
        @Override
        void close();
    }

    // ---- factorisations

    /**
     * A = U·diag(s)·Vᵀ with k = min(m, n), s descending, checked for orthogonality and residual. A is not modified;
     * its scale doesn't matter.
     * The signs of singular pairs are the library's.
     *
     * @param a m×n, finite
     * @param u m×k, overwritten
     * @param s 1×k, overwritten
     * @param vt k×n, overwritten
     * @throws NativeException when no method converges to a result that passes the check
     */
    public final void svd(Matrix a, Matrix u, Matrix s, Matrix vt) {
        checkFactorisation("svd", a, u, s, vt);
        long k = Math.min(a.rows(), a.cols());
        Checks.shape("svd: u", u, a.rows(), k);
        Checks.shape("svd: s", s, 1, k);
        Checks.shape("svd: vt", vt, k, a.cols());
        Checks.finite("svd: a", a, doLargest(a));
        count(Call.SVD);
        doSvd(a, u, s, vt);
    }

    /**
     * A = Q·R. A (m×n, m ≥ n) is overwritten by Q with orthonormal columns, {@code r} (n×n) by the upper triangular R
     * whose diagonal is not negative, which makes both unique where A has full rank.
     */
    public final void qr(Matrix a, Matrix r) {
        checkFactorisation("qr", a, r);
        if (a.rows() < a.cols()) {
            throw new IllegalArgumentException("qr of a matrix of " + a.shape() + ": it must have at least as many rows as columns");
        }
        Checks.shape("qr: r", r, a.cols(), a.cols());
        Checks.finite("qr: a", a, doLargest(a));
        count(Call.QR);
        doQr(a, r);
    }

    /**
     * A = L·Lᵀ. The lower triangle of the symmetric A is read; A is overwritten by L, zeros above the diagonal.
     *
     * @throws NativeException with code i when the leading minor of order i is not positive definite
     */
    public final void cholesky(Matrix a) {
        checkFactorisation("cholesky", a);
        Checks.shape("cholesky: a", a, a.rows(), a.rows());
        count(Call.CHOLESKY);
        doCholesky(a);
    }

    /** Solves op(T)·X = α·B (left) or X·op(T) = α·B (right); B is overwritten by X. */
    public final void triangularSolve(Side side, Triangle triangle, Op op, double alpha, Matrix t, Matrix b) {
        checkOperands("triangularSolve", t, b);
        Checks.factorisable("triangularSolve", t);
        long n = side == Side.LEFT ? b.rows() : b.cols();
        Checks.shape("triangularSolve: t", t, n, n);
        count(Call.TRIANGULAR_SOLVE);
        doTriangularSolve(side, triangle, op, alpha, t, b);
    }

    /**
     * A = Qᵀ·diag(w)·Q. The lower triangle of the symmetric A is read; A is overwritten by Q, whose rows are the
     * eigenvectors; {@code w} (1×n) by the eigenvalues, ascending.
     *
     * @throws NativeException when it doesn't converge, as with a NaN in the lower triangle
     */
    public final void symmetricEigen(Matrix a, Matrix w) {
        checkFactorisation("symmetricEigen", a, w);
        Checks.shape("symmetricEigen: a", a, a.rows(), a.rows());
        Checks.shape("symmetricEigen: w", w, 1, a.rows());
        count(Call.SYMMETRIC_EIGEN);
        doSymmetricEigen(a, w);
    }

    /** Checks operands that LAPACK or cuSOLVER will get, which count elements in 32 bits. */
    private void checkFactorisation(String what, Matrix... operands) {
        checkOperands(what, operands);
        for (Matrix a : operands) {
            Checks.factorisable(what, a);
            Checks.span(what, a);
        }
    }

    /** Checks that operands have the first one's type and don't overlap. */
    private void checkOperands(String what, Matrix... operands) {
        enter();
        for (int i = 0; i < operands.length; i++) {
            Matrix a = operands[i];
            check(a);
            Checks.sameType(what, operands[0], a);
            Checks.dimensions(what, a, maxDimension());
            for (int j = 0; j < i; j++) {
                Checks.noOverlap(what, a, a.rows(), a.cols(), operands[j], operands[j].rows(), operands[j].cols());
            }
        }
    }

    // ---- what a device implements; arguments have been checked

    /** The largest dimension or leading dimension that the native library takes. */
    abstract long maxDimension();

    abstract void doGemm(long m, long n, long k, double alpha, Matrix a, Op opA, Matrix b, Op opB, double beta, Matrix c);

    /** D ← α·op(A)·op(B) + C; not empty. */
    void doAddmm(Matrix c, double alpha, Matrix a, Op opA, Matrix b, Op opB, Matrix d) {
        count(Call.COPY);
        doCopy(c, d);
        doGemm(d.rows(), d.cols(), opA == Op.NONE ? a.cols() : a.rows(), alpha, a, opA, b, opB, 1, d);
    }

    void doPowerStep(Matrix g, Matrix v, Matrix y, Matrix z) {
        doGemm(g.rows(), v.cols(), g.cols(), 1, g, Op.NONE, v, Op.NONE, 0, y);
        if (z != null) {
            doGemm(g.cols(), v.cols(), g.rows(), 1, g, Op.TRANSPOSE, y, Op.NONE, 0, z);
        }
    }

    double doPowerStepAndNorm(Matrix g, Matrix v, Matrix y, Matrix z) {
        doPowerStep(g, v, y, z);
        count(Call.ELEMENTWISE);
        return doDot(g, g);
    }

    PowerSteps doPowerSteps(Matrix g, long k) {
        return () -> {};
    }

    abstract void doSvd(Matrix a, Matrix u, Matrix s, Matrix vt);

    abstract void doQr(Matrix a, Matrix r);

    abstract void doCholesky(Matrix a);

    abstract void doTriangularSolve(Side side, Triangle triangle, Op op, double alpha, Matrix t, Matrix b);

    abstract void doSymmetricEigen(Matrix a, Matrix w);
}
