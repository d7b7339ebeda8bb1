// SPDX-License-Identifier: Apache-2.0
#pragma once

// Records that are written and synced together: their bytes as they will lie in the segment, and
// whom to tell.
#include "core/journal/mark.h"
#include "core/journal/record.h"

struct batch_record {
    journal_fn *fn;
    void *context;
    struct position where;
};

struct batch {
    struct batch *next;
    uint64_t segment;
    uint32_t offset;        // of its first byte, a mark
    struct position sealed; // what the marks of its segment say
    unsigned char *bytes;
    size_t size, room;
    struct batch_record *records;
    size_t count, places;
    uint32_t last_event; // offset, 0: none
    int unsynced;        // a mark alone, of which nobody waits
    int error;           // the disk's errno, 0: durable
    int64_t sync_us;     // how long its sync took
};

struct batch *batch_new(void);
void batch_destroy(struct batch **self);
// Empties it for another use, at that place, leaving space for the mark.
void batch_begin(struct batch *self, uint64_t segment, uint32_t offset);
// Copies a record in; returns its place.
struct position batch_add(struct batch *self, uint64_t birth, const struct record *record,
                          const struct iovec *pieces, int count);
void batch_tell(struct batch *self, struct position where, journal_fn *fn, void *context);
void batch_mark(struct batch *self, uint64_t birth, const struct mark *mark); // writes the mark
struct position batch_end(const struct batch *self);
