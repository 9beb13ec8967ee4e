/* What cuBLAS refuses. */
#include "check.h"

static float one = 1, zero = 0;

static cublasStatus_t ex(cudaDataType a, cudaDataType b, cudaDataType c, int compute, void *x, void *y, void *z)
{
    return cublasGemmEx(blas, 0, 0, 2, 2, 2, &one, x, a, 2, y, b, 2, &zero, z, c, 2, (cublasComputeType_t)compute, CUBLAS_GEMM_DEFAULT);
}

static cublasStatus_t sgemm(int m, int n, int k, const float *a, int lda, const float *b, int ldb, float *c, int ldc)
{
    return cublasSgemm_v2(blas, 0, 0, m, n, k, &one, a, lda, b, ldb, &zero, c, ldc);
}

static void products(void)
{
    float *a = device_memory(256), *b = device_memory(256), *c = device_memory(256), host[4];
    VIOLATES(sgemm(4, 4, 17, a, 4, b, 17, c, 4), 7, "A");
    VIOLATES(sgemm(-1, 2, 2, a, 2, b, 2, c, 2), 7, "");
    VIOLATES(sgemm(3, 2, 2, a, 2, b, 2, c, 3), 7, "");
    VIOLATES(sgemm(2, 2, 2, a, 2, b, 0, c, 2), 7, "");
    VIOLATES(sgemm(2, 2, 2, a, 2, b, 2, c, INT32_MIN), 7, "");
    VIOLATES(sgemm(2, 2, 2, a, 2, b, 2, c, 1), 7, "");
    VIOLATES(sgemm(INT32_MAX, INT32_MAX, INT32_MAX, a, INT32_MAX, b, INT32_MAX, c, INT32_MAX), 7, "");
    VIOLATES(sgemm(2, 2, 2, NULL, 2, b, 2, c, 2), 7, "");
    VIOLATES(sgemm(2, 2, 2, host, 2, b, 2, c, 2), 7, "");
    VIOLATES(sgemm(2, 2, 2, (float *)((char *)a + 2), 2, b, 2, c, 2), 7, "");
    VIOLATES(sgemm(2, 2, 2, a, 2, b, 2, a, 2), 7, "");
    VIOLATES(sgemm(2, 2, 2, a, 2, b, 2, b + 3, 2), 7, "");
    VIOLATES(cublasSgemm_v2(blas, 5, 0, 1, 1, 1, &one, a, 1, b, 1, &zero, c, 1), 7, "");
    VIOLATES(cublasSgemm_v2(blas, (cublasOperation_t)-1, 0, 1, 1, 1, &one, a, 1, b, 1, &zero, c, 1), 7, "");
    VIOLATES(cublasSgemm_v2(blas, 0, 0, 1, 1, 1, NULL, a, 1, b, 1, &zero, c, 1), 7, "");
    VIOLATES(cublasSgemm_v2(NULL, 0, 0, 1, 1, 1, &one, a, 1, b, 1, &zero, c, 1), 1, "");
    VIOLATES(cublasSgemm_v2((cublasHandle_t)solver, 0, 0, 1, 1, 1, &one, a, 1, b, 1, &zero, c, 1), 1, "");
    fresh();
    a = device_memory(256);
    OK(sgemm(2, 2, 2, a, 8, a + 2, 8, a + 4, 8)); /* interleaved: no element in common */
    OK(sgemm(0, 2, 2, NULL, 1, a, 2, NULL, 1));
    CHECK(simcuda_violations() == 0);
    static const int bad[][4] = {{0, 0, 1, 68}, {2, 14, 0, 68}, {2, 2, 14, 68}, {1, 1, 1, 68}, {0, 0, 0, 70}, {0, 0, 0, 77}, {2, 2, 2, 64},
        {3, 3, 0, 68}, {3, 3, 3, 68}, {99, 99, 0, 68}, {0, 0, 2, 68}, {-1, -1, 0, 68}};
    b = device_memory(256);
    c = device_memory(256);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) VIOLATES(ex(bad[i][0], bad[i][1], bad[i][2], bad[i][3], a, b, c), 15, "");
    VIOLATES(cublasGemmEx(blas, 0, 0, 2, 2, 2, &one, a, 0, 2, b, 0, 2, &zero, c, 0, 2, CUBLAS_COMPUTE_32F, 5000),
        simcuda_violations() ? 15 : 15, "");
}

static cublasStatus_t batched(void *a, long long sa, void *b, long long sb, void *c, int ldc, long long sc, int count)
{
    return cublasGemmStridedBatchedEx(blas, 0, 0, 2, 2, 2, &one, a, 0, 2, sa, b, 0, 2, sb, &zero, c, 0, ldc, sc, count, CUBLAS_COMPUTE_32F, -1);
}

static void batches(void)
{
    fresh();
    float *a = device_memory(256), *b = device_memory(256), *c = device_memory(256);
    OK(batched(a, 0, b, 4, c, 2, 4, 16)); /* one A for all */
    OK(batched(a, 0, b, 0, c, 8, 2, 4)); /* side by side */
    OK(batched(a, 0, b, 0, c, 2, 4, 0));
    CHECK(simcuda_violations() == 0);
    VIOLATES(batched(a, 0, b, 4, c, 2, 4, 17), 7, "");
    VIOLATES(batched(a, 0, b, 4, c, 2, 0, 2), 7, "");
    VIOLATES(batched(a, 0, b, 4, c, 2, 3, 2), 7, "");
    VIOLATES(batched(a, -4, b, 4, c, 2, 4, 2), 7, "");
    VIOLATES(batched(a, INT64_MAX, b, 4, c, 2, 4, 2), 7, "");
    VIOLATES(batched(a, 0, b, 4, c, 2, 4, -1), 7, "");
    VIOLATES(batched(a, 0, b, 4, a + 8, 2, 4, 1) || batched(a + 8, 0, b, 0, a, 2, 4, 3), 1, "");
}

static void others(void)
{
    fresh();
    float *a = device_memory(256), *b = device_memory(256), *c = device_memory(256), result;
    int index;
    OK(cublasSgeam(blas, 0, 0, 4, 4, &one, a, 4, &one, b, 4, b, 4));
    CHECK(simcuda_violations() == 0);
    VIOLATES(cublasSgeam(blas, 1, 0, 4, 4, &one, a, 4, &one, b, 4, a, 4), 7, "");
    VIOLATES(cublasSgeam(blas, 0, 0, 4, 4, &one, a, 4, &one, b, 4, a, 5), 7, "");
    VIOLATES(cublasSgeam(blas, 0, 0, 4, 4, &one, a, 4, &one, b, 4, b + 1, 4), 7, "");
    VIOLATES(cublasSgeam(blas, 0, 0, 4, 4, &one, NULL, 4, &one, b, 4, c, 4), 7, "");
    VIOLATES(cublasSgeam(blas, 0, 0, 4, 4, &one, a, 3, &zero, NULL, 4, c, 4), 7, "");
    VIOLATES(cublasStrsm_v2(blas, 0, 2, 0, 0, 2, 2, &one, a, 2, b, 2), 7, "");
    VIOLATES(cublasStrsm_v2(blas, 0, 0, 0, 0, 4, 2, &one, a, 3, b, 4), 7, "");
    VIOLATES(cublasStrsm_v2(blas, 0, 0, 0, 0, 2, 2, &one, a, 2, a + 2, 2), 7, "");
    VIOLATES(cublasScalEx(blas, 2, &one, CUDA_R_32F, a, CUDA_R_64F, 1, CUDA_R_64F), 15, "");
    VIOLATES(cublasScalEx(blas, 65, &one, CUDA_R_32F, a, CUDA_R_32F, 1, CUDA_R_32F), 7, "");
    VIOLATES(cublasIsamax_v2(blas, 65, a, 1, &index), 7, "");
    VIOLATES(cublasIsamax_v2(blas, 2, a, 1, NULL), 7, "");
    VIOLATES(cublasIsamax_v2(blas, 2, a, 1, (int *)c), 7, ""); /* host pointer mode */
    VIOLATES(cublasSasum_v2(blas, 2, a, 64, &result), 7, "");
    VIOLATES(cublasSetMathMode(blas, (cublasMath_t)9999), 7, "");
    cublasHandle_t dead;
    OK(cublasCreate_v2(&dead));
    OK(cublasDestroy_v2(dead));
    VIOLATES(cublasDestroy_v2(dead), 1, "");
    VIOLATES(cublasDestroy_v2(NULL), 1, "");
}

static void workspaces(void)
{
    fresh();
    float *w = device_memory(4096), *a = device_memory(64), *c = device_memory(64), host[4];
    OK(cublasSetWorkspace_v2(blas, w, 4096));
    CHECK(simcuda_violations() == 0);
    VIOLATES(cublasSetWorkspace_v2(blas, w + 1, 1024), 7, "256");
    VIOLATES(cublasSetWorkspace_v2(blas, w, 4097), 7, "");
    VIOLATES(cublasSetWorkspace_v2(blas, host, 4), 7, "");
    OK(cublasSetWorkspace_v2(blas, w, 4096));
    VIOLATES(sgemm(2, 2, 2, a, 2, a, 2, w, 2), 7, ""); /* the workspace is the library's */
    OK(cudaFree(w));
    VIOLATES(sgemm(2, 2, 2, a, 2, a, 2, c, 2), 7, "");
    OK(cublasSetStream_v2(blas, stream)); /* back to the library's own */
    OK(sgemm(2, 2, 2, a, 2, a, 2, c, 2));
    OK(cudaStreamDestroy(stream));
    VIOLATES(sgemm(2, 2, 2, a, 2, a, 2, c, 2), 7, "");
}

static void two_devices(void)
{
    fresh();
    float *a = device_memory(64), *c = device_memory(64);
    OK(cudaSetDevice(1));
    float *other = device_memory(64);
    VIOLATES(sgemm(2, 2, 2, a, 2, a, 2, c, 2), 7, "");
    OK(cudaSetDevice(0));
    VIOLATES(sgemm(2, 2, 2, a, 2, a, 2, other, 2), 7, "");
    OK(sgemm(2, 2, 2, a, 2, a, 2, c, 2));
}

void test_blas_rules(void)
{
    products();
    batches();
    others();
    workspaces();
    two_devices();
}
