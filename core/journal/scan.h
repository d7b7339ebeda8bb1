// SPDX-License-Identifier: Apache-2.0
#pragma once

// Walks the bytes of one segment: whole records, and the bad stretches between them. No I/O inside.
#include "core/journal/journal.h"
#include "core/journal/record.h"

struct scan {
    const unsigned char *bytes; // of the segment, from its beginning
    uint32_t size;
    uint64_t birth, segment; // birth 0: any journal's records
    uint32_t offset;         // next to look at
    uint32_t sound_to;       // below it something was written: zeros there are a loss
    uint32_t used;           // behind it there are zeros only
};

enum scan_result { SCAN_RECORD, SCAN_BAD, SCAN_END };

struct found {
    struct record record; // SCAN_RECORD
    struct position where;
    const unsigned char *payload;
    uint32_t from, to; // SCAN_BAD: the stretch
};

// Begins at `offset`; nothing from `size` on is looked at.
void scan_begin(struct scan *self, const void *bytes, uint32_t size, uint64_t birth, uint64_t segment,
                uint32_t offset, uint32_t sound_to);
enum scan_result scan_next(struct scan *self, struct found *ret);
