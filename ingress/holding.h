// SPDX-License-Identifier: Apache-2.0
#pragma once

// A journal that this process holds, its own slot's or an adopted one's: the custody of what is in
// it, with its actions done for real (journal, bus, locks), and the feed of its events to node.
#include "core/base/slot.h"
#include "core/bus/bus.h"
#include "ingress/custody.h"
#include <stdatomic.h>

struct loop;
struct feed;

// The verdict on a mail of that client, if it says anything of the client.
typedef void holding_judged_fn(void *context, const char *client, int bad);

struct holding {
    holding_judged_fn *judged; // NULL: nobody wants to know
    void *judged_context;
    struct slot slot;
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
// The same in two halves, for a slot adopted while the loop runs: the first blocks, on a thread of
// the caller's; the second gives the whole to a loop. `cancelled` as in journal_options.
struct holding *holding_open(const char *state, struct slot *slot, const atomic_int *cancelled);
void holding_attach(struct holding *self, struct loop *loop, struct bus *bus,
                    const struct custody_limits *limits);
// Takes it from its loop: only holding_destroy may follow, on any thread.
void holding_detach(struct holding *self);
// Syncs and closes; the slot is released last. Blocks.
void holding_destroy(struct holding **self);
// For slot_take: are there records in the slot at `path`?
int holding_has_records(const char *path);
