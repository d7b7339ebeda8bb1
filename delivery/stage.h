// SPDX-License-Identifier: Apache-2.0
#pragma once

// Delivery as a stage of its worker: the bus, the slots it holds (its own, and dead ones that it
// adopted), and the word with node: configuration, status, commands, events.
#include "delivery/holding.h"

struct stage_of_delivery;

// Takes the slot over. NULL with errno.
struct stage_of_delivery *stage_new(struct loop *loop, const char *state, const char *run,
                                    const char *hostname, struct slot *slot,
                                    struct settings *settings);
void stage_destroy(struct stage_of_delivery **self);
void stage_drain(struct stage_of_delivery *self); // takes no jobs any more
// Jobs and transactions under way.
size_t stage_busy(const struct stage_of_delivery *self);
// Does node, being there, lack events of ours?
int stage_owes_events(const struct stage_of_delivery *self);
