/* cuSOLVER by identities: A = U S V', A = QR, A = L L', A V = V W; and what it refuses. */
#include "check.h"

#define CAPACITY 4096
#define TYPED(wide, d, s) ((wide) ? (int)(d) : (int)(s))

static double a[CAPACITY], x[CAPACITY], y[CAPACITY], s[CAPACITY];
static gesvdjInfo_t svd;
static int info;

static double *read_back(double *to, const void *device, int wide, int count)
{
    float narrow[CAPACITY];
    if (wide) from_device(to, device, (size_t)count * 8);
    else from_device(narrow, device, (size_t)count * 4);
    for (int i = 0; !wide && i < count; i++) to[i] = narrow[i];
    return to;
}

static void *put(const double *from, int wide, int count)
{
    float narrow[CAPACITY];
    for (int i = 0; i < count; i++) narrow[i] = (float)from[i];
    return wide ? on_device(from, (size_t)count * 8) : on_device(narrow, (size_t)count * 4);
}

static void *room(int wide, int count)
{
    return device_memory((size_t)count * (wide ? 8 : 4));
}

static void random_matrix(int rows, int columns, int ld)
{
    for (int i = 0; i < ld * columns; i++) a[i] = i % ld < rows ? (double)(float)uniform() : NAN;
}

static int info_now(const void *device)
{
    from_device(&info, device, 4);
    return info;
}

static double eps(int wide)
{
    return wide ? 0x1p-52 : 0x1p-23;
}

static int min(int p, int q)
{
    return p < q ? p : q;
}

static int gesvdj(int wide, int job, int econ, int m, int n, void *da, int lda, void *ds, void *du, int ldu, void *dv, int ldv, void *w,
    int lwork, int *dinfo)
{
    return TYPED(wide, cusolverDnDgesvdj(solver, job, econ, m, n, da, lda, ds, du, ldu, dv, ldv, w, lwork, dinfo, svd),
        cusolverDnSgesvdj(solver, job, econ, m, n, da, lda, ds, du, ldu, dv, ldv, w, lwork, dinfo, svd));
}

static void singular(int wide, int m, int n, int econ, int fails)
{
    int lda = m + 1, ldu = m + 2, ldv = n + 1, k = min(m, n), nu = econ ? k : m, nv = econ ? k : n, lwork = 0, sweeps;
    double residual;
    random_matrix(m, n, lda);
    void *da = put(a, wide, lda * n), *ds = room(wide, k), *du = room(wide, ldu * nu), *dv = room(wide, ldv * nv), *di = device_memory(4);
    OK(TYPED(wide, cusolverDnDgesvdj_bufferSize(solver, 1, econ, m, n, da, lda, ds, du, ldu, dv, ldv, &lwork, svd),
        cusolverDnSgesvdj_bufferSize(solver, 1, econ, m, n, da, lda, ds, du, ldu, dv, ldv, &lwork, svd)));
    void *w = room(wide, lwork);
    simcuda_no_convergence(fails);
    OK(gesvdj(wide, 1, econ, m, n, da, lda, ds, du, ldu, dv, ldv, w, lwork, di));
    CHECK(info_now(di) == (fails ? k + 1 : 0));
    OK(cusolverDnXgesvdjGetSweeps(solver, svd, &sweeps));
    OK(cusolverDnXgesvdjGetResidual(solver, svd, &residual));
    read_back(x, du, wide, ldu * nu);
    read_back(y, dv, wide, ldv * nv);
    read_back(s, ds, wide, k);
    double worst = 0;
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < m; i++) {
            double sum = 0;
            for (int l = 0; l < k; l++) sum += x[l * ldu + i] * s[l] * y[l * ldv + j];
            worst = fmax(worst, fabs(sum - a[j * lda + i]));
        }
    }
    for (int l = 1; l < k; l++) CHECK(s[l] <= s[l - 1] && s[l] >= 0);
    CHECK(fails ? isfinite(worst) && worst > 1e-4 && residual > 1e-4 : worst < 200 * eps(wide) && residual < 1e-4 && sweeps > 0);
    double dot = 0; /* the last columns of U are orthogonal in a full decomposition too */
    for (int i = 0; i < m && nu > 1; i++) dot += x[(nu - 1) * ldu + i] * x[(nu - 2) * ldu + i];
    if (!fails) CHECK(fabs(dot) < 100 * eps(wide));
    read_back(x, da, wide, lda * n);
    CHECK(isnan(x[0]) && isnan(x[lda * (n - 1) + m - 1])); /* A is destroyed */
    read_back(x, w, wide, lwork);
    CHECK(isnan(x[0]) && isnan(x[lwork - 1])); /* so is the workspace */
    CHECK(simcuda_violations() == 0);
}

static void batch(int wide, int m, int n, int count)
{
    int k = min(m, n), lwork = 0, infos[8], lda = m, ldu = m, ldv = n;
    random_matrix(m, n * count, m);
    void *da = put(a, wide, m * n * count), *ds = room(wide, k * count), *du = room(wide, m * m * count), *dv = room(wide, n * n * count);
    int *di = device_memory(4 * (size_t)count);
    OK(TYPED(wide, cusolverDnDgesvdjBatched_bufferSize(solver, 1, m, n, da, lda, ds, du, ldu, dv, ldv, &lwork, svd, count),
        cusolverDnSgesvdjBatched_bufferSize(solver, 1, m, n, da, lda, ds, du, ldu, dv, ldv, &lwork, svd, count)));
    void *w = room(wide, lwork);
    OK(TYPED(wide, cusolverDnDgesvdjBatched(solver, 1, m, n, da, lda, ds, du, ldu, dv, ldv, w, lwork, di, svd, count),
        cusolverDnSgesvdjBatched(solver, 1, m, n, da, lda, ds, du, ldu, dv, ldv, w, lwork, di, svd, count)));
    from_device(infos, di, 4 * (size_t)count);
    read_back(x, du, wide, m * m * count);
    read_back(y, dv, wide, n * n * count);
    read_back(s, ds, wide, k * count);
    double worst = 0;
    for (int at = 0; at < count; at++) {
        CHECK(infos[at] == 0);
        for (int e = 0; e < m * n; e++) {
            double sum = 0;
            for (int l = 0; l < k; l++) sum += x[at * m * m + l * m + e % m] * s[at * k + l] * y[at * n * n + l * n + e / m];
            worst = fmax(worst, fabs(sum - a[at * m * n + e]));
        }
    }
    CHECK(worst < 200 * eps(wide));
}

static void orthogonal(int wide, int m, int n)
{
    int lda = m + 3, lwork, more;
    random_matrix(m, n, lda);
    void *da = put(a, wide, lda * n), *tau = room(wide, n), *di = device_memory(4);
    OK(TYPED(wide, cusolverDnDgeqrf_bufferSize(solver, m, n, da, lda, &lwork), cusolverDnSgeqrf_bufferSize(solver, m, n, da, lda, &lwork)));
    OK(TYPED(wide, cusolverDnDorgqr_bufferSize(solver, m, n, n, da, lda, tau, &more),
        cusolverDnSorgqr_bufferSize(solver, m, n, n, da, lda, tau, &more)));
    void *w = room(wide, lwork > more ? lwork : more);
    OK(TYPED(wide, cusolverDnDgeqrf(solver, m, n, da, lda, tau, w, lwork, di), cusolverDnSgeqrf(solver, m, n, da, lda, tau, w, lwork, di)));
    CHECK(info_now(di) == 0);
    read_back(y, da, wide, lda * n); /* R above */
    OK(TYPED(wide, cusolverDnDorgqr(solver, m, n, n, da, lda, tau, w, more, di), cusolverDnSorgqr(solver, m, n, n, da, lda, tau, w, more, di)));
    CHECK(info_now(di) == 0);
    read_back(x, da, wide, lda * n);
    double worst = 0;
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < m; i++) {
            double sum = 0;
            for (int l = 0; l <= j; l++) sum += x[l * lda + i] * y[j * lda + l];
            worst = fmax(worst, fabs(sum - a[j * lda + i]));
        }
        for (int l = 0; l <= j; l++) {
            double dot = 0;
            for (int i = 0; i < m; i++) dot += x[j * lda + i] * x[l * lda + i];
            worst = fmax(worst, fabs(dot - (j == l)));
        }
    }
    CHECK(worst < 100 * eps(wide));
}

static void symmetric(int wide, int upper, int n)
{
    int lda = n + 2, lwork;
    double g[CAPACITY], whole[CAPACITY];
    for (int i = 0; i < n * n; i++) g[i] = uniform();
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < n; i++) {
            double sum = i == j ? 1 : 0;
            for (int l = 0; l < n; l++) sum += g[l * n + i] * g[l * n + j];
            whole[j * lda + i] = sum;
            a[j * lda + i] = (upper ? i <= j : i >= j) ? sum : 77;
        }
    }
    void *da = put(a, wide, lda * n), *di = device_memory(4), *values = room(wide, n);
    OK(TYPED(wide, cusolverDnDpotrf_bufferSize(solver, upper, n, da, lda, &lwork), cusolverDnSpotrf_bufferSize(solver, upper, n, da, lda, &lwork)));
    void *w = room(wide, lwork);
    OK(TYPED(wide, cusolverDnDpotrf(solver, upper, n, da, lda, w, lwork, di), cusolverDnSpotrf(solver, upper, n, da, lda, w, lwork, di)));
    CHECK(info_now(di) == 0);
    read_back(x, da, wide, lda * n);
    double worst = 0;
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < n; i++) {
            double sum = 0;
            for (int l = 0; l <= min(i, j); l++) sum += upper ? x[i * lda + l] * x[j * lda + l] : x[l * lda + i] * x[l * lda + j];
            worst = fmax(worst, fabs(sum - whole[j * lda + i]));
            if (upper ? i > j : i < j) CHECK(x[j * lda + i] == 77);
        }
    }
    CHECK(worst < 50 * n * eps(wide));

    da = put(a, wide, lda * n);
    OK(TYPED(wide, cusolverDnDsyevd_bufferSize(solver, 1, upper, n, da, lda, values, &lwork),
        cusolverDnSsyevd_bufferSize(solver, 1, upper, n, da, lda, values, &lwork)));
    w = room(wide, lwork);
    OK(TYPED(wide, cusolverDnDsyevd(solver, 1, upper, n, da, lda, values, w, lwork, di), cusolverDnSsyevd(solver, 1, upper, n, da, lda, values, w, lwork, di)));
    CHECK(info_now(di) == 0);
    read_back(x, da, wide, lda * n);
    read_back(s, values, wide, n);
    worst = 0;
    for (int j = 0; j < n; j++) {
        if (j) CHECK(s[j] >= s[j - 1]);
        for (int i = 0; i < n; i++) {
            double sum = 0;
            for (int l = 0; l < n; l++) sum += whole[l * lda + i] * x[j * lda + l];
            worst = fmax(worst, fabs(sum - s[j] * x[j * lda + i]));
        }
    }
    CHECK(worst < 100 * n * eps(wide));

    a[lda * (n - 1) + n - 1] = -1; /* not positive definite */
    da = put(a, wide, lda * n);
    OK(TYPED(wide, cusolverDnDpotrf(solver, upper, n, da, lda, w, lwork, di), cusolverDnSpotrf(solver, upper, n, da, lda, w, lwork, di)));
    CHECK(info_now(di) == n);
    da = put(a, wide, lda * n);
    OK(TYPED(wide, cusolverDnDsyevd(solver, 0, upper, n, da, lda, values, w, lwork, di), cusolverDnSsyevd(solver, 0, upper, n, da, lda, values, w, lwork, di)));
    read_back(x, da, wide, lda * n);
    CHECK(info_now(di) == 0 && (upper ? isnan(x[lda]) : isnan(x[1]))); /* destroyed */
}

static void bad_numbers(int wide, double bad)
{
    int n = 5, lwork;
    for (int i = 0; i < n * n; i++) a[i] = i % (n + 1) == 0 ? 4 : 0.5;
    a[7] = a[11] = bad;
    void *tau = room(wide, n), *u = room(wide, n * n), *v = room(wide, n * n), *di = device_memory(4), *w = room(wide, 4000);
    lwork = 4000;
    OK(gesvdj(wide, 1, 1, n, n, put(a, wide, n * n), n, tau, u, n, v, n, w, lwork, di));
    info_now(di);
    CHECK(info == 0 || info == n + 1);
    read_back(s, tau, wide, n);
    read_back(x, u, wide, n * n);
    read_back(y, v, wide, n * n);
    CHECK(isnan(s[0]) && isnan(x[0]) && isnan(y[0]));
    for (int job = 0; job < 2; job++) {
        void *da = put(a, wide, n * n);
        OK(TYPED(wide, cusolverDnDsyevd(solver, job, 0, n, da, n, tau, w, lwork, di), cusolverDnSsyevd(solver, job, 0, n, da, n, tau, w, lwork, di)));
        CHECK(info_now(di) >= 0 && isnan(read_back(s, tau, wide, n)[0]));
    }
    void *da = put(a, wide, n * n);
    OK(TYPED(wide, cusolverDnDpotrf(solver, 0, n, da, n, w, lwork, di), cusolverDnSpotrf(solver, 0, n, da, n, w, lwork, di)));
    CHECK(info_now(di) >= 0 && info <= n);
    da = put(a, wide, n * n);
    OK(TYPED(wide, cusolverDnDgeqrf(solver, n, n, da, n, tau, w, lwork, di), cusolverDnSgeqrf(solver, n, n, da, n, tau, w, lwork, di)));
    OK(TYPED(wide, cusolverDnDorgqr(solver, n, n, n, da, n, tau, w, lwork, di), cusolverDnSorgqr(solver, n, n, n, da, n, tau, w, lwork, di)));
    CHECK(info_now(di) == 0);
    CHECK(simcuda_violations() == 0);
}

static void rules(void)
{
    fresh();
    OK(cusolverDnCreateGesvdjInfo(&svd));
    float *da = device_memory(4096), *ds = device_memory(4096), *du = device_memory(4096), *dv = device_memory(4096), *w = device_memory(65536);
    int *di = device_memory(4), lwork, sweeps, unused;
    double residual;
    OK(cusolverDnSgesvdj_bufferSize(solver, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 4, &lwork, svd));
    CHECK(simcuda_violations() == 0);
    VIOLATES(cusolverDnXgesvdjGetSweeps(solver, svd, &sweeps) != 0, 1, "");
    VIOLATES(gesvdj(0, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 4, w, lwork - 1, di), 3, "");
    VIOLATES(gesvdj(0, 1, 1, 6, 4, da, 5, ds, du, 6, dv, 4, w, lwork, di), 3, "");
    VIOLATES(gesvdj(0, 1, 1, 6, 4, da, 6, ds, du, 5, dv, 4, w, lwork, di), 3, "");
    VIOLATES(gesvdj(0, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 3, w, lwork, di), 3, "");
    VIOLATES(gesvdj(0, 2, 1, 6, 4, da, 6, ds, du, 6, dv, 4, w, lwork, di), 3, "");
    VIOLATES(gesvdj(0, 1, 2, 6, 4, da, 6, ds, du, 6, dv, 4, w, lwork, di), 3, "");
    VIOLATES(gesvdj(0, 1, 1, -6, 4, da, 6, ds, du, 6, dv, 4, w, lwork, di), 3, "");
    VIOLATES(gesvdj(0, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 4, w, lwork, &unused), 3, "");
    VIOLATES(gesvdj(0, 1, 1, 6, 4, da, 6, ds, da, 6, dv, 4, w, lwork, di), 3, "");
    VIOLATES(gesvdj(0, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 4, NULL, lwork, di), 3, "");
    VIOLATES(cusolverDnSgesvdj(solver, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 4, w, lwork, di, NULL), 3, "");
    VIOLATES(cusolverDnSgesvdj(NULL, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 4, w, lwork, di, svd), 1, "");
    OK(cudaMemsetAsync(da, 0, 4096, stream));
    OK(gesvdj(0, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 4, w, lwork, di));
    VIOLATES(cusolverDnXgesvdjGetResidual(solver, svd, &residual) != 0, 1, ""); /* has not run */
    OK(cudaStreamSynchronize(stream));
    OK(cusolverDnXgesvdjGetResidual(solver, svd, &residual));
    OK(cusolverDnSgesvdjBatched_bufferSize(solver, 1, 4, 4, da, 4, ds, du, 4, dv, 4, &lwork, svd, 2));
    OK(cudaMemsetAsync(da, 0, 4096, stream));
    OK(cusolverDnSgesvdjBatched(solver, 1, 4, 4, da, 4, ds, du, 4, dv, 4, w, lwork, device_memory(8), svd, 2));
    OK(cudaStreamSynchronize(stream));
    VIOLATES(cusolverDnXgesvdjGetSweeps(solver, svd, &sweeps), 9, "");
    VIOLATES(cusolverDnSgesvdjBatched_bufferSize(solver, 1, 33, 4, da, 33, ds, du, 33, dv, 4, &lwork, svd, 1), 3, "");
    VIOLATES(cusolverDnSgesvdj_bufferSize(solver, 1, 1, INT32_MAX, INT32_MAX, da, INT32_MAX, ds, du, INT32_MAX, dv, INT32_MAX, &lwork, svd), 3, "");
    VIOLATES(cusolverDnSgeqrf_bufferSize(solver, 4, INT32_MAX, da, 4, &lwork), 3, "");
    OK(cusolverDnSgeqrf_bufferSize(solver, 6, 4, da, 6, &lwork));
    VIOLATES(cusolverDnSgeqrf(solver, 6, 4, da, 6, ds, w, lwork - 1, di), 3, "");
    VIOLATES(cusolverDnSgeqrf(solver, 6, 4, da, 5, ds, w, lwork, di), 3, "");
    VIOLATES(cusolverDnSorgqr(solver, 4, 6, 4, da, 6, ds, w, 4000, di), 3, "");
    VIOLATES(cusolverDnSorgqr_bufferSize(solver, 6, 4, 5, da, 6, ds, &lwork), 3, "");
    VIOLATES(cusolverDnSpotrf_bufferSize(solver, 7, 4, da, 4, &lwork), 3, "");
    VIOLATES(cusolverDnSpotrf(solver, 7, 4, da, 4, w, 4000, di), 3, "");
    VIOLATES(cusolverDnSsyevd_bufferSize(solver, 5, 0, 4, da, 4, ds, &lwork), 3, "");
    VIOLATES(cusolverDnSsyevd(solver, 1, 0, 4, da, 3, ds, w, 4000, di), 3, "");
    VIOLATES(cusolverDnXgesvdjSetMaxSweeps(svd, 0), 3, "");
    OK(cusolverDnXgesvdjSetMaxSweeps(svd, 1)); /* too few for anything to converge */
    OK(cudaMemsetAsync(da, 0x3f, 4096, stream));
    OK(gesvdj(0, 1, 1, 6, 4, da, 6, ds, du, 6, dv, 4, w, 8000, di));
    CHECK(info_now(di) == 5);
    OK(cusolverDnDestroyGesvdjInfo(svd));
    VIOLATES(cusolverDnDestroyGesvdjInfo(svd), 3, "");
}

void test_solver(void)
{
    OK(cusolverDnCreateGesvdjInfo(&svd));
    OK(cusolverDnXgesvdjSetTolerance(svd, 1e-7));
    for (int wide = 0; wide < 2; wide++) {
        for (int econ = 0; econ < 2; econ++) {
            singular(wide, 9, 5, econ, 0);
            singular(wide, 5, 9, econ, 0);
            singular(wide, 1, 1, econ, 0);
            singular(wide, 6, 6, econ, 1);
        }
        batch(wide, 7, 4, 3);
        batch(wide, 4, 7, 2);
        orthogonal(wide, 12, 5);
        orthogonal(wide, 1, 1);
        symmetric(wide, 0, 7);
        symmetric(wide, 1, 7);
        bad_numbers(wide, NAN);
        bad_numbers(wide, INFINITY);
    }
    CHECK(simcuda_violations() == 0);
    if (simcuda_violations()) printf("%s\n", simcuda_violation());
    rules();
}
