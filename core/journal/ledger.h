// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which segments exist and what keeps each: live records, a later segment's word that must outlive
// it, events that node has not taken. No I/O inside.
#include "core/journal/journal.h"

// Goes on living in `segment` until the segment that lists it has been unlinked and the unlink is
// synced.
struct hold {
    uint64_t segment;
    uint64_t records; // ends
    uint64_t pins;    // seals: see ledger_pin
};

struct ledger_segment {
    uint64_t number;
    uint64_t bytes;
    uint64_t live; // records
    uint64_t pins;
    uint32_t last_event; // offset of its last event record, 0: none
    int leaving;         // is being unlinked
    struct hold *holds;
    size_t hold_count, hold_capacity;
};

struct ledger {
    struct ledger_segment *segments; // ascending
    size_t count, capacity;
    uint64_t live, bytes; // of all
    struct position taken;
    int no_events;
    int changed; // a segment may have become free since ledger_leaving was last asked
};

void ledger_free(struct ledger *self);
// Numbers only grow.
void ledger_open(struct ledger *self, uint64_t number, uint64_t bytes);
const struct ledger_segment *ledger_find(const struct ledger *self, uint64_t number); // NULL: gone

void ledger_add(struct ledger *self, struct position where);
void ledger_event(struct ledger *self, struct position where); // there is one, durable
void ledger_release(struct ledger *self, struct position where);
// `end` is released once the segment of `ended` is gone; at once if it is already, or holds both.
void ledger_release_after(struct ledger *self, struct position ended, struct position end);
// Segment `by` says that part of `sealed` is void, so it must outlive it.
void ledger_pin(struct ledger *self, uint64_t sealed, uint64_t by);
void ledger_taken(struct ledger *self, struct position upto);

// Marks up to `most` segments below `current` as leaving that nothing keeps; their number.
size_t ledger_leaving(struct ledger *self, uint64_t current, uint64_t *ret_numbers, size_t most);
// It is unlinked and that is synced, so what waited for it is released.
void ledger_gone(struct ledger *self, uint64_t number);
// Its unlink failed: it is kept after all, and offered again.
void ledger_stays(struct ledger *self, uint64_t number);
