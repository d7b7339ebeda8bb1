// SPDX-License-Identifier: Apache-2.0
#pragma once

// The quarantined bodies that this master holds: pulled from the workers under its credit,
// verified, kept for the retention. A worker is told what is held here, so that it may let go. On
// the loop; files are the disk thread's.
#include "core/bus/control.h"
#include "master/master.h"
#include "master/store/bodies.h"

// The writer's databases are open; what was wanted at the last stop is wanted again. NULL: logged.
struct bodies *bodies_new(struct master *master);
void bodies_destroy(struct bodies **self); // after the commands: theirs are told first

void bodies_want(struct bodies *self, const struct body *body);
void bodies_forget(struct bodies *self, const struct ulid *id); // deleted for all recipients
void bodies_node_is_back(struct bodies *self, const struct member *member);
void bodies_tick(struct bodies *self); // a few times a second

// BodiesQuestion of a worker.
void bodies_question(struct bodies *self, const struct member *member, const uint8_t *data,
                     size_t size);
// One that was read is rotten: it is set aside, and wanted again.
void bodies_rotten(struct bodies *self, const struct body *body);

// For `status` and /metrics: {"waiting", "lag_ms", "held", "rotten"}.
json_t *bodies_status(const struct bodies *self);
