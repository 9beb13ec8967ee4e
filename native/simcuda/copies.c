/* Copies and fills. Pinned host memory is read and written when the queue runs, pageable memory as CUDA documents it. */
#include "simulation.h"

#include <string.h>

#define BEGIN Call call = call_begin(CUDART, __func__)
#define END return (cudaError_t)call_end(&call)

typedef struct Copy {
    char *to;
    size_t to_pitch;
    const char *from;
    size_t from_pitch, width, height;
} Copy;

static void run_copy(void *arguments)
{
    Copy *c = arguments;
    for (size_t i = 0; i < c->height; i++) memcpy(c->to + i * c->to_pitch, c->from + i * c->from_pitch, c->width);
}

/* Bytes from the first to the last of the rows; no cast to a signed type, which would let the absurd ones pass. */
static size_t span(size_t pitch, size_t width, size_t height)
{
    unsigned __int128 bytes = (unsigned __int128)(height - 1) * pitch + width;
    return bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes;
}

static Stream *stream_on_current_device(Call *call, cudaStream_t handle)
{
    Stream *stream = call->status ? NULL : stream_of(call, handle);
    if (!stream || stream->object.device == current_device()) return stream;
    violated(call, cudaErrorInvalidResourceHandle, "the stream belongs to device %d, but device %d is current", stream->object.device,
        current_device());
    return NULL;
}

/* What a queued copy will write into pinned memory is NaN until then: neither the old value nor the new one. */
static void spoil(const Copy *c, const Allocation *pinned)
{
    if (pinned->queued) return; /* by earlier work, which may have to read it */
    for (size_t i = 0; i < c->height; i++) fill_nan(c->to + i * c->to_pitch, c->width);
}

static void copy(Call *call, void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height,
    enum cudaMemcpyKind kind, cudaStream_t stream)
{
    Stream *s = stream_on_current_device(call, stream);
    if (!s || !width || !height) return;
    Copy c = {to, to_pitch, from, from_pitch, width, height};
    int device = s->object.device;
    size_t to_size = span(to_pitch, width, height), from_size = span(from_pitch, width, height);
    Allocation *pinned = NULL;
    void *staged = NULL;
    if (kind == cudaMemcpyHostToDevice) {
        if (!(c.to = device_range(call, "the target", to, to_size, device))) return;
        if (!host_range(call, "the source", from, from_size, &pinned)) return;
        if (!pinned) sim.synchronisations++; /* the host waits until its memory is read */
        if (!pinned && sim.compute) {
            c.from = staged = need(width * height);
            c.from_pitch = width;
            run_copy(&(Copy){staged, width, from, from_pitch, width, height});
        }
    } else if (kind == cudaMemcpyDeviceToHost) {
        if (!(c.from = device_range(call, "the source", from, from_size, device))) return;
        if (!host_range(call, "the target", to, to_size, &pinned)) return;
        if (pinned && sim.compute) spoil(&c, pinned);
    } else if (kind == cudaMemcpyDeviceToDevice) {
        if (!(c.from = device_range(call, "the source", from, from_size, device))) return;
        if (!(c.to = device_range(call, "the target", to, to_size, device))) return;
        if (rows_overlap((Rows){(uintptr_t)to, width, to_pitch, height}, (Rows){(uintptr_t)from, width, from_pitch, height})) {
            violated(call, cudaErrorInvalidValue, "the source at %p overlaps the target at %p", from, to);
            return;
        }
    } else {
        violated(call, cudaErrorInvalidMemcpyDirection, "kind %d is not simulated", (int)kind);
        return;
    }
    sim.copies[kind]++;
    sim.copied_bytes[kind] += (long long)(width * height);
    stream_queue(call, s, run_copy, &c, sizeof c, staged, pinned);
    if (kind == cudaMemcpyDeviceToHost && !pinned) call_waits_for_stream(call, s);
}

EXPORT cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    BEGIN;
    copy(&call, to, size, from, size, size, 1, kind, stream);
    END;
}

EXPORT cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height,
    enum cudaMemcpyKind kind, cudaStream_t stream)
{
    BEGIN;
    if (to_pitch < width || from_pitch < width || to_pitch > INT32_MAX || from_pitch > INT32_MAX) {
        violated(&call, cudaErrorInvalidPitchValue, "pitches are %zu and %zu for a width of %zu", to_pitch, from_pitch, width);
    }
    copy(&call, to, to_pitch, from, from_pitch, width, height, kind, stream);
    END;
}

typedef struct Fill {
    char *to;
    size_t pitch, width, height;
    int value;
} Fill;

static void run_fill(void *arguments)
{
    Fill *f = arguments;
    for (size_t i = 0; i < f->height; i++) memset(f->to + i * f->pitch, f->value, f->width);
}

static void fill(Call *call, void *to, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream)
{
    Stream *s = stream_on_current_device(call, stream);
    if (!s || !width || !height) return;
    Fill f = {device_range(call, "the target", to, span(pitch, width, height), s->object.device), pitch, width, height, value};
    if (f.to) stream_queue(call, s, run_fill, &f, sizeof f, NULL, NULL);
}

EXPORT cudaError_t cudaMemsetAsync(void *to, int value, size_t size, cudaStream_t stream)
{
    BEGIN;
    fill(&call, to, size, value, size, 1, stream);
    END;
}

EXPORT cudaError_t cudaMemset2DAsync(void *to, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream)
{
    BEGIN;
    if (pitch < width || pitch > INT32_MAX) violated(&call, cudaErrorInvalidPitchValue, "the pitch is %zu for a width of %zu", pitch, width);
    fill(&call, to, pitch, value, width, height, stream);
    END;
}
