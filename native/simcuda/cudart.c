/* CUDA's runtime: devices, memory, streams and events. Copies are in copies.c. */
#include "simulation.h"

#include <stdio.h>
#include <string.h>

#define BEGIN Call call = call_begin(CUDART, __func__)
#define END return (cudaError_t)call_end(&call)

EXPORT cudaError_t cudaRuntimeGetVersion(int *version)
{
    Call call = call_begin_uncounted(CUDART, __func__);
    if (host_pointer(&call, "version", version)) *version = 13000;
    END;
}

EXPORT cudaError_t cudaDriverGetVersion(int *version)
{
    Call call = call_begin_uncounted(CUDART, __func__);
    if (host_pointer(&call, "version", version)) *version = sim.devices < 0 ? 0 : sim.driver;
    END;
}

EXPORT const char *cudaGetErrorName(cudaError_t error)
{
#define NAME(name, value) case value: return #name;
    switch ((int)error) { CUDA_ERROR_VALUES(NAME) }
    return "unrecognized error code";
}

EXPORT const char *cudaGetErrorString(cudaError_t error)
{
    switch ((int)error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    default: return "simulated failure";
    }
}

EXPORT cudaError_t cudaGetLastError(void)
{
    Call call = call_begin_uncounted(CUDART, __func__);
    int error = take_last_error();
    call_end(&call);
    return (cudaError_t)error;
}

/* ---- devices */

EXPORT cudaError_t cudaGetDeviceCount(int *count)
{
    BEGIN;
    if (host_pointer(&call, "count", count)) *count = call.status ? 0 : sim.devices;
    END;
}

static bool device_exists(Call *call, int device)
{
    return (device >= 0 && device < sim.devices) || failed(call, cudaErrorInvalidDevice);
}

EXPORT cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    BEGIN;
    if (!call.status && host_pointer(&call, "properties", properties) && device_exists(&call, device)) {
        memset(properties, 0, sizeof *properties);
        snprintf(properties->name, sizeof properties->name, "simulated GPU");
        properties->totalGlobalMem = (size_t)sim.memory_limit;
        properties->warpSize = 32;
        properties->memPitch = INT32_MAX;
        properties->major = 8; /* as cudaDeviceGetAttribute has it */
    }
    END;
}

EXPORT cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    BEGIN;
    if (!call.status && host_pointer(&call, "value", value) && device_exists(&call, device)) {
        switch ((int)attribute) {
        case cudaDevAttrComputeCapabilityMajor: *value = 8; break;
        case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
        case cudaDevAttrMaxPitch: *value = INT32_MAX; break;
        case cudaDevAttrWarpSize: *value = 32; break;
        default: violated(&call, cudaErrorInvalidValue, "attribute %d is not simulated", (int)attribute);
        }
    }
    END;
}

EXPORT cudaError_t cudaSetDevice(int device)
{
    BEGIN;
    if (!call.status && device_exists(&call, device)) set_current_device(device);
    END;
}

/* ---- memory */

EXPORT cudaError_t cudaMemGetInfo(size_t *freeBytes, size_t *totalBytes)
{
    BEGIN;
    if (!call.status && host_pointer(&call, "free", freeBytes) && host_pointer(&call, "total", totalBytes)) {
        size_t used = memory_bytes(DEVICE_MEMORY, current_device());
        *totalBytes = (size_t)sim.memory_limit;
        *freeBytes = used < *totalBytes ? *totalBytes - used : 0;
    }
    END;
}

static void allocate(Call *call, MemoryKind kind, void **address, size_t size)
{
    if (call->status || !host_pointer(call, "address", address)) return;
    *address = NULL;
    if (!size) return;
    Allocation *made = memory_allocate(kind, current_device(), size);
    if (made) *address = (void *)made->address;
    else failed(call, cudaErrorMemoryAllocation);
}

EXPORT cudaError_t cudaMalloc(void **address, size_t size)
{
    BEGIN;
    allocate(&call, DEVICE_MEMORY, address, size);
    END;
}

EXPORT cudaError_t cudaHostAlloc(void **address, size_t size, unsigned int flags)
{
    BEGIN;
    if (!call.status && flags > 7) violated(&call, cudaErrorInvalidValue, "flags are %u", flags);
    allocate(&call, PINNED_MEMORY, address, size);
    END;
}

/* Gives back even where the call fails: such an error belongs to earlier work. */
static void release(Call *call, MemoryKind kind, void *address)
{
    if (!address) return;
    Allocation *found = memory_at((uintptr_t)address);
    if (!found || found->address != (uintptr_t)address || found->kind != kind) {
        violated(call, cudaErrorInvalidValue, "%p is not what cuda%s has given, or is freed", address,
            kind == DEVICE_MEMORY ? "Malloc" : "HostAlloc");
        return;
    }
    if (kind == PINNED_MEMORY && found->queued) {
        violated(call, cudaErrorInvalidValue, "%p is freed while %zu copies from or to it are queued", address, found->queued);
    }
    call_waits_for_device(call, found->device);
    for (int device = 0; found->queued && device < MAX_DEVICES; device++) device_run(device); /* never used once it is gone */
    memory_release(found);
}

EXPORT cudaError_t cudaFree(void *address)
{
    BEGIN;
    release(&call, DEVICE_MEMORY, address);
    END;
}

EXPORT cudaError_t cudaFreeHost(void *address)
{
    BEGIN;
    release(&call, PINNED_MEMORY, address);
    END;
}

EXPORT cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *address)
{
    BEGIN;
    if (!call.status && host_pointer(&call, "attributes", attributes)) {
        Allocation *in = memory_at((uintptr_t)address);
        memset(attributes, 0, sizeof *attributes);
        attributes->type = !in ? cudaMemoryTypeUnregistered : in->kind == DEVICE_MEMORY ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
        attributes->device = in ? in->device : -2;
        attributes->devicePointer = in ? (void *)address : NULL;
        attributes->hostPointer = in && in->kind == PINNED_MEMORY ? (void *)address : NULL;
    }
    END;
}

/* ---- streams and events */

EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    BEGIN;
    if (!call.status && flags > cudaStreamNonBlocking) violated(&call, cudaErrorInvalidValue, "flags are %u", flags);
    if (!call.status && host_pointer(&call, "stream", stream)) {
        Stream *made = object_create(STREAM, sizeof *made, current_device());
        if (made) {
            made->blocking = flags == cudaStreamDefault;
            *stream = (cudaStream_t)made->object.handle;
        } else {
            failed(&call, cudaErrorMemoryAllocation);
        }
    }
    END;
}

EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    BEGIN;
    Stream *s = call.status ? NULL : stream_of(&call, stream);
    if (s) call_waits_for_stream(&call, s);
    END;
}

EXPORT cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    BEGIN;
    Stream *s = stream ? stream_of(&call, stream) : NULL;
    if (!stream) violated(&call, cudaErrorInvalidResourceHandle, "the default stream is not destroyed");
    if (s) {
        stream_run(s, UINT64_MAX); /* what is queued still runs */
        if (sim.sticky) failed(&call, sim.sticky);
        object_destroy(s);
    }
    END;
}

typedef struct Event {
    Object object;
    cudaStream_t stream;
    uint64_t number;
} Event;

static Event *event_of(Call *call, cudaEvent_t event)
{
    Event *found = object_find(EVENT, event);
    if (!found) violated(call, cudaErrorInvalidResourceHandle, "event %p does not exist or is destroyed", (void *)event);
    return found;
}

EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    BEGIN;
    if (!call.status && flags > (cudaEventBlockingSync | cudaEventDisableTiming)) {
        violated(&call, cudaErrorInvalidValue, "flags %u are not simulated", flags);
    }
    if (!call.status && host_pointer(&call, "event", event)) {
        Event *made = object_create(EVENT, sizeof *made, current_device());
        if (made) *event = (cudaEvent_t)made->object.handle;
        else failed(&call, cudaErrorMemoryAllocation);
    }
    END;
}

EXPORT cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    BEGIN;
    Event *e = call.status ? NULL : event_of(&call, event);
    Stream *s = e ? stream_of(&call, stream) : NULL;
    if (s && s->object.device != e->object.device) {
        violated(&call, cudaErrorInvalidResourceHandle, "the event belongs to device %d, the stream to device %d",
            e->object.device, s->object.device);
    } else if (s) {
        if (call.late) stream_queue(&call, s, NULL, NULL, 0, NULL, NULL);
        e->stream = stream;
        e->number = works_queued();
    }
    END;
}

EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    BEGIN;
    Event *e = call.status ? NULL : event_of(&call, event);
    if (e && e->number) {
        Stream *s = e->stream ? object_find(STREAM, e->stream) : null_stream(e->object.device);
        if (s) stream_run(s, e->number);
        sim.synchronisations++;
        if (sim.sticky) failed(&call, sim.sticky);
    }
    END;
}

EXPORT cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    BEGIN;
    Event *e = event_of(&call, event);
    if (e) object_destroy(e);
    END;
}
