/* The simulated device against plain loops and against each of its own rules. Prints what fails; the status says whether. */
#include "check.h"

int checks, failures;
cudaStream_t stream;
cublasHandle_t blas;
cusolverDnHandle_t solver;

void check(int good, const char *file, int line, const char *what)
{
    checks++;
    if (good) return;
    failures++;
    printf("%s:%d: %s\n", file, line, what);
}

void fresh(void)
{
    simcuda_reset();
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    OK(cublasCreate_v2(&blas));
    OK(cublasSetStream_v2(blas, stream));
    OK(cusolverDnCreate(&solver));
    OK(cusolverDnSetStream(solver, stream));
}

void *device_memory(size_t bytes)
{
    void *address = NULL;
    OK(cudaMalloc(&address, bytes));
    return address;
}

void *on_device(const void *data, size_t bytes)
{
    void *address = device_memory(bytes);
    OK(cudaMemcpyAsync(address, data, bytes, cudaMemcpyHostToDevice, stream));
    return address;
}

void from_device(void *data, const void *device, size_t bytes)
{
    OK(cudaMemcpyAsync(data, device, bytes, cudaMemcpyDeviceToHost, stream));
}

double uniform(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-52 - 1;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    void (*tests[])(void) = {test_memory, test_streams, test_faults, test_blas, test_blas_rules, test_solver};
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        fresh();
        tests[i]();
    }
    simcuda_reset();
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
