/* cuBLAS: the handle and all but the products. Matrices are column-major. */
#include "simulation.h"

#include <cblas.h>
#include <math.h>

#define BEGIN Call call = call_begin(CUBLAS, __func__)
#define END return (cublasStatus_t)call_end(&call)
#define WORKSPACE_ALIGNMENT 256

/* ---- the handle */

EXPORT cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    return (cublasStatus_t)handle_create(__func__, CUBLAS, (void **)handle);
}

EXPORT cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    return (cublasStatus_t)handle_destroy(__func__, CUBLAS, handle);
}

EXPORT cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value)
{
    return (cublasStatus_t)library_property(__func__, CUBLAS, (int)type, value);
}

EXPORT const char *cublasGetStatusName(cublasStatus_t status)
{
#define NAME(name, value) case value: return #name;
    switch ((int)status) { CUBLAS_STATUS_VALUES(NAME) }
    return "unknown cuBLAS status";
}

EXPORT const char *cublasGetStatusString(cublasStatus_t status)
{
    switch ((int)status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the function failed to launch on the GPU";
    default: return "simulated failure";
    }
}

EXPORT cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream)
{
    return (cublasStatus_t)handle_set_stream(__func__, CUBLAS, handle, stream);
}

EXPORT cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *work, size_t size)
{
    BEGIN;
    Stream *stream;
    LibraryHandle *h = handle_of(&call, handle, &stream);
    if (h && (uintptr_t)work % WORKSPACE_ALIGNMENT) {
        violated(&call, CUBLAS_STATUS_INVALID_VALUE, "the workspace at %p is not aligned to %d bytes", work, WORKSPACE_ALIGNMENT);
    } else if (h && (!size || device_range(&call, "the workspace", work, size, h->object.device))) {
        h->workspace = work;
        h->workspace_size = size;
    }
    END;
}

EXPORT cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode)
{
    BEGIN;
    Stream *stream;
    LibraryHandle *h = handle_of(&call, handle, &stream);
    int base = (int)mode & ~CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    if (h && (base < 0 || base > CUBLAS_TF32_TENSOR_OP_MATH)) violated(&call, CUBLAS_STATUS_INVALID_VALUE, "mode is %d", (int)mode);
    else if (h) h->math = (int)mode;
    END;
}

/* ---- C = alpha op(A) + beta op(B) */

typedef struct Geam {
    bool single;
    bool ta, tb;
    int m, n;
    double alpha, beta;
    const char *a, *b;
    char *c;
    int lda, ldb, ldc;
} Geam;

static void run_geam(void *arguments)
{
    Geam *g = arguments;
    cudaDataType type = g->single ? CUDA_R_32F : CUDA_R_64F;
    for (size_t j = 0; j < (size_t)g->n; j++) {
        for (size_t i = 0; i < (size_t)g->m; i++) {
            double sum = 0;
            if (g->alpha != 0) sum += g->alpha * number_at(g->a, type, g->ta ? i * (size_t)g->lda + j : j * (size_t)g->lda + i);
            if (g->beta != 0) sum += g->beta * number_at(g->b, type, g->tb ? i * (size_t)g->ldb + j : j * (size_t)g->ldb + i);
            number_put(g->c, type, j * (size_t)g->ldc + i, sum);
        }
    }
}

static void geam(Call *call, cublasHandle_t handle, bool single, int ta, int tb, int m, int n, const void *alpha, const void *a, int lda,
    const void *beta, const void *b, int ldb, void *c, int ldc)
{
    Stream *stream;
    LibraryHandle *h = handle_of(call, handle, &stream);
    if (!h || !host_pointer(call, "alpha", alpha) || !host_pointer(call, "beta", beta)) return;
    if (ta < 0 || ta > 2 || tb < 0 || tb > 2) {
        violated(call, CUBLAS_STATUS_INVALID_VALUE, "operations are %d and %d", ta, tb);
        return;
    }
    int am = ta ? n : m, an = ta ? m : n, bm = tb ? n : m, bn = tb ? m : n;
    cudaDataType type = single ? CUDA_R_32F : CUDA_R_64F;
    double x = number_at(alpha, type, 0), y = number_at(beta, type, 0);
    if (!at_least(call, "m", m, 0) || !at_least(call, "n", n, 0) || !at_least(call, "ldc", ldc, m > 1 ? m : 1)
        || !at_least(call, "lda", lda, am > 1 ? am : 1) || !at_least(call, "ldb", ldb, bm > 1 ? bm : 1)) return;
    size_t size = single ? 4 : 8;
    bool a_in_place = a == c && !ta && lda == ldc, b_in_place = b == c && !tb && ldb == ldc;
    Operand o[] = {{.name = "A", .address = a, .rows = x != 0 ? am : 0, .columns = an, .leading = lda, .element = size, .may_alias = a_in_place},
        {.name = "B", .address = b, .rows = y != 0 ? bm : 0, .columns = bn, .leading = ldb, .element = size, .may_alias = b_in_place},
        {.name = "C", .address = c, .rows = m, .columns = n, .leading = ldc, .element = size, .written = true}};
    if (!operands_resolved(call, h->object.device, o, 3) || !m || !n) return;
    Geam g = {single, ta != 0, tb != 0, m, n, x, y, o[0].data, o[1].data, o[2].data, lda, ldb, ldc};
    stream_queue(call, stream, run_geam, &g, sizeof g, NULL, NULL);
}

EXPORT cublasStatus_t cublasSgeam(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, const float *alpha,
    const float *a, int lda, const float *beta, const float *b, int ldb, float *c, int ldc)
{
    BEGIN;
    geam(&call, handle, true, (int)ta, (int)tb, m, n, alpha, a, lda, beta, b, ldb, c, ldc);
    END;
}

EXPORT cublasStatus_t cublasDgeam(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, const double *alpha,
    const double *a, int lda, const double *beta, const double *b, int ldb, double *c, int ldc)
{
    BEGIN;
    geam(&call, handle, false, (int)ta, (int)tb, m, n, alpha, a, lda, beta, b, ldb, c, ldc);
    END;
}

/* ---- triangular solves */

typedef struct Trsm {
    bool single;
    enum CBLAS_SIDE side;
    enum CBLAS_UPLO uplo;
    enum CBLAS_TRANSPOSE op;
    enum CBLAS_DIAG diag;
    int m, n;
    double alpha;
    char *a, *b;
    int lda, ldb;
} Trsm;

static void run_trsm(void *arguments)
{
    Trsm *t = arguments;
    if (t->single) {
        cblas_strsm(CblasColMajor, t->side, t->uplo, t->op, t->diag, t->m, t->n, (float)t->alpha, (float *)t->a, t->lda, (float *)t->b, t->ldb);
    } else {
        cblas_dtrsm(CblasColMajor, t->side, t->uplo, t->op, t->diag, t->m, t->n, t->alpha, (double *)t->a, t->lda, (double *)t->b, t->ldb);
    }
}

static void trsm(Call *call, cublasHandle_t handle, bool single, int side, int uplo, int op, int diag, int m, int n, const void *alpha,
    const void *a, int lda, void *b, int ldb)
{
    Stream *stream;
    LibraryHandle *h = handle_of(call, handle, &stream);
    if (!h || !host_pointer(call, "alpha", alpha)) return;
    if (side < 0 || side > 1 || uplo < 0 || uplo > 1 || op < 0 || op > 2 || diag < 0 || diag > 1) {
        violated(call, CUBLAS_STATUS_INVALID_VALUE, "side %d, uplo %d, operation %d, diagonal %d", side, uplo, op, diag);
        return;
    }
    int order = side == CUBLAS_SIDE_LEFT ? m : n;
    if (!at_least(call, "m", m, 0) || !at_least(call, "n", n, 0) || !at_least(call, "lda", lda, order > 1 ? order : 1)
        || !at_least(call, "ldb", ldb, m > 1 ? m : 1)) return;
    Operand o[] = {{.name = "A", .address = a, .rows = order, .columns = order, .leading = lda, .element = single ? 4 : 8},
        {.name = "B", .address = b, .rows = m, .columns = n, .leading = ldb, .element = single ? 4 : 8, .written = true}};
    if (!operands_resolved(call, h->object.device, o, 2) || !m || !n) return;
    Trsm t = {single, side ? CblasRight : CblasLeft, uplo ? CblasUpper : CblasLower, op ? CblasTrans : CblasNoTrans,
        diag ? CblasUnit : CblasNonUnit, m, n, number_at(alpha, single ? CUDA_R_32F : CUDA_R_64F, 0), o[0].data, o[1].data, lda, ldb};
    stream_queue(call, stream, run_trsm, &t, sizeof t, NULL, NULL);
}

EXPORT cublasStatus_t cublasStrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, cublasOperation_t op,
    cublasDiagType_t diag, int m, int n, const float *alpha, const float *a, int lda, float *b, int ldb)
{
    BEGIN;
    trsm(&call, handle, true, (int)side, (int)uplo, (int)op, (int)diag, m, n, alpha, a, lda, b, ldb);
    END;
}

EXPORT cublasStatus_t cublasDtrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t uplo, cublasOperation_t op,
    cublasDiagType_t diag, int m, int n, const double *alpha, const double *a, int lda, double *b, int ldb)
{
    BEGIN;
    trsm(&call, handle, false, (int)side, (int)uplo, (int)op, (int)diag, m, n, alpha, a, lda, b, ldb);
    END;
}

/* ---- vectors */

typedef struct Scale {
    cudaDataType type;
    int n, step;
    double alpha;
    char *x;
} Scale;

static void run_scale(void *arguments)
{
    Scale *s = arguments;
    for (size_t i = 0; i < (size_t)s->n; i++) {
        size_t at = i * (size_t)s->step;
        number_put(s->x, s->type, at, s->alpha * number_at(s->x, s->type, at));
    }
}

static char *vector(Call *call, LibraryHandle *h, int n, const void *x, size_t element, int step)
{
    Operand o = {.name = "x", .address = x, .rows = 1, .columns = n, .leading = step, .element = element};
    return at_least(call, "n", n, 1) && at_least(call, "incx", step, 1) && operands_resolved(call, h->object.device, &o, 1) ? o.data : NULL;
}

EXPORT cublasStatus_t cublasScalEx(cublasHandle_t handle, int n, const void *alpha, cudaDataType alphaType, void *x, cudaDataType type, int step,
    cudaDataType execution)
{
    BEGIN;
    Stream *stream;
    LibraryHandle *h = handle_of(&call, handle, &stream);
    cudaDataType scalar = type == CUDA_R_64F ? CUDA_R_64F : CUDA_R_32F;
    if (h && (!bytes_of(type) || alphaType != scalar || execution != scalar)) {
        violated(&call, CUBLAS_STATUS_NOT_SUPPORTED, "types %d of alpha, %d of x, execution in %d", (int)alphaType, (int)type, (int)execution);
    } else if (h && host_pointer(&call, "alpha", alpha)) {
        Scale s = {type, n, step, number_at(alpha, alphaType, 0), vector(&call, h, n, x, bytes_of(type), step)};
        if (s.x) stream_queue(&call, stream, run_scale, &s, sizeof s, NULL, NULL);
    }
    END;
}

/* The host waits, and the vector can be read; NULL where that failed or the work is switched off. */
static char *result_of(Call *call, cublasHandle_t handle, int n, const void *x, size_t element, int step, void *result)
{
    Stream *stream;
    LibraryHandle *h = handle_of(call, handle, &stream);
    if (!h || !host_pointer(call, "result", result)) return NULL;
    char *data = vector(call, h, n, x, element, step);
    if (!data) return NULL;
    stream_queue(call, stream, NULL, NULL, 0, NULL, NULL);
    call_waits_for_stream(call, stream);
    return call->status || !sim.compute ? NULL : data;
}

/* A NaN loses every comparison. */
static int largest(const char *data, cudaDataType type, int n, int step)
{
    int at = 1;
    double most = -1;
    for (int i = 0; i < n; i++) {
        double x = fabs(number_at(data, type, (size_t)i * (size_t)step));
        if (x > most) {
            most = x;
            at = i + 1;
        }
    }
    return at;
}

static double sum(const char *data, cudaDataType type, int n, int step)
{
    double total = 0;
    for (int i = 0; i < n; i++) total += fabs(number_at(data, type, (size_t)i * (size_t)step));
    return total;
}

EXPORT cublasStatus_t cublasIsamax_v2(cublasHandle_t handle, int n, const float *x, int step, int *result)
{
    BEGIN;
    char *data = result_of(&call, handle, n, x, 4, step, result);
    if (result && !call.status) *result = data ? largest(data, CUDA_R_32F, n, step) : 1;
    END;
}

EXPORT cublasStatus_t cublasIdamax_v2(cublasHandle_t handle, int n, const double *x, int step, int *result)
{
    BEGIN;
    char *data = result_of(&call, handle, n, x, 8, step, result);
    if (result && !call.status) *result = data ? largest(data, CUDA_R_64F, n, step) : 1;
    END;
}

EXPORT cublasStatus_t cublasSasum_v2(cublasHandle_t handle, int n, const float *x, int step, float *result)
{
    BEGIN;
    char *data = result_of(&call, handle, n, x, 4, step, result);
    if (data) *result = (float)sum(data, CUDA_R_32F, n, step);
    END;
}

EXPORT cublasStatus_t cublasDasum_v2(cublasHandle_t handle, int n, const double *x, int step, double *result)
{
    BEGIN;
    char *data = result_of(&call, handle, n, x, 8, step, result);
    if (data) *result = sum(data, CUDA_R_64F, n, step);
    END;
}
