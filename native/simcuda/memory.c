/*
 * Device and pinned memory. Both have addresses in one reserved region that nothing else can be mapped to. Device
 * memory's addresses stay without access for the host: its bytes are kept elsewhere. Addresses are given out in rising
 * order, so that a freed one is not soon given out again.
 */
#define _GNU_SOURCE
#include "simulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define DEVICE_ALIGNMENT ((size_t)256) /* and no better than that */
#define PINNED_LIMIT ((size_t)8 << 30)
#define REMEMBERED 1024

static uintptr_t region, region_end, next_free;
static Allocation **table; /* by address */
static size_t table_count, table_capacity;
static size_t used[2][MAX_DEVICES];

/* What was freed last, for messages. */
static struct Freed {
    uintptr_t address;
    size_t size, made_by, freed_by;
} freed[REMEMBERED];
static size_t freed_count;

static bool reserve_region(void)
{
    for (size_t size = (size_t)1 << 40; !region && size >= (size_t)1 << 32; size /= 2) {
        void *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) continue;
        region = next_free = (uintptr_t)at;
        region_end = region + size;
    }
    return region != 0;
}

/* Index of the first allocation above the address. */
static size_t above(uintptr_t address)
{
    size_t low = 0, high = table_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table[middle]->address > address) high = middle;
        else low = middle + 1;
    }
    return low;
}

static uintptr_t mapped_start(const Allocation *allocation)
{
    return allocation->address / PAGE * PAGE;
}

static uintptr_t mapped_end(const Allocation *allocation)
{
    return (allocation->address + allocation->size + PAGE - 1) / PAGE * PAGE;
}

/* Start of `length` free bytes with a page to spare on both sides, 0 if there is none. */
static uintptr_t find_room(size_t length)
{
    for (int round = 0; round < 2; round++) {
        uintptr_t at = round == 0 ? next_free : region;
        for (size_t i = above(at); region_end - at >= length; i++) {
            if (i > 0 && i <= table_count && mapped_end(table[i - 1]) > at) at = mapped_end(table[i - 1]);
            if (region_end - at < length) break;
            if (i >= table_count || mapped_start(table[i]) - at >= length) return at;
            at = mapped_end(table[i]);
        }
    }
    return 0;
}

static bool has_table_room(void)
{
    if (table_count < table_capacity) return true;
    size_t capacity = table_capacity ? 2 * table_capacity : 256;
    Allocation **bigger = realloc(table, capacity * sizeof *table);
    if (!bigger) return false;
    table = bigger;
    table_capacity = capacity;
    return true;
}

Allocation *memory_allocate(MemoryKind kind, int device, size_t size)
{
    size_t limit = kind == DEVICE_MEMORY ? (size_t)sim.memory_limit : PINNED_LIMIT;
    size_t in_use = kind == DEVICE_MEMORY ? used[kind][device] : memory_bytes(kind, -1);
    if (in_use > limit || size > limit - in_use || !has_table_room() || (!region && !reserve_region())) return NULL;
    if (size > region_end - region - 4 * PAGE) return NULL;

    uintptr_t room = find_room(size + 4 * PAGE);
    if (!room) return NULL;
    Allocation *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    *made = (Allocation){.size = size, .kind = kind, .device = device, .call = sim.calls};
    if (kind == DEVICE_MEMORY) {
        made->address = room + PAGE + DEVICE_ALIGNMENT;
        made->data = aligned_alloc(DEVICE_ALIGNMENT, (size + DEVICE_ALIGNMENT - 1) / DEVICE_ALIGNMENT * DEVICE_ALIGNMENT);
    } else {
        made->address = room + PAGE;
        size_t mapped = mapped_end(made) - mapped_start(made);
        if (mprotect((void *)made->address, mapped, PROT_READ | PROT_WRITE) == 0) made->data = (char *)made->address;
    }
    if (!made->data) {
        free(made);
        return NULL;
    }
    if (sim.compute) fill_nan(made->data, size);
    next_free = mapped_end(made);
    size_t place = above(made->address);
    memmove(table + place + 1, table + place, (table_count - place) * sizeof *table);
    table[place] = made;
    table_count++;
    used[kind][device] += size;
    return made;
}

void memory_release(Allocation *allocation)
{
    size_t place = above(allocation->address) - 1;
    memmove(table + place, table + place + 1, (--table_count - place) * sizeof *table);
    used[allocation->kind][allocation->device] -= allocation->size;
    freed[freed_count++ % REMEMBERED]
        = (struct Freed){allocation->address, allocation->size, allocation->call, sim.calls};
    if (allocation->kind == DEVICE_MEMORY) {
        free(allocation->data);
    } else {
        size_t mapped = mapped_end(allocation) - mapped_start(allocation);
        void *again = mmap((void *)allocation->address, mapped, PROT_NONE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        if (again == MAP_FAILED) abort();
    }
    free(allocation);
}

void memory_release_all(void)
{
    while (table_count) memory_release(table[table_count - 1]);
    freed_count = 0;
    memset(freed, 0, sizeof freed);
}

Allocation *memory_at(uintptr_t address)
{
    size_t place = above(address);
    if (place == 0) return NULL;
    Allocation *below = table[place - 1];
    return address - below->address < below->size ? below : NULL;
}

bool memory_reaches(uintptr_t address, size_t size)
{
    return region && size && address < region_end && (address >= region || size > region - address);
}

size_t memory_bytes(MemoryKind kind, int device)
{
    size_t bytes = 0;
    for (int d = 0; d < MAX_DEVICES; d++) {
        if (device == -1 || device == d) bytes += used[kind][d];
    }
    return bytes;
}

size_t memory_count(MemoryKind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < table_count; i++) count += table[i]->kind == kind;
    return count;
}

void memory_describe(uintptr_t address, char *words, size_t size)
{
    for (size_t back = 0; back < freed_count && back < REMEMBERED; back++) {
        struct Freed *f = &freed[(freed_count - 1 - back) % REMEMBERED];
        if (address - f->address < f->size) {
            snprintf(words, size, "is in the %zu bytes of call %zu, freed by call %zu", f->size, f->made_by, f->freed_by);
            return;
        }
    }
    size_t place = above(address);
    if (!memory_reaches(address, 1)) {
        snprintf(words, size, "is no address of the device's");
    } else if (place == 0) {
        snprintf(words, size, "is before every allocation");
    } else {
        Allocation *below = table[place - 1];
        snprintf(words, size, "is %zu bytes past the end of the %zu bytes of call %zu at %p",
            (size_t)(address - below->address) - below->size, below->size, below->call, (void *)below->address);
    }
}

void fill_nan(void *data, size_t size)
{
    static const uint16_t pattern[4] = {0x7ff4, 0x7ff4, 0x7ff4, 0x7ff4}; /* a NaN read as any floating-point type */
    char *to = data;
    size_t done = size < sizeof pattern ? size : sizeof pattern;
    memcpy(to, pattern, done);
    while (done < size) {
        size_t more = done < size - done ? done : size - done;
        if (more > 65536) more = 65536;
        memcpy(to + done, to, more);
        done += more;
    }
}
