// SPDX-License-Identifier: Apache-2.0
#pragma once

// One delivery slot that this process holds: its lock, journal, queue and feed.
#include "core/bus/bus.h"
#include "delivery/queue.h"
#include "mail/settings.h"
#include <stdatomic.h>

struct deliverer;
struct feed;
struct loop;

struct holding {
    struct slot slot;
    struct bus *bus;
    const char *state;
    struct journal *journal;
    struct position *early; // released while the journal was replayed
    size_t early_count;
    struct segment_map *own; // only for the disk thread
    struct queue *queue;
    struct feed *feed;
    struct deliverer *deliverer;
    struct segment_map *maps[SLOT_MOST]; // of the ingresses' journals
};

// Takes the slot's lock over, replays its journal. NULL with errno; then the slot is released.
struct holding *holding_new(struct loop *loop, struct bus *bus, const char *state,
                            const char *hostname, struct slot *slot,
                            const struct settings *settings, struct deliverer *deliverer);
// The same in two halves, for a slot adopted while the loop runs: the first blocks, on a thread of
// the caller's; the second gives the whole to a loop. `cancelled` as in journal_options.
struct holding *holding_open(const char *state, const char *hostname, struct slot *slot,
                             const atomic_int *cancelled);
void holding_attach(struct holding *self, struct loop *loop, struct bus *bus,
                    const struct settings *settings, struct deliverer *deliverer);
// Takes it from its loop: only holding_destroy may follow, on any thread.
void holding_detach(struct holding *self);
void holding_destroy(struct holding **self); // syncs and closes: blocks
// Is nothing in it that anybody needs? Then it can be removed: the slot goes with its folders.
int holding_removable(const struct holding *self);
void holding_remove(struct holding **self); // blocks, too
int holding_has_records(const char *path);  // slot_records_fn
struct schedule holding_schedule(const struct settings *settings);
