/* cuSOLVER: handles, and QR, Cholesky and symmetric eigenproblem by LAPACK. Matrices are column-major. gesvdj is in gesvdj.c. */
#include "solver.h"

#include <lapacke.h>
#include <math.h>

EXPORT cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t *handle)
{
    return (cusolverStatus_t)handle_create(__func__, CUSOLVER, (void **)handle);
}

EXPORT cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle)
{
    return (cusolverStatus_t)handle_destroy(__func__, CUSOLVER, handle);
}

EXPORT cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream)
{
    return (cusolverStatus_t)handle_set_stream(__func__, CUSOLVER, handle, stream);
}

EXPORT cusolverStatus_t cusolverGetProperty(libraryPropertyType type, int *value)
{
    return (cusolverStatus_t)library_property(__func__, CUSOLVER, (int)type, value);
}

/* ---- what all factorisations share */

bool solver_size(Call *call, const void *handle, int *lwork, long long elements)
{
    Stream *stream;
    if (!handle_of(call, handle, &stream) || !host_pointer(call, "lwork", lwork)) return false;
    if (elements > INT32_MAX) return violated(call, CUSOLVER_STATUS_INVALID_VALUE, "the workspace would be of %lld elements", elements);
    *lwork = (int)elements;
    return true;
}

bool solver_ready(Call *call, LibraryHandle *h, Operand *operands, int count, int lwork, long long needed, const char *function)
{
    if (lwork < needed) {
        return violated(call, CUSOLVER_STATUS_INVALID_VALUE, "lwork is %d, but %s needs %lld", lwork, function, needed);
    }
    return operands_resolved(call, h->object.device, operands, count);
}

void solver_begin(const Solver *s)
{
    fill_nan(s->work, (size_t)s->lwork * (s->single ? 4 : 8));
}

/* LAPACK may never end on an infinity, and LAPACKE refuses a NaN as a bad argument. */
bool all_finite(const char *a, bool single, int rows, int columns, int lda)
{
    for (size_t j = 0; j < (size_t)columns; j++) {
        for (size_t i = 0; i < (size_t)rows; i++) {
            if (!isfinite(number_at(a, single ? CUDA_R_32F : CUDA_R_64F, j * (size_t)lda + i))) return false;
        }
    }
    return true;
}

/* Whether what is referenced of a symmetric matrix is finite. */
static bool triangle_finite(const Solver *s)
{
    for (size_t j = 0; j < (size_t)s->n; j++) {
        size_t from = s->uplo ? 0 : j, to = s->uplo ? j + 1 : (size_t)s->n;
        for (size_t i = from; i < to; i++) {
            if (!isfinite(number_at(s->a, s->single ? CUDA_R_32F : CUDA_R_64F, j * (size_t)s->lda + i))) return false;
        }
    }
    return true;
}

void columns_nan(char *a, bool single, int rows, int columns, int lda)
{
    size_t size = single ? 4 : 8;
    for (size_t j = 0; j < (size_t)columns; j++) fill_nan(a + j * (size_t)lda * size, (size_t)rows * size);
}

/* Numbers that are not finite give NaN, and no hint in info. */
void solver_end(const Solver *s, int info, char *result, size_t bytes)
{
    if (info < 0) {
        fill_nan(result, bytes);
        info = 0;
    }
    *s->info = info;
}

static long long at_least_one(long long size)
{
    return size > 1 ? size : 1;
}

static size_t whole(const Solver *s)
{
    return ((size_t)(s->n - 1) * (size_t)s->lda + (size_t)s->m) * (s->single ? 4 : 8);
}

static bool sizes(Call *call, int m, int n, int lda)
{
    return at_least(call, "m", m, 0) && at_least(call, "n", n, 0) && at_least(call, "lda", lda, at_least_one(m));
}

/* ---- geqrf and orgqr */

static void run_geqrf(void *arguments)
{
    Solver *s = arguments;
    solver_begin(s);
    int info = s->single ? LAPACKE_sgeqrf(LAPACK_COL_MAJOR, s->m, s->n, (float *)s->a, s->lda, (float *)s->other)
        : LAPACKE_dgeqrf(LAPACK_COL_MAJOR, s->m, s->n, (double *)s->a, s->lda, (double *)s->other);
    solver_end(s, info, s->a, whole(s));
}

static void run_orgqr(void *arguments)
{
    Solver *s = arguments;
    solver_begin(s);
    int info = s->single ? LAPACKE_sorgqr(LAPACK_COL_MAJOR, s->m, s->n, s->k, (float *)s->a, s->lda, (float *)s->other)
        : LAPACKE_dorgqr(LAPACK_COL_MAJOR, s->m, s->n, s->k, (double *)s->a, s->lda, (double *)s->other);
    solver_end(s, info, s->a, whole(s));
}

static bool orgqr_sizes(Call *call, int m, int n, int k)
{
    return (m >= n && n >= k && k >= 0)
        || violated(call, CUSOLVER_STATUS_INVALID_VALUE, "m is %d, n %d, k %d; m >= n >= k >= 0 is needed", m, n, k);
}

static void qr(Call *call, const void *handle, bool single, void (*run)(void *), int m, int n, int k, void *a, int lda, const void *tau,
    void *work, int lwork, int *info)
{
    Stream *stream;
    LibraryHandle *h = handle_of(call, handle, &stream);
    if (!h || !sizes(call, m, n, lda)) return;
    if (run == run_orgqr && !orgqr_sizes(call, m, n, k)) return;
    size_t size = single ? 4 : 8;
    Operand o[] = {{.name = "A", .address = a, .rows = m, .columns = n, .leading = lda, .element = size, .written = true},
        {.name = "tau", .address = tau, .rows = run == run_geqrf ? (m < n ? m : n) : k, .columns = 1, .leading = 1, .element = size,
            .written = run == run_geqrf},
        {.name = "work", .address = work, .rows = lwork, .columns = 1, .leading = 1, .element = size, .written = true},
        {.name = "info", .address = info, .rows = 1, .columns = 1, .leading = 1, .element = 4, .written = true}};
    if (!solver_ready(call, h, o, 4, lwork, at_least_one(32LL * n), call->function) || !m || !n) return;
    Solver s = {.single = single, .m = m, .n = n, .k = k, .lda = lda, .a = o[0].data, .other = o[1].data, .work = o[2].data, .lwork = lwork,
        .info = (int *)o[3].data};
    stream_queue(call, stream, run, &s, sizeof s, NULL, NULL);
}

/* ---- potrf and syevd */

static void run_potrf(void *arguments)
{
    Solver *s = arguments;
    solver_begin(s);
    char uplo = s->uplo ? 'U' : 'L';
    int info = s->single ? LAPACKE_spotrf_work(LAPACK_COL_MAJOR, uplo, s->n, (float *)s->a, s->lda)
        : LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, uplo, s->n, (double *)s->a, s->lda);
    solver_end(s, info, s->a, whole(s));
}

static void run_syevd(void *arguments)
{
    Solver *s = arguments;
    solver_begin(s);
    char uplo = s->uplo ? 'U' : 'L', job = s->vectors ? 'V' : 'N';
    int info = !triangle_finite(s) ? -1
        : s->single ? LAPACKE_ssyevd(LAPACK_COL_MAJOR, job, uplo, s->n, (float *)s->a, s->lda, (float *)s->other)
        : LAPACKE_dsyevd(LAPACK_COL_MAJOR, job, uplo, s->n, (double *)s->a, s->lda, (double *)s->other);
    if (info != 0 || !s->vectors) columns_nan(s->a, s->single, s->n, s->n, s->lda); /* destroyed */
    solver_end(s, info, s->other, (size_t)s->n * (s->single ? 4 : 8));
}

static bool modes(Call *call, int job, int uplo)
{
    return (job >= 0 && job <= 1 && uplo >= 0 && uplo <= 1)
        || violated(call, CUSOLVER_STATUS_INVALID_VALUE, "uplo is %d, job %d", uplo, job);
}

static void symmetric(Call *call, const void *handle, bool single, void (*run)(void *), int job, int uplo, int n, void *a, int lda, void *w,
    void *work, int lwork, int *info)
{
    Stream *stream;
    LibraryHandle *h = handle_of(call, handle, &stream);
    if (!h || !sizes(call, n, n, lda)) return;
    if (!modes(call, job, uplo)) return;
    size_t size = single ? 4 : 8;
    Operand o[] = {{.name = "A", .address = a, .rows = n, .columns = n, .leading = lda, .element = size, .written = true},
        {.name = "W", .address = w, .rows = run == run_syevd ? n : 0, .columns = 1, .leading = 1, .element = size, .written = true},
        {.name = "work", .address = work, .rows = lwork, .columns = 1, .leading = 1, .element = size, .written = true},
        {.name = "info", .address = info, .rows = 1, .columns = 1, .leading = 1, .element = 4, .written = true}};
    if (!solver_ready(call, h, o, 4, lwork, at_least_one(4LL * n), call->function) || !n) return;
    Solver s = {.single = single, .m = n, .n = n, .lda = lda, .uplo = uplo, .vectors = job == CUSOLVER_EIG_MODE_VECTOR, .a = o[0].data,
        .other = o[1].data, .work = o[2].data, .lwork = lwork, .info = (int *)o[3].data};
    stream_queue(call, stream, run, &s, sizeof s, NULL, NULL);
}

/* ---- the functions of both precisions */

#define BOTH(S, number, is_single) \
EXPORT cusolverStatus_t cusolverDn##S##geqrf_bufferSize(cusolverDnHandle_t handle, int m, int n, number *a, int lda, int *lwork) \
{ \
    BEGIN; \
    (void)a; \
    if (!call.status && sizes(&call, m, n, lda)) solver_size(&call, handle, lwork, at_least_one(32LL * n)); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##geqrf(cusolverDnHandle_t handle, int m, int n, number *a, int lda, number *tau, number *work, int lwork, \
    int *info) \
{ \
    BEGIN; \
    qr(&call, handle, is_single, run_geqrf, m, n, 0, a, lda, tau, work, lwork, info); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##orgqr_bufferSize(cusolverDnHandle_t handle, int m, int n, int k, const number *a, int lda, \
    const number *tau, int *lwork) \
{ \
    BEGIN; \
    (void)a, (void)tau; \
    if (!call.status && sizes(&call, m, n, lda) && orgqr_sizes(&call, m, n, k)) solver_size(&call, handle, lwork, at_least_one(32LL * n)); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##orgqr(cusolverDnHandle_t handle, int m, int n, int k, number *a, int lda, const number *tau, \
    number *work, int lwork, int *info) \
{ \
    BEGIN; \
    qr(&call, handle, is_single, run_orgqr, m, n, k, a, lda, tau, work, lwork, info); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##potrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, number *a, int lda, int *lwork) \
{ \
    BEGIN; \
    (void)a; \
    if (!call.status && modes(&call, 0, (int)uplo) && sizes(&call, n, n, lda)) solver_size(&call, handle, lwork, at_least_one(4LL * n)); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##potrf(cusolverDnHandle_t handle, cublasFillMode_t uplo, int n, number *a, int lda, number *work, \
    int lwork, int *info) \
{ \
    BEGIN; \
    symmetric(&call, handle, is_single, run_potrf, CUSOLVER_EIG_MODE_NOVECTOR, (int)uplo, n, a, lda, NULL, work, lwork, info); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##syevd_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t job, cublasFillMode_t uplo, int n, \
    const number *a, int lda, const number *w, int *lwork) \
{ \
    BEGIN; \
    (void)a, (void)w; \
    if (!call.status && modes(&call, (int)job, (int)uplo) && sizes(&call, n, n, lda)) solver_size(&call, handle, lwork, at_least_one(4LL * n)); \
    END; \
} \
EXPORT cusolverStatus_t cusolverDn##S##syevd(cusolverDnHandle_t handle, cusolverEigMode_t job, cublasFillMode_t uplo, int n, number *a, \
    int lda, number *w, number *work, int lwork, int *info) \
{ \
    BEGIN; \
    symmetric(&call, handle, is_single, run_syevd, (int)job, (int)uplo, n, a, lda, w, work, lwork, info); \
    END; \
}

BOTH(S, float, true)
BOTH(D, double, false)
