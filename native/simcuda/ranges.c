/* Whether an operand lies where it has to: inside one live allocation, of the right kind, on the right device. */
#include "simulation.h"

static bool outside(Call *call, const char *name, const void *address, size_t size, const Allocation *of)
{
    size_t room = of->size - (size_t)((uintptr_t)address - of->address);
    return violated(call, invalid_value(call->library),
        "%s at %p takes %zu bytes, which ends %zu bytes past the end of the %zu bytes of call %zu at %p", name, address,
        size, size - room, of->size, of->call, (void *)of->address);
}

static bool fits(const void *address, size_t size, const Allocation *in)
{
    return size <= in->size - (size_t)((uintptr_t)address - in->address);
}

char *device_range(Call *call, const char *name, const void *address, size_t size, int device)
{
    if (!not_null(call, name, address)) return NULL;
    int status = invalid_value(call->library);
    Allocation *in = memory_at((uintptr_t)address);
    if (!in) {
        char words[200];
        memory_describe((uintptr_t)address, words, sizeof words);
        violated(call, status, "%s at %p (%zu bytes) is not in device memory: it %s", name, address, size, words);
    } else if (in->kind != DEVICE_MEMORY) {
        violated(call, status, "%s at %p is pinned host memory, not device memory", name, address);
    } else if (in->device != device) {
        violated(call, status, "%s at %p is memory of device %d, used on device %d", name, address, in->device, device);
    } else if (!fits(address, size, in)) {
        outside(call, name, address, size, in);
    } else {
        return in->data + ((uintptr_t)address - in->address);
    }
    return NULL;
}

bool host_range(Call *call, const char *name, const void *address, size_t size, Allocation **pinned)
{
    *pinned = NULL;
    if (!not_null(call, name, address)) return false;
    int status = invalid_value(call->library);
    uintptr_t from = (uintptr_t)address;
    if (size > UINTPTR_MAX - from) return violated(call, status, "%s at %p takes %zu bytes", name, address, size);
    if (!memory_reaches(from, size)) return true;

    Allocation *in = memory_at(from);
    if (in && in->kind == DEVICE_MEMORY) {
        return violated(call, status, "%s at %p is device memory, not host memory", name, address);
    }
    if (!in) {
        char words[200];
        memory_describe(from, words, sizeof words);
        return violated(call, status, "%s at %p (%zu bytes) is not in host memory: it %s", name, address, size, words);
    }
    if (!fits(address, size, in)) return outside(call, name, address, size, in);
    *pinned = in;
    return true;
}

bool host_pointer(Call *call, const char *name, const void *pointer)
{
    Allocation *pinned;
    return host_range(call, name, pointer, 1, &pinned);
}
