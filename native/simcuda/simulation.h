/* What the files of the simulation share: its state, calls, memory, queues. Everything is under the one lock of a Call. */
#ifndef SIMCUDA_SIMULATION_H
#define SIMCUDA_SIMULATION_H

#ifdef SIMCUDA_NVIDIA_HEADERS
#include <cuda_runtime_api.h>
#include <cublas_v2.h>
#include <cusolverDn.h>
#include "cuda_values.h"
#else
#include "cuda_subset.h"
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simcuda.h"

#define EXPORT __attribute__((visibility("default")))
#define MAX_DEVICES 16

/* ---- state (control.c) */

typedef struct Simulation {
    long long epoch; /* of resets: what a thread remembers of an older one is forgotten */
    int devices, driver;
    long long memory_limit;
    bool compute;
    long long fail_in, late_in; /* calls until the fault; 0: none */
    int fail_code, late_code;
    bool struck;
    int sticky; /* the late fault has struck: code of cudart */
    int unconverged, wrong;
    const char **log;
    size_t calls, log_capacity;
    long long copies[5], copied_bytes[5], synchronisations, violations;
    char violation[600];
} Simulation;

extern Simulation sim;

/* ---- calls (calls.c) */

typedef enum { CUDART, CUBLAS, CUSOLVER } Library;

typedef struct Call {
    const char *function;
    Library library;
    int status; /* not 0: the call fails with it */
    bool late;  /* what it queues fails when it is executed */
} Call;

/* Takes the lock, counts the call and lets faults strike; a status other than 0 means: do nothing but release. */
Call call_begin(Library library, const char *function);
/* The same, not counted and never struck: names and versions, and the control functions. */
Call call_begin_uncounted(Library library, const char *function);
/* Gives the lock back; the status to return. */
int call_end(Call *call);
/* Records a violation and makes the call fail with the status; false. */
bool violated(Call *call, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Fails without a violation. */
bool failed(Call *call, int status);
/* Status of the library for a bad parameter. */
int invalid_value(Library library);
bool not_null(Call *call, const char *name, const void *pointer);
/* Least number that is allowed for the parameter. */
bool at_least(Call *call, const char *name, long long value, long long least);
/* The thread's current device. */
int current_device(void);
void set_current_device(int device);
/* The thread's last error of cudart, which is then forgotten unless sticky. */
int take_last_error(void);
void forget_faults(void);

/* ---- memory (memory.c) */

typedef enum { DEVICE_MEMORY, PINNED_MEMORY } MemoryKind;

typedef struct Allocation {
    uintptr_t address; /* what the caller was given */
    size_t size;
    char *data; /* where the simulation keeps the bytes: for pinned memory the address itself */
    MemoryKind kind;
    int device;
    size_t call;   /* number of the call that made it */
    size_t queued; /* works in queues that read or write it when they run; of pinned memory only */
} Allocation;

/* NULL where there is not enough. */
Allocation *memory_allocate(MemoryKind kind, int device, size_t size);
void memory_release(Allocation *allocation);
void memory_release_all(void);
/* The live allocation that holds the address, or NULL. */
Allocation *memory_at(uintptr_t address);
/* Whether any byte of the range is, was or might become an allocation. */
bool memory_reaches(uintptr_t address, size_t size);
size_t memory_bytes(MemoryKind kind, int device); /* device -1: of all */
size_t memory_count(MemoryKind kind);
/* Where the simulation keeps a range of device memory; NULL after a violation. */
char *device_range(Call *call, const char *name, const void *address, size_t size, int device);
/* False after a violation; `pinned` becomes NULL for pageable memory. */
bool host_range(Call *call, const char *name, const void *address, size_t size, Allocation **pinned);
/* What is known of an address that is in no live allocation. */
void memory_describe(uintptr_t address, char *words, size_t size);
/* An argument that the call itself reads or writes: a scalar, a result. */
bool host_pointer(Call *call, const char *name, const void *pointer);
void fill_nan(void *data, size_t size);

/* ---- operands of BLAS and LAPACK (operands.c) */

typedef struct Operand {
    const char *name;
    const void *address;
    long long rows, columns, leading; /* column-major, in elements */
    size_t element;                   /* bytes */
    bool written;
    long long stride, batches; /* of a batch: elements from one matrix to the next; batches 0 means 1 */
    bool may_alias;            /* not compared with the others */
    char *data;                /* out: where the simulation keeps it; NULL if it has no elements */
} Operand;

/* Checks range, device, alignment of each and that nothing written overlaps another, then sets data. */
bool operands_resolved(Call *call, int device, Operand *operands, int count);

typedef struct Rows {
    uintptr_t start;
    size_t length, step, count; /* bytes in one piece, from piece to piece, pieces; step ≥ length */
} Rows;

bool rows_overlap(Rows a, Rows b);
/* (count − 1)·step + length elements of some bytes, SIZE_MAX where that does not fit. */
size_t extent(long long length, long long step, long long count, size_t element);

/* ---- objects behind handles (objects.c) */

/* Numbers as simcuda_live has them. */
typedef enum { STREAM = 2, EVENT, BLAS_HANDLE, SOLVER_HANDLE, SVD_INFO } ObjectKind;

typedef struct Object {
    struct Object *next;
    ObjectKind kind;
    int device;
    uintptr_t handle; /* what the caller holds; no address, and never used twice */
} Object;

void *object_create(ObjectKind kind, size_t size, int device);
void *object_find(ObjectKind kind, const void *handle);
void object_destroy(void *object);
void objects_destroy_all(void);
long long objects_count(ObjectKind kind);
extern Object *objects;

/* ---- queues (streams.c) */

typedef struct Work Work;

typedef struct Stream {
    Object object;
    bool blocking;
    Work *first, *last;
} Stream;

/* The stream, NULL after a violation. */
Stream *stream_of(Call *call, cudaStream_t stream);
Stream *null_stream(int device);
/* Queues run(arguments) with a copy of the arguments. `staged` is freed afterwards, `pinned` may be NULL. */
void stream_queue(Call *call, Stream *stream, void (*run)(void *), const void *arguments, size_t size, void *staged,
    Allocation *pinned);
/* Runs what was queued up to a number, and what that waits for. */
void stream_run(Stream *stream, uint64_t upto);
void device_run(int device);
void streams_discard_all(void);
/* The call waits for all that is queued there: counts it, runs it, fails if that failed. */
void call_waits_for_stream(Call *call, Stream *stream);
void call_waits_for_device(Call *call, int device);
uint64_t works_queued(void);

/* ---- handles of cuBLAS and cuSOLVER (handles.c) */

typedef struct LibraryHandle {
    Object object;
    cudaStream_t stream;
    int math;
    void *workspace;
    size_t workspace_size;
} LibraryHandle;

int handle_create(const char *function, Library library, void **handle);
int handle_destroy(const char *function, Library library, void *handle);
int handle_set_stream(const char *function, Library library, void *handle, cudaStream_t stream);
/* The handle and its stream, on the current device; NULL after a violation or where the call fails anyway. */
LibraryHandle *handle_of(Call *call, const void *handle, Stream **stream);
int library_property(const char *function, Library library, int type, int *value);

/* ---- numbers (numbers.c) */

float float_of_half(uint16_t half);
uint16_t half_of_float(float value);
float float_of_bfloat(uint16_t bfloat);
uint16_t bfloat_of_float(float value);
float tf32_of_float(float value);
/* Bytes of an element, 0 for a type that is not simulated. */
size_t bytes_of(cudaDataType type);
double number_at(const void *numbers, cudaDataType type, size_t index);
void number_put(void *numbers, cudaDataType type, size_t index, double value);
/* memory for the simulation's own use; ends the process where there is none. */
void *need(size_t bytes);

#endif
