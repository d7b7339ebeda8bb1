// SPDX-License-Identifier: Apache-2.0
#pragma once

// How far the events of each journal have been read, by the journal's birth number. No I/O inside.
#include "core/journal/journal.h"

enum { CURSORS_MOST = 256 }; // beyond it the longest unused is forgotten

struct cursor {
    uint64_t journal;
    uint64_t segment;
    uint32_t offset;
};

struct cursors {
    struct cursor list[CURSORS_MOST]; // the longest unused first
    size_t count;
};

// NULL: none known. Valid until the next set.
const struct cursor *cursors_get(const struct cursors *self, uint64_t journal);
void cursors_set(struct cursors *self, struct cursor cursor);
// Is the place beyond what the cursor has read? No cursor has read nothing.
int cursor_is_before(const struct cursor *cursor, uint64_t segment, uint32_t offset);
