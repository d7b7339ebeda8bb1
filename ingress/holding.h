// SPDX-License-Identifier: Apache-2.0
#pragma once

// A journal that this process holds, its own slot's or an adopted one's: the custody of what is in
// it, with its actions done for real (journal, bus, locks), and the feed of its events to node.
#include "core/base/slot.h"
#include "core/bus/bus.h"
#include "ingress/custody.h"

struct loop;
struct feed;

// The verdict on a mail of that client, if it says anything of the client.
typedef void holding_judged_fn(void *context, const char *client, int bad);

struct holding {
    holding_judged_fn *judged; // NULL: nobody wants to know
    void *judged_context;
    struct slot slot;
    struct loop *loop;
    struct bus *bus;
    const char *state; // folder
    char big_folder[160];
    struct journal *journal;
    struct custody *custody;
    struct feed *feed;
    struct position *early; // released by the replay
    size_t early_count;
};

// Opens and replays the journal of a slot that is locked by us; big files that no message names are
// removed. Blocks while it reads. Takes the slot; NULL with errno (the slot is released then).
struct holding *holding_new(struct loop *loop, struct bus *bus, const char *state,
                            struct slot *slot, const struct custody_limits *limits);
// Syncs and closes; the slot is released last.
void holding_destroy(struct holding **self);
// For slot_take: are there records in the slot at `path`?
int holding_has_records(const char *path);
