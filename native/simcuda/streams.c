/*
 * Queues. Nothing runs before something waits for it, and then no more than that: a missing synchronisation shows as a
 * wrong result. The null stream and the blocking streams of a device wait for each other's earlier work, as CUDA's
 * legacy default stream has it.
 */
#include "simulation.h"

#include <stdlib.h>
#include <string.h>

struct Work {
    Work *next;
    uint64_t number; /* in the order of calls, over all streams */
    bool fails, idle;
    void (*run)(void *);
    void *staged;
    Allocation *pinned;
    max_align_t arguments[];
};

static Stream null_streams[MAX_DEVICES];
static uint64_t queued;

uint64_t works_queued(void)
{
    return queued;
}

Stream *null_stream(int device)
{
    Stream *stream = &null_streams[device];
    stream->object.device = device;
    stream->blocking = true;
    return stream;
}

Stream *stream_of(Call *call, cudaStream_t stream)
{
    if (!stream) return null_stream(current_device());
    Stream *found = object_find(STREAM, stream);
    if (!found) {
        int status = call->library == CUDART ? (int)cudaErrorInvalidResourceHandle : invalid_value(call->library);
        violated(call, status, "stream %p does not exist or is destroyed", (void *)stream);
    }
    return found;
}

void stream_queue(Call *call, Stream *stream, void (*run)(void *), const void *arguments, size_t size, void *staged,
    Allocation *pinned)
{
    Work *work = need(sizeof *work + size);
    *work = (Work){.number = ++queued, .fails = call->late, .idle = !sim.compute, .run = run, .staged = staged,
        .pinned = pinned};
    if (size) memcpy(work->arguments, arguments, size);
    if (pinned) pinned->queued++;
    if (stream->last) stream->last->next = work;
    else stream->first = work;
    stream->last = work;
}

static void take_first(Stream *stream, bool run)
{
    Work *work = stream->first;
    stream->first = work->next;
    if (!stream->first) stream->last = NULL;
    if (run && !sim.sticky) {
        if (work->fails) {
            sim.sticky = sim.late_code;
            sim.struck = true;
        } else if (work->run && !work->idle) {
            work->run(work->arguments);
        }
    }
    if (work->pinned) work->pinned->queued--;
    free(work->staged);
    free(work);
}

static bool is_null_stream(const Stream *stream)
{
    return stream == &null_streams[stream->object.device];
}

/* The stream of the device, of all or of the blocking ones, whose next work was queued first. */
static Stream *earliest(int device, bool blocking_only)
{
    Stream *found = null_stream(device)->first ? null_stream(device) : NULL;
    for (Object *o = objects; o; o = o->next) {
        if (o->kind != STREAM || o->device != device) continue;
        Stream *s = (Stream *)o;
        if (!s->first || (blocking_only && !s->blocking)) continue;
        if (!found || s->first->number < found->first->number) found = s;
    }
    return found;
}

static void run_blocking(int device, uint64_t upto)
{
    for (Stream *s; (s = earliest(device, true)) && s->first->number <= upto;) take_first(s, true);
}

/* Number of the last work of the queue up to a number, 0 if there is none. */
static uint64_t last_number(const Stream *stream, uint64_t upto)
{
    uint64_t number = 0;
    for (Work *w = stream->first; w && w->number <= upto; w = w->next) number = w->number;
    return number;
}

void stream_run(Stream *stream, uint64_t upto)
{
    uint64_t last = last_number(stream, upto);
    int device = stream->object.device;
    if (is_null_stream(stream)) {
        run_blocking(device, last);
        return;
    }
    if (stream->blocking) run_blocking(device, last_number(null_stream(device), last));
    while (stream->first && stream->first->number <= last) take_first(stream, true);
}

void device_run(int device)
{
    for (Stream *s; (s = earliest(device, false));) take_first(s, true);
}

void streams_discard_all(void)
{
    for (int device = 0; device < MAX_DEVICES; device++) {
        for (Stream *s; (s = earliest(device, false));) take_first(s, false);
    }
}

static void waited(Call *call)
{
    sim.synchronisations++;
    if (!sim.sticky) return;
    failed(call, call->library == CUDART ? sim.sticky
        : call->library == CUBLAS ? (int)CUBLAS_STATUS_EXECUTION_FAILED : (int)CUSOLVER_STATUS_EXECUTION_FAILED);
}

void call_waits_for_stream(Call *call, Stream *stream)
{
    stream_run(stream, UINT64_MAX);
    waited(call);
}

void call_waits_for_device(Call *call, int device)
{
    device_run(device);
    waited(call);
}
