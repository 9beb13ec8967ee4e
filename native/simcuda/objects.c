/* Streams, events, handles: the caller holds a number that is no address, so that a dead one is known as such. */
#include "simulation.h"

#include <stdlib.h>

Object *objects;

static uintptr_t next_handle = 0x5100000000000010;

void *object_create(ObjectKind kind, size_t size, int device)
{
    Object *made = calloc(1, size);
    if (!made) return NULL;
    *made = (Object){.next = objects, .kind = kind, .device = device, .handle = next_handle};
    next_handle += 16;
    objects = made;
    return made;
}

void *object_find(ObjectKind kind, const void *handle)
{
    for (Object *o = objects; o; o = o->next) {
        if (o->handle == (uintptr_t)handle && o->kind == kind) return o;
    }
    return NULL;
}

void object_destroy(void *object)
{
    Object **link = &objects;
    while (*link && *link != object) link = &(*link)->next;
    if (*link) *link = (*link)->next;
    free(object);
}

void objects_destroy_all(void)
{
    while (objects) object_destroy(objects);
}

long long objects_count(ObjectKind kind)
{
    long long count = 0;
    for (Object *o = objects; o; o = o->next) count += o->kind == kind;
    return count;
}
