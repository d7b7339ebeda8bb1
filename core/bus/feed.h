// SPDX-License-Identifier: Apache-2.0
#pragma once

// Brings the event records of one journal to node: each exactly in order, again after a restart of
// either side, at most FEED_WINDOW bytes ahead of node's cursor. Records are read from the journal
// whenever the live ones did not fit, so nothing is kept in memory for a node that is away.
#include "core/bus/bus.h"
#include "core/journal/journal.h"
#include "proto/stream.pb-c.h"

enum { FEED_WINDOW = 4 * 1024 * 1024 };

struct feed;

// Borrows bus and journal. Asks node for its cursor at once and then each second. Never NULL.
struct feed *feed_new(struct loop *loop, struct bus *bus, struct journal *journal, enum stage stage,
                      unsigned slot, uint64_t incarnation);
void feed_destroy(struct feed **self);

// An event record became durable (JOURNAL_DURABLE of a type that record_has_event; replayed records
// need no call).
void feed_committed(struct feed *self, struct position where, const void *event, size_t size);
// BUS_TAKEN; one for another journal is ignored, so every feed of a process may be given each.
void feed_taken(struct feed *self, const Postern__Taken *message);
// Node's pipe connected anew (bus_peer_fn of STAGE_NODE): what was sent may be lost, so its cursor
// is asked for again.
void feed_reconnected(struct feed *self);
// Is node there and has it not taken all that was committed? For a process that is about to end.
int feed_owes(const struct feed *self);
