// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the marks of a journal say before its records are replayed: which stretches are void, whose
// copies count, and how far the last sync reached. No I/O inside.
#include "core/journal/mark.h"

// Of one segment. Up to `synced` by outline_read, the rest by outline_plan.
struct outline {
    uint64_t segment;
    int complete;           // has a MARK_BATCH: its copies count, its marks void what they name
    uint32_t complete_to;   // end of the first of them
    struct position sealed; // as its marks say
    struct position synced; // the highest that its marks say
    struct position before; // the highest of an earlier segment: mostly the end of the one before
    uint32_t void_from;     // nothing counts from here on; UINT32_MAX: all counts
    uint64_t voided_by;     // the segment whose marks say so, 0: none
    uint32_t sound_to;      // synced up to here for certain
};

// Reads the marks of one segment.
void outline_read(struct outline *ret, const void *bytes, uint32_t size, uint64_t birth,
                  uint64_t segment);

struct plan {
    struct position synced; // how far the last sync reached
    // What lies from here on is to be appended anew: what is above `synced`, and all of a replay
    // whose last marks are above it. Read from the page cache they may still be lost, and with them
    // its copies.
    struct position anew;
};

// Fills in what follows from all of them together; ascending by segment.
struct plan outline_plan(struct outline *outlines, size_t count);
