// SPDX-License-Identifier: Apache-2.0
#pragma once

// A hash table from byte strings to pointers; seeded per process, so a peer cannot aim at one chain.
// Keys are copied. Adding or removing during table_each is allowed only for the current item
// (removing it).
#include "core/base/base.h"

struct table;

struct table *table_new(void);
void table_destroy(struct table **self); // values are the caller's
void *table_get(const struct table *self, const void *key, size_t size);
void *table_put(struct table *self, const void *key, size_t size, void *value); // returns the old value
void *table_remove(struct table *self, const void *key, size_t size);           // returns it
size_t table_count(const struct table *self);
// Visits every item until `fn` returns non-zero, which is returned.
typedef int table_fn(const void *key, size_t size, void *value, void *context);
int table_each(struct table *self, table_fn *fn, void *context);
