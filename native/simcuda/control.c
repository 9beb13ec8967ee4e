/* The functions of simcuda.h. */
#include "simulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIBIBYTE (1LL << 30)

Simulation sim = {.epoch = 1, .devices = 2, .driver = 13000, .memory_limit = GIBIBYTE, .compute = true};

static Call control(void)
{
    return call_begin_uncounted(CUSOLVER, "simcuda");
}

EXPORT void simcuda_reset(void)
{
    Call call = control();
    streams_discard_all();
    objects_destroy_all();
    memory_release_all();
    sim = (Simulation){.epoch = sim.epoch + 1, .devices = 2, .driver = 13000, .memory_limit = GIBIBYTE, .compute = true,
        .log = sim.log, .log_capacity = sim.log_capacity};
    call_end(&call);
}

EXPORT void simcuda_fail_at(long long k, int code)
{
    Call call = control();
    sim.fail_in = k > 0 ? k : 0;
    sim.fail_code = code;
    sim.struck = false;
    call_end(&call);
}

EXPORT void simcuda_fail_late(long long k, int code)
{
    Call call = control();
    sim.late_in = k > 0 ? k : 0;
    sim.late_code = code ? code : cudaErrorIllegalAddress;
    sim.struck = false;
    call_end(&call);
}

EXPORT void simcuda_no_convergence(int times)
{
    Call call = control();
    sim.unconverged = times > 0 ? times : 0;
    call_end(&call);
}

EXPORT void simcuda_wrong_svd(int times)
{
    Call call = control();
    sim.wrong = times > 0 ? times : 0;
    call_end(&call);
}

EXPORT void simcuda_memory_limit(long long bytes)
{
    Call call = control();
    sim.memory_limit = bytes > 0 ? bytes : 0;
    call_end(&call);
}

EXPORT void simcuda_devices(int count)
{
    Call call = control();
    sim.devices = count < -1 ? -1 : count > MAX_DEVICES ? MAX_DEVICES : count;
    call_end(&call);
}

EXPORT void simcuda_driver(int version)
{
    Call call = control();
    sim.driver = version;
    call_end(&call);
}

EXPORT void simcuda_compute(int on)
{
    Call call = control();
    sim.compute = on != 0;
    call_end(&call);
}

static long long asked(long long value, Call *call)
{
    call_end(call);
    return value;
}

EXPORT int simcuda_fault_struck(void)
{
    Call call = control();
    return (int)asked(sim.struck, &call);
}

EXPORT long long simcuda_calls(void)
{
    Call call = control();
    return asked((long long)sim.calls, &call);
}

EXPORT long long simcuda_calls_of(const char *function)
{
    Call call = control();
    long long count = 0;
    const char *same = NULL;
    for (size_t i = 0; function && i < sim.calls; i++) {
        if (sim.log[i] != same && strcmp(sim.log[i], function) == 0) same = sim.log[i];
        count += sim.log[i] == same;
    }
    return asked(count, &call);
}

EXPORT const char *simcuda_call_name(long long k)
{
    Call call = control();
    const char *name = k >= 1 && (unsigned long long)k <= sim.calls ? sim.log[k - 1] : NULL;
    call_end(&call);
    return name;
}

EXPORT long long simcuda_copies(int kind)
{
    Call call = control();
    return asked(kind >= 1 && kind <= 3 ? sim.copies[kind] : 0, &call);
}

EXPORT long long simcuda_copied_bytes(int kind)
{
    Call call = control();
    return asked(kind >= 1 && kind <= 3 ? sim.copied_bytes[kind] : 0, &call);
}

EXPORT long long simcuda_synchronisations(void)
{
    Call call = control();
    return asked(sim.synchronisations, &call);
}

static long long live(int kind)
{
    return kind < 0 ? 0 : kind <= PINNED_MEMORY ? (long long)memory_count((MemoryKind)kind)
        : objects_count((ObjectKind)kind);
}

EXPORT long long simcuda_live(int kind)
{
    Call call = control();
    return asked(live(kind), &call);
}

EXPORT long long simcuda_live_bytes(int kind)
{
    Call call = control();
    return asked(kind == DEVICE_MEMORY || kind == PINNED_MEMORY ? (long long)memory_bytes((MemoryKind)kind, -1) : 0,
        &call);
}

EXPORT long long simcuda_violations(void)
{
    Call call = control();
    return asked(sim.violations, &call);
}

EXPORT const char *simcuda_violation(void)
{
    return sim.violation;
}

__attribute__((destructor)) static void report_leaks(void)
{
    static const char *const what[] = {"device memory", "pinned host memory", "streams", "events", "cuBLAS handles",
        "cuSOLVER handles", "gesvdj infos"};
    const char *wanted = getenv("SIMCUDA_REPORT_LEAKS");
    if (!wanted || strcmp(wanted, "1") != 0) return;
    for (int kind = 0; kind < 7; kind++) {
        if (live(kind)) fprintf(stderr, "simcuda: %lld still alive: %s\n", live(kind), what[kind]);
    }
}
