/* What every call goes through: the lock, the count, faults, violations, the thread's device and last error. */
#include "simulation.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static _Thread_local struct {
    long long epoch;
    int device;
    int last_error;
} thread;

static void remember_epoch(void)
{
    if (thread.epoch != sim.epoch) {
        thread.epoch = sim.epoch;
        thread.device = 0;
        thread.last_error = 0;
    }
}

int invalid_value(Library library)
{
    return library == CUDART ? cudaErrorInvalidValue
        : library == CUBLAS ? (int)CUBLAS_STATUS_INVALID_VALUE : (int)CUSOLVER_STATUS_INVALID_VALUE;
}

static int general_failure(Library library, int cudart)
{
    return library == CUDART ? cudart
        : library == CUBLAS ? (int)CUBLAS_STATUS_EXECUTION_FAILED : (int)CUSOLVER_STATUS_EXECUTION_FAILED;
}

static int without_device(Library library)
{
    return library == CUBLAS ? (int)CUBLAS_STATUS_NOT_INITIALIZED
        : library == CUSOLVER ? (int)CUSOLVER_STATUS_NOT_INITIALIZED
        : sim.devices < 0 ? cudaErrorInsufficientDriver : cudaErrorNoDevice;
}

static void count(const char *function)
{
    if (sim.calls == sim.log_capacity) {
        size_t capacity = sim.log_capacity ? 2 * sim.log_capacity : 1024;
        const char **log = realloc(sim.log, capacity * sizeof *log);
        if (!log) abort();
        sim.log = log;
        sim.log_capacity = capacity;
    }
    sim.log[sim.calls++] = function;
}

Call call_begin_uncounted(Library library, const char *function)
{
    pthread_mutex_lock(&lock);
    remember_epoch();
    return (Call){.function = function, .library = library};
}

Call call_begin(Library library, const char *function)
{
    Call call = call_begin_uncounted(library, function);
    count(function);
    if (sim.devices <= 0) call.status = without_device(library);
    if (sim.sticky) call.status = general_failure(library, sim.sticky);
    if (sim.late_in && --sim.late_in == 0) call.late = true;
    if (sim.fail_in && --sim.fail_in == 0) {
        sim.struck = true;
        call.status = sim.fail_code ? sim.fail_code : general_failure(library, cudaErrorIllegalAddress);
    }
    return call;
}

int call_end(Call *call)
{
    if (call->library == CUDART && call->status) thread.last_error = call->status;
    pthread_mutex_unlock(&lock);
    return call->status;
}

bool failed(Call *call, int status)
{
    if (!call->status) call->status = status;
    return false;
}

bool violated(Call *call, int status, const char *format, ...)
{
    if (sim.violations++ == 0) {
        int used = snprintf(sim.violation, sizeof sim.violation, "%s: ", call->function);
        va_list words;
        va_start(words, format);
        vsnprintf(sim.violation + used, sizeof sim.violation - (size_t)used, format, words);
        va_end(words);
    }
    return failed(call, status);
}

bool not_null(Call *call, const char *name, const void *pointer)
{
    return pointer || violated(call, invalid_value(call->library), "%s is null", name);
}

bool at_least(Call *call, const char *name, long long value, long long least)
{
    return value >= least
        || violated(call, invalid_value(call->library), "%s is %lld, less than %lld", name, value, least);
}

int current_device(void)
{
    return thread.device < sim.devices ? thread.device : 0;
}

void set_current_device(int device)
{
    thread.device = device;
}

int take_last_error(void)
{
    if (sim.sticky) return sim.sticky;
    int error = thread.last_error;
    thread.last_error = 0;
    return error;
}
