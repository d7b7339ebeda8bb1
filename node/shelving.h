// SPDX-License-Identifier: Apache-2.0
#pragma once

// Keeps the shelf of quarantined bodies (node/shelf.h) true to the folder quarantine/<day>/: asks
// the masters what they hold, and removes what may go. Files are the outbox's disk thread's.
#include "core/journal/journal.h"
#include "node/shelf.h"
#include "proto/quarantine.pb-c.h"

struct loop;
struct shelving;

struct shelving_ops {
    // To a master. 0, or -1: no session or no room now.
    int (*ask)(void *context, unsigned master, const Postern__BodiesQuestion *question);
    void *context;
};

// Reads the folder: before the loop runs.
struct shelving *shelving_new(struct loop *loop, struct journal *journal, const char *state,
                              unsigned masters, const struct shelving_ops *ops);
void shelving_destroy(struct shelving **self);                              // after the journal
void shelving_event(struct shelving *self, const void *event, size_t size); // of a stage, packed
void shelving_masters(struct shelving *self, unsigned masters); // are others from now on
void shelving_session(struct shelving *self, unsigned master);
void shelving_held(struct shelving *self, unsigned master, const Postern__BodiesHeld *held);
// Each second. `percent` of the file system is the share of bodies that no master holds.
void shelving_second(struct shelving *self, unsigned percent);
int shelving_full(const struct shelving *self); // that share is used up
const struct shelf *shelving_shelf(const struct shelving *self);

// One step of the removal; blocks. Removes the files, then what day folders are empty. How many
// are gone, or -1 with errno.
NODISCARD int shelving_remove(const char *folder, const struct shelf_item *items, size_t count);
