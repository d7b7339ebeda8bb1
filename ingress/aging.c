// SPDX-License-Identifier: Apache-2.0
#include "ingress/aging.h"
#include "core/base/table.h"

#include <stdlib.h>

struct aging {
    struct table *young, *old;
    size_t half;
};

struct aging *aging_new(size_t most)
{
    struct aging *self = allocate(sizeof(*self));
    self->half = most / 2 ? most / 2 : 1;
    self->young = table_new();
    self->old = table_new();
    return self;
}

static int free_entry(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)context;
    free(value);
    return 0;
}

static void forget(struct table **table)
{
    (void)table_each(*table, free_entry, NULL);
    table_destroy(table);
}

void aging_destroy(struct aging **self)
{
    if (!*self)
        return;
    forget(&(*self)->young);
    forget(&(*self)->old);
    free(*self);
    *self = NULL;
}

struct aging_entry *aging_get(struct aging *self, const void *key, size_t size)
{
    struct aging_entry *entry = table_get(self->young, key, size);
    if (entry)
        return entry;
    entry = table_remove(self->old, key, size);
    if (!entry)
        entry = allocate(sizeof(*entry));
    if (table_count(self->young) >= self->half) {
        forget(&self->old);
        self->old = self->young;
        self->young = table_new();
    }
    (void)table_put(self->young, key, size, entry);
    return entry;
}

size_t aging_count(const struct aging *self)
{
    return table_count(self->young) + table_count(self->old);
}
