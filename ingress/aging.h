// SPDX-License-Identifier: Apache-2.0
#pragma once

// A bounded memory of what was seen lately: two generations of at most `most` / 2 entries. When the
// younger is full, the elder is forgotten as a whole; what is looked at moves to the younger. So a
// flood of new keys cannot grow it.
#include "core/base/base.h"

struct aging;

struct aging *aging_new(size_t most);
void aging_destroy(struct aging **self);

struct aging_entry {
    int64_t first, last; // times of the owner; 0 in a new entry
};
// Finds or makes it. Valid until the next call.
struct aging_entry *aging_get(struct aging *self, const void *key, size_t size);
size_t aging_count(const struct aging *self);
