/* What the handles of cuBLAS and cuSOLVER have in common: creation, stream, device, versions. */
#include "simulation.h"

static ObjectKind kind_of(Library library)
{
    return library == CUBLAS ? BLAS_HANDLE : SOLVER_HANDLE;
}

int handle_create(const char *function, Library library, void **handle)
{
    Call call = call_begin(library, function);
    if (!call.status && host_pointer(&call, "handle", handle)) {
        LibraryHandle *made = object_create(kind_of(library), sizeof *made, current_device());
        if (made) *handle = (void *)made->object.handle;
        else failed(&call, library == CUBLAS ? (int)CUBLAS_STATUS_ALLOC_FAILED : (int)CUSOLVER_STATUS_ALLOC_FAILED);
    }
    return call_end(&call);
}

int handle_destroy(const char *function, Library library, void *handle)
{
    Call call = call_begin(library, function);
    LibraryHandle *found = object_find(kind_of(library), handle);
    if (found) {
        call_waits_for_device(&call, found->object.device); /* as the real ones do */
        object_destroy(found);
    } else {
        violated(&call, library == CUBLAS ? (int)CUBLAS_STATUS_NOT_INITIALIZED : (int)CUSOLVER_STATUS_NOT_INITIALIZED,
            "handle %p does not exist or is destroyed", handle);
    }
    return call_end(&call);
}

static LibraryHandle *find(Call *call, const void *handle)
{
    LibraryHandle *found = object_find(kind_of(call->library), handle);
    if (!found) {
        violated(call, call->library == CUBLAS ? (int)CUBLAS_STATUS_NOT_INITIALIZED : (int)CUSOLVER_STATUS_NOT_INITIALIZED,
            "handle %p does not exist or is destroyed", handle);
    } else if (found->object.device != current_device()) {
        violated(call, invalid_value(call->library), "handle %p belongs to device %d, but device %d is current", handle,
            found->object.device, current_device());
    }
    return call->status ? NULL : found;
}

int handle_set_stream(const char *function, Library library, void *handle, cudaStream_t stream)
{
    Call call = call_begin(library, function);
    LibraryHandle *found = call.status ? NULL : find(&call, handle);
    Stream *s = found ? stream_of(&call, stream) : NULL;
    if (s && s->object.device != found->object.device) {
        violated(&call, invalid_value(library), "stream %p belongs to device %d, the handle to device %d", (void *)stream,
            s->object.device, found->object.device);
    } else if (s) {
        found->stream = stream;
        found->workspace = NULL;
        found->workspace_size = 0;
    }
    return call_end(&call);
}

LibraryHandle *handle_of(Call *call, const void *handle, Stream **stream)
{
    LibraryHandle *found = call->status ? NULL : find(call, handle);
    *stream = found ? stream_of(call, found->stream) : NULL;
    return *stream ? found : NULL;
}

int library_property(const char *function, Library library, int type, int *value)
{
    static const int versions[2][3] = {{13, 1, 1}, {12, 0, 4}};
    Call call = call_begin_uncounted(library, function);
    if (host_pointer(&call, "value", value)) {
        if (type >= MAJOR_VERSION && type <= PATCH_LEVEL) *value = versions[library == CUSOLVER][type];
        else violated(&call, invalid_value(library), "property %d does not exist", type);
    }
    return call_end(&call);
}
