/*
 * The products of cuBLAS. 16-bit elements are widened to float32, summed in it and rounded once; twice unless the math mode
 * disallows reductions in the type of C.
 */
#include "simulation.h"

#include <cblas.h>
#include <stdlib.h>

#define BEGIN Call call = call_begin(CUBLAS, __func__)
#define END return (cublasStatus_t)call_end(&call)
#define SPOILT ((size_t)4096)

typedef struct Factor {
    char *data;
    cudaDataType type;
    int rows, columns, leading;
    long long stride;
} Factor;

typedef struct Gemm {
    enum CBLAS_TRANSPOSE opa, opb;
    int m, n, k, batches;
    double alpha, beta;
    bool tf32, reduced; /* whether sums may be kept in the type of C on the way */
    Factor a, b, c;
    char *workspace;
    size_t workspace_size;
} Gemm;

static char *at(const Factor *f, int batch)
{
    return f->data + (size_t)batch * (size_t)f->stride * bytes_of(f->type);
}

/* A copy in float32 without gaps. */
static float *widened(const Factor *f, int batch, bool tf32)
{
    float *wide = need((size_t)f->rows * (size_t)f->columns * sizeof *wide);
    for (size_t j = 0; j < (size_t)f->columns; j++) {
        for (size_t i = 0; i < (size_t)f->rows; i++) {
            float x = (float)number_at(at(f, batch), f->type, j * (size_t)f->leading + i);
            wide[j * (size_t)f->rows + i] = tf32 ? tf32_of_float(x) : x;
        }
    }
    return wide;
}

static int leading(int rows)
{
    return rows > 1 ? rows : 1;
}

static void run_one(const Gemm *g, int batch)
{
    if (g->c.type == CUDA_R_64F) {
        cblas_dgemm(CblasColMajor, g->opa, g->opb, g->m, g->n, g->k, g->alpha, (double *)at(&g->a, batch), g->a.leading,
            (double *)at(&g->b, batch), g->b.leading, g->beta, (double *)at(&g->c, batch), g->c.leading);
        return;
    }
    if (g->a.type == CUDA_R_32F && !g->tf32) {
        cblas_sgemm(CblasColMajor, g->opa, g->opb, g->m, g->n, g->k, (float)g->alpha, (float *)at(&g->a, batch), g->a.leading,
            (float *)at(&g->b, batch), g->b.leading, (float)g->beta, (float *)at(&g->c, batch), g->c.leading);
        return;
    }
    float *a = widened(&g->a, batch, g->tf32), *b = widened(&g->b, batch, g->tf32);
    int lda = leading(g->a.rows), ldb = leading(g->b.rows), parts = g->reduced && g->k > 1 ? 2 : 1;
    for (int part = 0; part < parts; part++) {
        size_t from = part ? (size_t)g->k / 2 : 0, to = part < parts - 1 ? (size_t)g->k / 2 : (size_t)g->k;
        float *c = widened(&g->c, batch, false);
        cblas_sgemm(CblasColMajor, g->opa, g->opb, g->m, g->n, (int)(to - from), (float)g->alpha,
            a + from * (g->opa == CblasNoTrans ? (size_t)lda : 1), lda, b + from * (g->opb == CblasNoTrans ? 1 : (size_t)ldb), ldb,
            part ? 1 : (float)g->beta, c, leading(g->m));
        for (size_t j = 0; j < (size_t)g->n; j++) {
            for (size_t i = 0; i < (size_t)g->m; i++) {
                number_put(at(&g->c, batch), g->c.type, j * (size_t)g->c.leading + i, c[j * (size_t)g->m + i]);
            }
        }
        free(c);
    }
    free(a);
    free(b);
}

static void run_gemm(void *arguments)
{
    const Gemm *g = arguments;
    size_t spoilt = g->workspace_size < SPOILT ? g->workspace_size : SPOILT; /* enough to be noticed */
    if (g->workspace) fill_nan(g->workspace, spoilt);
    for (int i = 0; i < g->batches; i++) run_one(g, i);
}

/* The combinations of types that lora4j may use of those that cuBLAS documents. */
static bool supported(cudaDataType a, cudaDataType b, cudaDataType c, cublasComputeType_t compute)
{
    if (a != b || !bytes_of(a) || !bytes_of(c)) return false;
    if (a == CUDA_R_64F) return c == a && compute == CUBLAS_COMPUTE_64F;
    if (compute != CUBLAS_COMPUTE_32F) return false;
    return c == CUDA_R_32F || (c == a && (a == CUDA_R_16F || a == CUDA_R_16BF));
}

static void gemm(Call *call, cublasHandle_t handle, int opa, int opb, int m, int n, int k, const void *alpha, const void *a, cudaDataType typeA,
    int lda, long long strideA, const void *b, cudaDataType typeB, int ldb, long long strideB, const void *beta, void *c, cudaDataType typeC,
    int ldc, long long strideC, int batches, cublasComputeType_t compute)
{
    Stream *stream;
    LibraryHandle *h = handle_of(call, handle, &stream);
    if (!h || !host_pointer(call, "alpha", alpha) || !host_pointer(call, "beta", beta)) return;
    if (opa < 0 || opa > 2 || opb < 0 || opb > 2) {
        violated(call, CUBLAS_STATUS_INVALID_VALUE, "operations are %d and %d", opa, opb);
        return;
    }
    if (!supported(typeA, typeB, typeC, compute)) {
        violated(call, CUBLAS_STATUS_NOT_SUPPORTED, "types %d, %d and %d in compute type %d", (int)typeA, (int)typeB, (int)typeC, (int)compute);
        return;
    }
    int am = opa ? k : m, an = opa ? m : k, bm = opb ? n : k, bn = opb ? k : n;
    if (!at_least(call, "m", m, 0) || !at_least(call, "n", n, 0) || !at_least(call, "k", k, 0) || !at_least(call, "batchCount", batches, 0)
        || !at_least(call, "lda", lda, leading(am)) || !at_least(call, "ldb", ldb, leading(bm)) || !at_least(call, "ldc", ldc, leading(m))) return;
    cudaDataType scalar = compute == CUBLAS_COMPUTE_64F ? CUDA_R_64F : CUDA_R_32F;
    if (!m || !n || !batches) return;
    Operand o[] = {{.name = "A", .address = a, .rows = am, .columns = an, .leading = lda, .element = bytes_of(typeA), .stride = strideA, .batches = batches},
        {.name = "B", .address = b, .rows = bm, .columns = bn, .leading = ldb, .element = bytes_of(typeB), .stride = strideB, .batches = batches},
        {.name = "C", .address = c, .rows = m, .columns = n, .leading = ldc, .element = bytes_of(typeC), .stride = strideC, .batches = batches,
            .written = true},
        {.name = "the handle's workspace", .address = h->workspace, .rows = h->workspace ? (long long)h->workspace_size : 0, .columns = 1,
            .leading = 1, .element = 1, .written = true}};
    if (!operands_resolved(call, h->object.device, o, 4)) return;
    Gemm g = {opa ? CblasTrans : CblasNoTrans, opb ? CblasTrans : CblasNoTrans, m, n, k, batches, number_at(alpha, scalar, 0),
        number_at(beta, scalar, 0), (h->math & CUBLAS_TF32_TENSOR_OP_MATH) == CUBLAS_TF32_TENSOR_OP_MATH && typeA == CUDA_R_32F,
        !(h->math & CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) && bytes_of(typeC) == 2,
        {o[0].data, typeA, am, an, lda, strideA}, {o[1].data, typeB, bm, bn, ldb, strideB}, {o[2].data, typeC, m, n, ldc, strideC},
        o[3].data, h->workspace_size};
    stream_queue(call, stream, run_gemm, &g, sizeof g, NULL, NULL);
}

EXPORT cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t opa, cublasOperation_t opb, int m, int n, int k, const float *alpha,
    const float *a, int lda, const float *b, int ldb, const float *beta, float *c, int ldc)
{
    BEGIN;
    gemm(&call, handle, (int)opa, (int)opb, m, n, k, alpha, a, CUDA_R_32F, lda, 0, b, CUDA_R_32F, ldb, 0, beta, c, CUDA_R_32F, ldc, 0, 1,
        CUBLAS_COMPUTE_32F);
    END;
}

EXPORT cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t opa, cublasOperation_t opb, int m, int n, int k, const double *alpha,
    const double *a, int lda, const double *b, int ldb, const double *beta, double *c, int ldc)
{
    BEGIN;
    gemm(&call, handle, (int)opa, (int)opb, m, n, k, alpha, a, CUDA_R_64F, lda, 0, b, CUDA_R_64F, ldb, 0, beta, c, CUDA_R_64F, ldc, 0, 1,
        CUBLAS_COMPUTE_64F);
    END;
}

EXPORT cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t opa, cublasOperation_t opb, int m, int n, int k, const void *alpha,
    const void *a, cudaDataType typeA, int lda, const void *b, cudaDataType typeB, int ldb, const void *beta, void *c, cudaDataType typeC,
    int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algorithm)
{
    BEGIN;
    if (algorithm != CUBLAS_GEMM_DEFAULT) violated(&call, CUBLAS_STATUS_NOT_SUPPORTED, "algorithm %d is not simulated", (int)algorithm);
    gemm(&call, handle, (int)opa, (int)opb, m, n, k, alpha, a, typeA, lda, 0, b, typeB, ldb, 0, beta, c, typeC, ldc, 0, 1, compute);
    END;
}

EXPORT cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t opa, cublasOperation_t opb, int m, int n, int k,
    const void *alpha, const void *a, cudaDataType typeA, int lda, long long strideA, const void *b, cudaDataType typeB, int ldb,
    long long strideB, const void *beta, void *c, cudaDataType typeC, int ldc, long long strideC, int batches, cublasComputeType_t compute,
    cublasGemmAlgo_t algorithm)
{
    BEGIN;
    if (algorithm != CUBLAS_GEMM_DEFAULT) violated(&call, CUBLAS_STATUS_NOT_SUPPORTED, "algorithm %d is not simulated", (int)algorithm);
    gemm(&call, handle, (int)opa, (int)opb, m, n, k, alpha, a, typeA, lda, strideA, b, typeB, ldb, strideB, beta, c, typeC, ldc, strideC,
        batches, compute);
    END;
}
