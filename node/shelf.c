// SPDX-License-Identifier: Apache-2.0
#include "node/shelf.h"

#include "core/base/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct body {
    struct shelf_item item;
    unsigned holders; // a bit for each master
    uint64_t size;
};

struct shelf {
    struct table *bodies;
    unsigned masters; // bits
    size_t custody;
    uint64_t custody_bytes, bytes;
};

struct shelf *shelf_new(unsigned masters)
{
    assert(masters <= SHELF_MASTERS_MOST);
    struct shelf *self = allocate(sizeof(*self));
    self->bodies = table_new();
    self->masters = (1u << masters) - 1;
    return self;
}

static int free_body(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size, (void)context;
    free(value);
    return 0;
}

void shelf_destroy(struct shelf **self)
{
    if (!*self)
        return;
    table_each((*self)->bodies, free_body, NULL);
    table_destroy(&(*self)->bodies);
    free(*self);
    *self = NULL;
}

static struct body *find(const struct shelf *self, const struct ulid *id)
{
    return table_get(self->bodies, id->bytes, ULID_SIZE);
}

static void set_holders(struct shelf *self, struct body *body, unsigned holders)
{
    if (!body->holders && holders) {
        self->custody--;
        self->custody_bytes -= body->size;
    } else if (body->holders && !holders) {
        self->custody++;
        self->custody_bytes += body->size;
    }
    body->holders = holders;
}

void shelf_add(struct shelf *self, const struct ulid *id, const char *day, uint64_t size)
{
    if (find(self, id))
        return;
    struct body *body = allocate(sizeof(*body));
    body->item.id = *id;
    snprintf(body->item.day, sizeof(body->item.day), "%s", day);
    body->size = size;
    self->custody++;
    self->custody_bytes += size;
    self->bytes += size;
    table_put(self->bodies, id->bytes, ULID_SIZE, body);
}

void shelf_remove(struct shelf *self, const struct ulid *id)
{
    struct body *body = table_remove(self->bodies, id->bytes, ULID_SIZE);
    if (!body)
        return;
    set_holders(self, body, 1);
    self->bytes -= body->size;
    free(body);
}

const char *shelf_day(const struct shelf *self, const struct ulid *id)
{
    const struct body *body = find(self, id);
    return body ? body->item.day : NULL;
}

// -- the masters

void shelf_masters(struct shelf *self, unsigned masters)
{
    assert(masters <= SHELF_MASTERS_MOST);
    self->masters = (1u << masters) - 1;
    for (unsigned i = 0; i < SHELF_MASTERS_MOST; i++)
        shelf_session(self, i);
}

struct letting {
    struct shelf *shelf;
    unsigned bit;
};

static int let_go(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size;
    const struct letting *letting = context;
    struct body *body = value;
    set_holders(letting->shelf, body, body->holders & ~letting->bit);
    return 0;
}

void shelf_session(struct shelf *self, unsigned master)
{
    struct letting letting = {self, 1u << master};
    table_each(self->bodies, let_go, &letting);
}

void shelf_held(struct shelf *self, unsigned master, const struct ulid *id)
{
    struct body *body = find(self, id);
    if (body && (self->masters >> master & 1))
        set_holders(self, body, body->holders | 1u << master);
}

struct gathering {
    unsigned bit;
    struct ulid *ids;
    size_t count;
};

static int gather(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size;
    struct gathering *gathering = context;
    const struct body *body = value;
    if (!(body->holders & gathering->bit))
        gathering->ids[gathering->count++] = body->item.id;
    return 0;
}

struct ulid *shelf_lacking(const struct shelf *self, unsigned master, size_t *ret_count)
{
    struct gathering gathering = {
        1u << master, allocate((table_count(self->bodies) + 1) * sizeof(struct ulid)), 0};
    table_each(self->bodies, gather, &gathering);
    *ret_count = gathering.count;
    return gathering.ids;
}

// -- what may go

struct choosing {
    const struct shelf *shelf;
    const char *kept;
    int pressed;
    struct shelf_item *items;
    size_t count;
};

static int choose(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size;
    struct choosing *choosing = context;
    const struct body *body = value;
    unsigned masters = choosing->shelf->masters;
    int safe = choosing->pressed ? body->holders != 0 : body->holders == masters;
    if (masters && safe && strcmp(body->item.day, choosing->kept) < 0)
        choosing->items[choosing->count++] = body->item;
    return 0;
}

static int by_age(const void *a, const void *b)
{
    return memcmp(((const struct shelf_item *)a)->id.bytes,
                  ((const struct shelf_item *)b)->id.bytes, ULID_SIZE);
}

size_t shelf_may_go(const struct shelf *self, const char *kept, int pressed, struct shelf_item *ret,
                    size_t most)
{
    struct choosing choosing = {self, kept, pressed,
                                allocate((table_count(self->bodies) + 1) * sizeof(*ret)), 0};
    table_each(self->bodies, choose, &choosing);
    qsort(choosing.items, choosing.count, sizeof(*ret), by_age);
    size_t count = choosing.count < most ? choosing.count : most;
    memcpy(ret, choosing.items, count * sizeof(*ret));
    free(choosing.items);
    return count;
}

size_t shelf_count(const struct shelf *self)
{
    return table_count(self->bodies);
}

size_t shelf_custody(const struct shelf *self)
{
    return self->custody;
}

uint64_t shelf_custody_bytes(const struct shelf *self)
{
    return self->custody_bytes;
}

uint64_t shelf_bytes(const struct shelf *self)
{
    return self->bytes;
}
