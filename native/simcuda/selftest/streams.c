/* Nothing runs before it is waited for; pinned and pageable memory; the null stream; events. */
#include "check.h"

static void deferred(void)
{
    float *pinned, x = 1;
    OK(cudaHostAlloc((void **)&pinned, 8, 0));
    float *d = device_memory(8);
    pinned[0] = 1;
    OK(cudaMemcpyAsync(d, pinned, 4, cudaMemcpyHostToDevice, stream));
    pinned[0] = 2; /* too early: the copy reads this */
    from_device(&x, d, 4);
    CHECK(x == 2);
    pinned[0] = 5;
    OK(cudaMemcpyAsync(pinned, d, 4, cudaMemcpyDeviceToHost, stream));
    CHECK(pinned[0] != 5 && pinned[0] != 2); /* neither the old value nor the new one */
    OK(cudaStreamSynchronize(stream));
    CHECK(pinned[0] == 2);
    x = 7;
    OK(cudaMemcpyAsync(d, &x, 4, cudaMemcpyHostToDevice, stream));
    x = 8; /* allowed: pageable memory is read at the call */
    from_device(&x, d, 4);
    CHECK(x == 7);
    CHECK(simcuda_copies(1) == 2 && simcuda_copies(2) == 3 && simcuda_copied_bytes(1) == 8);
    /* in one queue a buffer may be read and then written */
    pinned[0] = 3;
    OK(cudaMemcpyAsync(d, pinned, 4, cudaMemcpyHostToDevice, stream));
    OK(cudaMemcpyAsync(pinned, d, 4, cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    CHECK(pinned[0] == 3 && simcuda_violations() == 0);
    OK(cudaMemcpyAsync(d, pinned, 4, cudaMemcpyHostToDevice, stream));
    VIOLATES(cudaFreeHost(pinned), 1, "");
    CHECK(simcuda_live(1) == 0);
}

static void scalars_are_captured(void)
{
    fresh();
    float a = 3, *d = on_device(&a, 4), *c = device_memory(4), alpha = 2, beta = 0, x;
    OK(cublasSgemm_v2(blas, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &alpha, d, 1, d, 1, &beta, c, 1));
    alpha = beta = NAN;
    from_device(&x, c, 4);
    CHECK(x == 18);
}

static float pinned_value(volatile float *pinned, cudaStream_t in, void *d)
{
    *pinned = -1;
    OK(cudaMemcpyAsync((void *)pinned, d, 4, cudaMemcpyDeviceToHost, in));
    return *pinned;
}

static void queues(void)
{
    fresh();
    cudaStream_t blocking;
    OK(cudaStreamCreateWithFlags(&blocking, cudaStreamDefault));
    float *p, one = 1, *d = on_device(&one, 4);
    OK(cudaStreamSynchronize(stream));
    OK(cudaHostAlloc((void **)&p, 4096, 0));
    pinned_value(&p[0], stream, d);
    pinned_value(&p[100], blocking, d);
    pinned_value(&p[200], 0, d);
    OK(cudaStreamSynchronize(0)); /* and the blocking stream's earlier work, not the other's */
    CHECK(p[0] != 1 && p[100] == 1 && p[200] == 1);
    pinned_value(&p[200], 0, d);
    pinned_value(&p[100], blocking, d);
    OK(cudaStreamSynchronize(blocking));
    CHECK(p[0] != 1 && p[100] == 1 && p[200] == 1);

    cudaEvent_t event;
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    OK(cudaEventSynchronize(event)); /* never recorded */
    CHECK(p[0] != 1);
    OK(cudaEventRecord(event, stream));
    pinned_value(&p[300], stream, d);
    OK(cudaEventSynchronize(event));
    CHECK(p[0] == 1 && p[300] != 1);
    OK(cudaStreamDestroy(stream));
    CHECK(p[300] == 1);
    OK(cudaEventSynchronize(event));
    OK(cudaEventDestroy(event));
    CHECK(simcuda_violations() == 0);
    VIOLATES(cudaEventSynchronize(event), 400, "");
    VIOLATES(cudaStreamSynchronize(stream), 400, "");
    VIOLATES(cudaStreamDestroy(0), 400, "");
    VIOLATES(cudaStreamCreateWithFlags(&blocking, 9), 1, "");
    CHECK(simcuda_live(2) == 1 && simcuda_live(3) == 0);
}

static void waits_are_counted(void)
{
    fresh();
    long long before = simcuda_synchronisations();
    float x = 1, *d = on_device(&x, 4); /* pageable: 1 */
    OK(cudaStreamSynchronize(stream));   /* 2 */
    from_device(&x, d, 4);               /* 3 */
    int index;
    OK(cublasIsamax_v2(blas, 1, d, 1, &index)); /* 4 */
    OK(cudaFree(d));                            /* 5 */
    CHECK(simcuda_synchronisations() - before == 5);
    CHECK(simcuda_calls_of("cudaMalloc") == 1 && !strcmp(simcuda_call_name(simcuda_calls()), "cudaFree"));
    CHECK(!simcuda_call_name(0) && !simcuda_call_name(simcuda_calls() + 1));
}

static void rows(void)
{
    fresh();
    uint8_t host[12], back[30] = {0};
    for (int i = 0; i < 12; i++) host[i] = (uint8_t)i;
    uint8_t *d = device_memory(30);
    OK(cudaMemset2DAsync(d, 10, 0xee, 10, 3, stream));
    OK(cudaMemcpy2DAsync(d, 10, host, 4, 3, 3, cudaMemcpyHostToDevice, stream));
    OK(cudaMemcpy2DAsync(d + 5, 10, d, 10, 3, 3, cudaMemcpyDeviceToDevice, stream)); /* interleaved, not overlapping */
    from_device(back, d, 30);
    for (int i = 0; i < 30; i++) {
        int row = i / 10, column = i % 10;
        int expected = column < 3 ? row * 4 + column : column >= 5 && column < 8 ? row * 4 + column - 5 : 0xee;
        CHECK(back[i] == expected);
    }
    CHECK(simcuda_copied_bytes(1) == 9 && simcuda_copied_bytes(3) == 9 && simcuda_violations() == 0);
}

static void without_compute(void)
{
    fresh();
    simcuda_compute(0);
    float x = 4, *d = on_device(&x, 4);
    from_device(&x, d, 4);
    int index = -5;
    OK(cublasIsamax_v2(blas, 1, d, 1, &index));
    CHECK(x == 4 && simcuda_copies(1) == 1 && simcuda_violations() == 0);
}

void test_streams(void)
{
    deferred();
    scalars_are_captured();
    queues();
    waits_are_counted();
    rows();
    without_compute();
}
