/* Device memory that the host cannot reach, NaN in fresh memory, ranges, limits, two devices. */
#include "check.h"

#include <setjmp.h>
#include <signal.h>

static sigjmp_buf back;

static void jump(int signal)
{
    siglongjmp(back, signal);
}

static int faults(volatile char *address, int writes)
{
    struct sigaction act = {.sa_handler = jump}, segv, bus;
    sigaction(SIGSEGV, &act, &segv);
    sigaction(SIGBUS, &act, &bus);
    volatile int faulted = 1;
    if (sigsetjmp(back, 1) == 0) {
        if (writes) *address = 1;
        else (void)*address;
        faulted = 0;
    }
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    return faulted;
}

static void guarded(void)
{
    char *d = device_memory(1000);
    CHECK((uintptr_t)d % 256 == 0);
    CHECK(faults(d, 0) && faults(d, 1) && faults(d + 999, 0));
    OK(cudaFree(d));
    CHECK(faults(d, 0));
    char *again = device_memory(1000);
    CHECK(again != d);
    void *pinned;
    OK(cudaHostAlloc(&pinned, 100, 0));
    CHECK(!faults(pinned, 1));
    OK(cudaFreeHost(pinned));
    CHECK(faults(pinned, 0));
    void *none = d;
    OK(cudaMalloc(&none, 0));
    CHECK(!none);
    OK(cudaFree(NULL));
    OK(cudaFreeHost(NULL));
}

static void fresh_is_nan(void)
{
    char *d = device_memory(64);
    double f64[8];
    float f32[16];
    from_device(f64, d, 64);
    memcpy(f32, f64, 64);
    for (int i = 0; i < 8; i++) CHECK(isnan(f64[i]));
    for (int i = 0; i < 16; i++) CHECK(isnan(f32[i]));
    uint16_t half;
    memcpy(&half, f64, 2);
    CHECK((half & 0x7c00) == 0x7c00 && (half & 0x3ff) && (half & 0x7f80) == 0x7f80 && (half & 0x7f));
}

static void ranges(void)
{
    char host[64] = {0}, *d = device_memory(64), *e = device_memory(64);
    fresh();
    d = device_memory(64);
    e = device_memory(64);
    VIOLATES(cudaMemcpyAsync(d + 1, host, 64, cudaMemcpyHostToDevice, stream), 1, "past the end");
    VIOLATES(cudaMemcpyAsync(host, d + 64, 1, cudaMemcpyDeviceToHost, stream), 1, "");
    VIOLATES(cudaMemcpyAsync(d - 1, host, 1, cudaMemcpyHostToDevice, stream), 1, "");
    VIOLATES(cudaMemcpyAsync(d, e, SIZE_MAX, cudaMemcpyDeviceToDevice, stream), 1, "");
    VIOLATES(cudaMemcpyAsync(d, d + 8, 16, cudaMemcpyDeviceToDevice, stream), 1, "");
    VIOLATES(cudaMemcpyAsync(d, d, 8, cudaMemcpyHostToDevice, stream), 1, "");
    VIOLATES(cudaMemcpyAsync(d, host, 8, cudaMemcpyDeviceToDevice, stream), 1, "");
    VIOLATES(cudaMemcpyAsync(NULL, host, 8, cudaMemcpyHostToDevice, stream), 1, "");
    VIOLATES(cudaMemcpyAsync(d, NULL, 8, cudaMemcpyHostToDevice, stream), 1, "");
    VIOLATES(cudaMemcpyAsync(d, host, 8, (enum cudaMemcpyKind)77, stream), 21, "");
    VIOLATES(cudaMemcpy2DAsync(d, 4, host, 8, 8, 2, cudaMemcpyHostToDevice, stream), 12, "");
    VIOLATES(cudaMemcpy2DAsync(d, (size_t)1 << 31, host, 8, 8, 2, cudaMemcpyHostToDevice, stream), 12, "");
    VIOLATES(cudaMemcpy2DAsync(d, 32, host, 8, 8, 3, cudaMemcpyHostToDevice, stream), 1, "");
    VIOLATES(cudaMemcpy2DAsync(d, 8, host, 8, 8, SIZE_MAX, cudaMemcpyHostToDevice, stream), 1, "");
    OK(cudaMemcpy2DAsync(d, 56, host, 8, 8, 2, cudaMemcpyHostToDevice, stream));
    VIOLATES(cudaMemsetAsync(d, 0, 65, stream), 1, "");
    VIOLATES(cudaMemset2DAsync(d, 32, 0, 33, 1, stream), 12, "");
    OK(cudaFree(e));
    VIOLATES(cudaMemsetAsync(e, 0, 1, stream), 1, "");
    VIOLATES(cudaFree(e), 1, "");
    VIOLATES(cudaFree(d + 8), 1, "");
    VIOLATES(cudaFree(host), 1, "");
    VIOLATES(cudaFreeHost(d), 1, "");
    fresh();
    e = device_memory(64);
    OK(cudaFree(e));
    VIOLATES(cudaMemsetAsync(e, 0, 1, stream), 1, "freed");
    char *pinned;
    OK(cudaHostAlloc((void **)&pinned, 64, 0));
    d = device_memory(128);
    VIOLATES(cudaMemcpyAsync(d, pinned + 8, 64, cudaMemcpyHostToDevice, stream), 1, "");
    OK(cudaFreeHost(pinned));
    VIOLATES(cudaMemcpyAsync(d, pinned, 8, cudaMemcpyHostToDevice, stream), 1, "");
}

static void limits(void)
{
    fresh();
    simcuda_memory_limit(1 << 20);
    size_t unused, total;
    void *a = device_memory(1 << 19), *b = NULL;
    OK(cudaMemGetInfo(&unused, &total));
    CHECK(unused == 1 << 19 && total == 1 << 20);
    CHECK(cudaMalloc(&b, (1 << 19) + 1) == cudaErrorMemoryAllocation);
    CHECK(cudaMalloc(&b, SIZE_MAX) == cudaErrorMemoryAllocation);
    CHECK(cudaHostAlloc(&b, SIZE_MAX, 0) == cudaErrorMemoryAllocation);
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaSuccess);
    OK(cudaMalloc(&b, 1 << 19));
    CHECK(simcuda_live(0) == 2 && simcuda_live_bytes(0) == 1 << 20 && simcuda_violations() == 0);
    OK(cudaFree(a));
    OK(cudaFree(b));
    CHECK(simcuda_live(0) == 0);
    simcuda_memory_limit(1LL << 40);
    CHECK(cudaMalloc(&b, (size_t)1 << 40) == cudaErrorMemoryAllocation);
}

static void devices(void)
{
    fresh();
    int count;
    char host[8];
    OK(cudaGetDeviceCount(&count));
    CHECK(count == 2);
    void *zero = device_memory(8);
    OK(cudaSetDevice(1));
    void *one = device_memory(8);
    cudaStream_t second;
    OK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    OK(cudaMemcpyAsync(host, one, 8, cudaMemcpyDeviceToHost, second));
    struct cudaPointerAttributes of;
    OK(cudaPointerGetAttributes(&of, one));
    CHECK(of.type == cudaMemoryTypeDevice && of.device == 1 && of.devicePointer == one);
    OK(cudaPointerGetAttributes(&of, host));
    CHECK(of.type == cudaMemoryTypeUnregistered);
    CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
    CHECK(simcuda_violations() == 0);
    VIOLATES(cudaMemcpyAsync(host, zero, 8, cudaMemcpyDeviceToHost, second), 1, "device");
    VIOLATES(cublasSetStream_v2(blas, second), 7, "");
    VIOLATES(cudaMemsetAsync(zero, 0, 8, stream), 400, ""); /* a stream of a device that is not current */
    struct cudaDeviceProp properties;
    OK(cudaGetDeviceProperties(&properties, 1));
    int major;
    OK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 1));
    CHECK(properties.major == major);
    simcuda_devices(0);
    count = 7;
    CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 0);
    simcuda_devices(-1);
    CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver);
    cublasHandle_t none;
    CHECK(cublasCreate_v2(&none) == CUBLAS_STATUS_NOT_INITIALIZED);
    CHECK(cudaRuntimeGetVersion(NULL) == cudaErrorInvalidValue);
}

void test_memory(void)
{
    guarded();
    fresh_is_nan();
    ranges();
    limits();
    devices();
}
