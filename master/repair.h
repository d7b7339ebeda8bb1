// SPDX-License-Identifier: Apache-2.0
#pragma once

// Anti-entropy: every 10 s what both masters hold is compared, and what this one lacks is fetched
// from the peer. What a living worker still has to send is left to its stream.
#include "master/master.h"

struct repair;

struct repair *repair_new(struct master *master);
void repair_destroy(struct repair **self);
void repair_tick(struct repair *self); // a few times a second
json_t *repair_status(const struct repair *self);
