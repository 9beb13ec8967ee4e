/* The k-th call fails, at once or late; what is destroyed is destroyed all the same. */
#include "check.h"

static void at_once(void)
{
    void *d = NULL;
    simcuda_fail_at(2, 0);
    OK(cudaMalloc(&d, 8));
    CHECK(!simcuda_fault_struck());
    CHECK(cudaFree(d) == cudaErrorIllegalAddress && simcuda_fault_struck() && simcuda_live(0) == 0);
    CHECK(cudaGetLastError() == cudaErrorIllegalAddress && cudaGetLastError() == 0);
    simcuda_fail_at(1, cudaErrorMemoryAllocation);
    CHECK(cudaMalloc(&d, 8) == cudaErrorMemoryAllocation && simcuda_live(0) == 0);
    OK(cudaMalloc(&d, 8));
    simcuda_fail_at(1, 0);
    CHECK(cublasSetMathMode(blas, CUBLAS_DEFAULT_MATH) == CUBLAS_STATUS_EXECUTION_FAILED);
    simcuda_fail_at(1, 0);
    CHECK(cusolverDnSetStream(solver, stream) == CUSOLVER_STATUS_EXECUTION_FAILED);
    simcuda_fail_at(1, 0);
    CHECK(cublasDestroy_v2(blas) == CUBLAS_STATUS_EXECUTION_FAILED && simcuda_live(4) == 0);
    simcuda_fail_at(1, 3);
    cudaGetErrorName(cudaSuccess);
    cudaGetLastError();
    int version;
    OK(cudaRuntimeGetVersion(&version));
    OK(cublasGetProperty(MAJOR_VERSION, &version));
    CHECK(!simcuda_fault_struck()); /* those are not counted */
    CHECK(cudaStreamSynchronize(stream) == 3);
    CHECK(simcuda_violations() == 0);
}

static void late(void)
{
    fresh();
    float x = 1, *d = on_device(&x, 4);
    OK(cudaStreamSynchronize(stream));
    simcuda_fail_late(2, 719);
    OK(cudaMemsetAsync(d, 0, 4, stream));
    OK(cudaMemsetAsync(d, 1, 4, stream));
    OK(cudaMemsetAsync(d, 2, 4, stream));
    CHECK(!simcuda_fault_struck());
    CHECK(cudaStreamSynchronize(stream) == 719 && simcuda_fault_struck());
    CHECK(cudaGetLastError() == 719 && cudaGetLastError() == 719);
    void *other;
    int index;
    CHECK(cudaMalloc(&other, 4) == 719);
    CHECK(cublasIsamax_v2(blas, 1, d, 1, &index) == CUBLAS_STATUS_EXECUTION_FAILED);
    CHECK(cusolverDnSetStream(solver, stream) == CUSOLVER_STATUS_EXECUTION_FAILED);
    CHECK(cudaFree(d) == 719 && cublasDestroy_v2(blas) == 13 && cusolverDnDestroy(solver) == 6);
    CHECK(cudaStreamDestroy(stream) == 719);
    for (int kind = 0; kind < 7; kind++) CHECK(simcuda_live(kind) == 0);
    CHECK(simcuda_violations() == 0);
    fresh();
    d = on_device(&x, 4);
    simcuda_fail_late(1, 0);
    CHECK(cublasIsamax_v2(blas, 1, d, 1, &index) == 13 && simcuda_fault_struck());
    fresh();
    OK(cudaMalloc((void **)&d, 4));
    simcuda_fail_late(1, 0);
    OK(cudaMemsetAsync(d, 0, 4, stream));
    CHECK(cudaFree(d) == 700 && simcuda_live(0) == 0);
    fresh();
    simcuda_fail_late(1, 0);
    cudaEvent_t event;
    OK(cudaEventCreateWithFlags(&event, 0)); /* queues nothing */
    OK(cudaStreamSynchronize(stream));
    CHECK(!simcuda_fault_struck());
}

void test_faults(void)
{
    at_once();
    late();
}
