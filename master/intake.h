// SPDX-License-Identifier: Apache-2.0
#pragma once

// What nodes send: events (SUB and replays), heartbeats, hellos and requests.
#include "core/bus/control.h"
#include "master/master.h"

// control_fn of the ROUTER and of the SUB; context is the master.
void intake_control(void *context, const char *key, enum control_type type, const uint8_t *data,
                    size_t size);
void intake_event(void *context, const char *key, enum control_type type, const uint8_t *data,
                  size_t size);
// writer_committed_fn.
void intake_committed(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                      uint64_t mark);
void intake_tick(struct master *master);    // asks for what is missing; a few times a second
void intake_measure(struct master *master); // for /metrics; each second
// A new tree is in force: keeps it (takes both references) and tells the nodes.
void intake_configure(struct master *master, json_t *tree);
void intake_announce(struct master *master);
// The store lost rows: every node's stream begins anew, with whatever the node still holds.
void intake_begin_anew(struct master *master);
