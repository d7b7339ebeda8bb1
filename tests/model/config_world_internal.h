// SPDX-License-Identifier: Apache-2.0
#pragma once

// Shared by the files of the world.
#include "tests/model/config_world.h"

uint64_t world_local_ms(const struct world *self, const struct world_node *node);
// Into a node's memory and onto its disk.
void world_hold(struct world *self, struct world_node *node, unsigned blob);
void disk_copy(struct disk *to, const struct disk *from);
void world_start(struct world *self, int number);
void world_forget_unsynced(struct world_node *node);
// As world_hold, if the rules in place let it.
void world_take(struct world *self, struct world_node *node, unsigned blob);
void world_pull(struct world *self, int to, int from, unsigned seed);
void world_run_workers(struct world *self);
void world_tick(struct world *self, int minutes);
unsigned world_add_blob(struct world *self, struct revision *revision, unsigned group,
                        unsigned group_size);
void world_perform(struct world *self, const struct operation *op);
void world_machine(struct world *self, const struct operation *op);
