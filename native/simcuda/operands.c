/* Operands of BLAS and LAPACK calls: their extents, and whether what is written overlaps anything else. */
#include "simulation.h"

size_t extent(long long length, long long step, long long count, size_t element)
{
    if (length <= 0 || count <= 0) return 0;
    unsigned __int128 elements = (unsigned __int128)(count - 1) * (unsigned long long)step + (unsigned long long)length;
    if (elements > SIZE_MAX / element) return SIZE_MAX;
    return (size_t)elements * element;
}

bool rows_overlap(Rows a, Rows b)
{
    if (!a.count || !b.count || !a.length || !b.length) return false;
    if (a.count > b.count) {
        Rows other = a;
        a = b;
        b = other;
    }
    for (size_t i = 0; i < a.count; i++) {
        uintptr_t start = a.start + i * a.step, end = start + a.length;
        if (end <= b.start) continue;
        size_t last = b.count > 1 && b.step ? (end - 1 - b.start) / b.step : 0; /* the last of b to start before the end */
        if (last >= b.count) last = b.count - 1;
        if (b.start + last * b.step + b.length > start) return true;
    }
    return false;
}

static long long batches(const Operand *o)
{
    return o->batches > 1 ? o->batches : 1;
}

static size_t bytes(const Operand *o)
{
    if (o->rows <= 0 || o->columns <= 0) return 0;
    size_t one = extent(o->rows, o->leading, o->columns, o->element);
    size_t before = extent(1, o->stride, batches(o), o->element) - o->element;
    return one > SIZE_MAX - before ? SIZE_MAX : one + before;
}

static Rows rows_of(const Operand *o, long long batch)
{
    return (Rows){.start = (uintptr_t)o->address + (size_t)batch * (size_t)o->stride * o->element,
        .length = (size_t)o->rows * o->element, .step = (size_t)o->leading * o->element, .count = (size_t)o->columns};
}

static bool overlap(const Operand *a, const Operand *b)
{
    Rows whole_a = {(uintptr_t)a->address, bytes(a), 0, 1}, whole_b = {(uintptr_t)b->address, bytes(b), 0, 1};
    if (!rows_overlap(whole_a, whole_b)) return false;
    for (long long i = 0; i < batches(a); i++) {
        for (long long j = 0; j < batches(b); j++) {
            if (rows_overlap(rows_of(a, i), rows_of(b, j))) return true;
        }
    }
    return false;
}

/* Whether two matrices of a batch share elements; they are equal but for their place, so distances alone decide. */
static bool batch_overlaps(const Operand *o)
{
    if (!bytes(o)) return false;
    Rows first = rows_of(o, 0);
    size_t one = extent(o->rows, o->leading, o->columns, 1);
    for (long long j = 1; j < batches(o) && (size_t)(j * o->stride) < one; j++) {
        if (rows_overlap(first, rows_of(o, j))) return true;
        if (o->stride == 0) return true;
    }
    return false;
}

bool operands_resolved(Call *call, int device, Operand *operands, int count)
{
    int status = invalid_value(call->library);
    for (int i = 0; i < count; i++) {
        Operand *o = &operands[i];
        o->data = NULL;
        if (!at_least(call, "stride", o->stride, 0)) return false;
        size_t size = bytes(o);
        if (!size) continue;
        o->data = device_range(call, o->name, o->address, size, device);
        if (!o->data) return false;
        if ((uintptr_t)o->address % o->element) {
            return violated(call, status, "%s at %p is not aligned to its elements of %zu bytes", o->name, o->address,
                o->element);
        }
        if (o->written && batch_overlaps(o)) {
            return violated(call, status, "the matrices of the batch %s overlap (stride %lld)", o->name, o->stride);
        }
    }
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) {
            Operand *a = &operands[i], *b = &operands[j];
            if (!a->data || !b->data || !(a->written || b->written) || a->may_alias || b->may_alias) continue;
            if (overlap(a, b)) {
                return violated(call, status, "%s at %p overlaps %s at %p", b->name, b->address, a->name, a->address);
            }
        }
    }
    return true;
}
