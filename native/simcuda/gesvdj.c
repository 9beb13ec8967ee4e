/* The SVD of cuSOLVER by Jacobi's method, simulated by LAPACK's. A is destroyed; V is given, not its transpose. */
#include "solver.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_OF_BATCH 32
#define SWEEPS 7 /* that any matrix of more than one row and column takes; fewer allowed: it doesn't converge */

typedef struct SvdInfo {
    Object object;
    double tolerance;
    int max_sweeps;
    bool called, batched, done; /* of the last gesvdj: whether there was one, and whether it has run */
    int sweeps;
    double residual;
} SvdInfo;

static SvdInfo *info_of(Call *call, gesvdjInfo_t options)
{
    SvdInfo *found = call->status ? NULL : object_find(SVD_INFO, options);
    if (!call->status && !found) {
        violated(call, CUSOLVER_STATUS_INVALID_VALUE, "gesvdjInfo %p does not exist or is destroyed", (void *)options);
    }
    return found;
}

EXPORT cusolverStatus_t cusolverDnCreateGesvdjInfo(gesvdjInfo_t *options)
{
    BEGIN;
    if (!call.status && host_pointer(&call, "info", options)) {
        SvdInfo *made = object_create(SVD_INFO, sizeof *made, current_device());
        if (made) {
            made->max_sweeps = 100;
            *options = (gesvdjInfo_t)made->object.handle;
        } else {
            failed(&call, CUSOLVER_STATUS_ALLOC_FAILED);
        }
    }
    END;
}

EXPORT cusolverStatus_t cusolverDnDestroyGesvdjInfo(gesvdjInfo_t options)
{
    BEGIN;
    SvdInfo *found = object_find(SVD_INFO, options);
    if (found) object_destroy(found);
    else violated(&call, CUSOLVER_STATUS_INVALID_VALUE, "gesvdjInfo %p does not exist or is destroyed", (void *)options);
    END;
}

EXPORT cusolverStatus_t cusolverDnXgesvdjSetTolerance(gesvdjInfo_t options, double tolerance)
{
    BEGIN;
    SvdInfo *info = info_of(&call, options);
    if (info && !(tolerance > 0)) violated(&call, CUSOLVER_STATUS_INVALID_VALUE, "the tolerance is %g", tolerance);
    else if (info) info->tolerance = tolerance;
    END;
}

EXPORT cusolverStatus_t cusolverDnXgesvdjSetMaxSweeps(gesvdjInfo_t options, int sweeps)
{
    BEGIN;
    SvdInfo *info = info_of(&call, options);
    if (info && at_least(&call, "max_sweeps", sweeps, 1)) info->max_sweeps = sweeps;
    END;
}

/* The last gesvdj has run; NULL after a violation. */
static SvdInfo *finished(Call *call, cusolverDnHandle_t handle, gesvdjInfo_t options, const void *answer)
{
    Stream *stream;
    SvdInfo *info = handle_of(call, handle, &stream) ? info_of(call, options) : NULL;
    if (!info || !host_pointer(call, "the answer", answer)) return NULL;
    if (info->batched) {
        violated(call, CUSOLVER_STATUS_NOT_SUPPORTED, "asked after gesvdjBatched, which has none");
        return NULL;
    }
    if (!info->done && sim.compute) {
        violated(call, CUSOLVER_STATUS_INTERNAL_ERROR, "asked before a gesvdj has run: nothing has waited for it");
        return NULL;
    }
    return info;
}

EXPORT cusolverStatus_t cusolverDnXgesvdjGetSweeps(cusolverDnHandle_t handle, gesvdjInfo_t options, int *sweeps)
{
    BEGIN;
    SvdInfo *info = finished(&call, handle, options, sweeps);
    if (info) *sweeps = info->sweeps;
    END;
}

EXPORT cusolverStatus_t cusolverDnXgesvdjGetResidual(cusolverDnHandle_t handle, gesvdjInfo_t options, double *residual)
{
    BEGIN;
    SvdInfo *info = finished(&call, handle, options, residual);
    if (info) *residual = info->residual;
    END;
}

/* ---- the decomposition */

typedef struct Svd {
    bool single, vectors, econ, converges, wrong;
    int m, n, lda, ldu, ldv, lwork, batches;
    char *a, *s, *u, *v, *work;
    int *info;
    uintptr_t options;
} Svd;

static int least(int x, int y)
{
    return x < y ? x : y;
}

static int most(int x, int y)
{
    return x > y ? x : y;
}

/* Columns of U and of V. */
static int columns(const Svd *d, int rows)
{
    return d->econ ? least(d->m, d->n) : rows;
}

static int lapack(const Svd *d, void *a, void *s, void *u, void *vt, int ldvt)
{
    char job = !d->vectors ? 'N' : d->econ ? 'S' : 'A';
    return d->single ? LAPACKE_sgesdd(LAPACK_COL_MAJOR, job, d->m, d->n, a, d->lda, s, u, d->ldu, vt, ldvt)
        : LAPACKE_dgesdd(LAPACK_COL_MAJOR, job, d->m, d->n, a, d->lda, s, u, d->ldu, vt, ldvt);
}

static void one(const Svd *d, int batch, double *largest)
{
    size_t size = d->single ? 4 : 8;
    cudaDataType type = d->single ? CUDA_R_32F : CUDA_R_64F;
    int k = least(d->m, d->n), nv = columns(d, d->n), nu = columns(d, d->m);
    char *a = d->a + (size_t)batch * (size_t)d->lda * (size_t)d->n * size;
    char *s = d->s + (size_t)batch * (size_t)k * size;
    char *u = d->vectors ? d->u + (size_t)batch * (size_t)d->ldu * (size_t)nu * size : NULL;
    char *v = d->vectors ? d->v + (size_t)batch * (size_t)d->ldv * (size_t)nv * size : NULL;
    char *vt = need((size_t)nv * (size_t)d->n * size);
    int info = all_finite(a, d->single, d->m, d->n, d->lda) ? lapack(d, a, s, u, vt, most(1, nv)) : -1;
    if (info) {
        fill_nan(s, (size_t)k * size);
        fill_nan(vt, (size_t)nv * (size_t)d->n * size);
        if (u) columns_nan(u, d->single, d->m, nu, d->ldu);
    }
    *largest = fmax(*largest, number_at(s, type, 0));
    for (size_t j = 0; v && j < (size_t)nv; j++) {
        for (size_t i = 0; i < (size_t)d->n; i++) number_put(v, type, j * (size_t)d->ldv + i, number_at(vt, type, i * (size_t)nv + j));
    }
    for (size_t i = 0; (!d->converges || d->wrong) && v && i < (size_t)d->n; i++) { /* plausible, but wrong */
        number_put(v, type, i, 1.01 * number_at(v, type, i));
    }
    for (size_t j = 0; j < (size_t)d->n; j++) fill_nan(a + j * (size_t)d->lda * size, (size_t)d->m * size);
    d->info[batch] = d->converges ? 0 : k + 1;
    free(vt);
}

static void run_svd(void *arguments)
{
    const Svd *d = arguments;
    fill_nan(d->work, (size_t)d->lwork * (d->single ? 4 : 8));
    double largest = 0, epsilon = d->single ? 0x1p-23 : 0x1p-52;
    for (int i = 0; i < d->batches; i++) one(d, i, &largest);
    SvdInfo *info = object_find(SVD_INFO, (const void *)d->options);
    if (info) {
        info->done = true;
        info->sweeps = d->converges ? least(SWEEPS, info->max_sweeps) : info->max_sweeps;
        info->residual = largest * (d->converges ? epsilon : 1e-2);
    }
}

static long long work_size(int m, int n, int batches)
{
    return (4LL * m + 4LL * n + 64) * batches;
}

static bool sizes(Call *call, int job, int econ, int m, int n, int lda, int ldu, int ldv, bool batched, int batches)
{
    if (job < 0 || job > 1 || econ < 0 || econ > 1) return violated(call, CUSOLVER_STATUS_INVALID_VALUE, "job is %d, econ %d", job, econ);
    if (batched && (m > LARGEST_OF_BATCH || n > LARGEST_OF_BATCH)) {
        return violated(call, CUSOLVER_STATUS_INVALID_VALUE, "%d by %d; gesvdjBatched takes at most %d", m, n, LARGEST_OF_BATCH);
    }
    return at_least(call, "m", m, 1) && at_least(call, "n", n, 1) && at_least(call, "lda", lda, m) && at_least(call, "batchSize", batches, 1)
        && at_least(call, "ldu", ldu, job ? m : 1) && at_least(call, "ldv", ldv, job ? n : 1);
}

static void gesvdj(Call *call, const void *handle, bool single, bool batched, int job, int econ, int m, int n, void *a, int lda, void *s,
    void *u, int ldu, void *v, int ldv, void *work, int lwork, int *info, gesvdjInfo_t options, int batches)
{
    Stream *stream;
    LibraryHandle *h = handle_of(call, handle, &stream);
    SvdInfo *known = h ? info_of(call, options) : NULL;
    if (!known || !sizes(call, job, econ, m, n, lda, ldu, ldv, batched, batches)) return;
    int k = least(m, n);
    size_t size = single ? 4 : 8;
    Svd d = {.single = single, .vectors = job, .econ = econ, .converges = !sim.unconverged && (k == 1 || known->max_sweeps >= SWEEPS), .m = m, .n = n, .lda = lda, .ldu = ldu, .ldv = ldv,
        .lwork = lwork, .batches = batches, .options = (uintptr_t)options};
    Operand o[] = {{.name = "A", .address = a, .rows = m, .columns = (long long)n * batches, .leading = lda, .element = size, .written = true},
        {.name = "S", .address = s, .rows = (long long)k * batches, .columns = 1, .leading = k, .element = size, .written = true},
        {.name = "U", .address = u, .rows = job ? m : 0, .columns = (long long)columns(&d, m) * batches, .leading = ldu, .element = size,
            .written = true},
        {.name = "V", .address = v, .rows = job ? n : 0, .columns = (long long)columns(&d, n) * batches, .leading = ldv, .element = size,
            .written = true},
        {.name = "work", .address = work, .rows = lwork, .columns = 1, .leading = 1, .element = size, .written = true},
        {.name = "info", .address = info, .rows = batches, .columns = 1, .leading = 1, .element = 4, .written = true}};
    if (!solver_ready(call, h, o, 6, lwork, work_size(m, n, batches), call->function)) return;
    if (sim.unconverged) sim.unconverged--;
    d.wrong = sim.wrong && sim.wrong--;
    d.a = o[0].data;
    d.s = o[1].data;
    d.u = o[2].data;
    d.v = o[3].data;
    d.work = o[4].data;
    d.info = (int *)o[5].data;
    known->called = true;
    known->batched = batched;
    known->done = false;
    stream_queue(call, stream, run_svd, &d, sizeof d, NULL, NULL);
}

#define BOTH(S, number, is_single) \
EXPORT cusolverStatus_t cusolverDn##S##gesvdj_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, int econ, int m, int n, \
    const number *a, int lda, const number *s, const number *u, int ldu, const number *v, int ldv, int *lwork, gesvdjInfo_t options) \
{ \
    BEGIN; \
    (void)a, (void)s, (void)u, (void)v; \
    if (info_of(&call, options) && sizes(&call, (int)job, econ, m, n, lda, ldu, ldv, false, 1)) solver_size(&call, handle, lwork, work_size(m, n, 1)); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##gesvdj(cusolverDnHandle_t handle, cusolverEigMode_t job, int econ, int m, int n, number *a, int lda, \
    number *s, number *u, int ldu, number *v, int ldv, number *work, int lwork, int *info, gesvdjInfo_t options) \
{ \
    BEGIN; \
    gesvdj(&call, handle, is_single, false, (int)job, econ, m, n, a, lda, s, u, ldu, v, ldv, work, lwork, info, options, 1); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##gesvdjBatched_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, int m, int n, const number *a, \
    int lda, const number *s, const number *u, int ldu, const number *v, int ldv, int *lwork, gesvdjInfo_t options, int batches) \
{ \
    BEGIN; \
    (void)a, (void)s, (void)u, (void)v; \
    if (info_of(&call, options) && sizes(&call, (int)job, 0, m, n, lda, ldu, ldv, true, batches)) { \
        solver_size(&call, handle, lwork, work_size(m, n, batches)); \
    } \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##gesvdjBatched(cusolverDnHandle_t handle, cusolverEigMode_t job, int m, int n, number *a, int lda, \
    number *s, number *u, int ldu, number *v, int ldv, number *work, int lwork, int *info, gesvdjInfo_t options, int batches) \
{ \
    BEGIN; \
    gesvdj(&call, handle, is_single, true, (int)job, 0, m, n, a, lda, s, u, ldu, v, ldv, work, lwork, info, options, batches); \
    END; \
}

BOTH(S, float, true)
BOTH(D, double, false)
