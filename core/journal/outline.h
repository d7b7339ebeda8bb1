// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the marks of a journal say before its records are replayed: which stretches are void, whose copies count,
// and how far the last sync reached. No I/O inside.
#include "core/journal/mark.h"

// Of one segment. `complete`, `sealed` and `synced` by outline_read, the rest by outline_plan.
struct outline {
    uint64_t segment;
    int complete;           // has a MARK_BATCH: its copies count, its marks void what they name
    struct position sealed; // as its marks say
    struct position synced; // the highest that its marks say
    uint32_t void_from;     // nothing counts from here on; UINT32_MAX: all counts
    uint64_t voided_by;     // the segment whose marks say so, 0: none
    uint32_t sound_to;      // synced up to here for certain
};

// Reads the marks of one segment.
void outline_read(struct outline *ret, const void *bytes, uint32_t size, uint64_t birth, uint64_t segment);

// Fills in what follows from all of them together; ascending by segment. Returns how far the last sync reached.
struct position outline_plan(struct outline *outlines, size_t count);
