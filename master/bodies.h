// SPDX-License-Identifier: Apache-2.0
#pragma once

// The quarantined bodies that this master holds: pulled from the workers under its credit,
// verified, kept for the retention. A worker is told what is held here, so that it may let go. On
// the loop; files are the disk thread's.
#include "core/bus/control.h"
#include "master/master.h"
#include "master/store/bodies.h"
#include "proto/control.pb-c.h"

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

// A piece of what is held here; `data` NULL: it is not here (`gone`: and will not be). Called once.
typedef void body_piece_fn(void *context, const void *data, size_t size, uint64_t total, int gone);
void bodies_piece(struct bodies *self, const struct ulid *id, uint64_t offset, body_piece_fn *fn,
                  void *context);

// Gives a worker a body that it has let go, under the day that it stood in there.
enum body_gift {
    BODY_GIVEN,
    BODY_NOT_GIVEN, // try again
    BODY_NOWHERE,   // it was deleted, or its time is over
};
typedef void bodies_given_fn(void *context, enum body_gift how);
void bodies_give(struct bodies *self, const char *node, const struct ulid *id, const char *day,
                 bodies_given_fn *fn, void *context);

// Of the peer: it asks for a piece; it answers.
void bodies_asked(struct bodies *self, const char *route, const Postern__BodyRequest *request);
void bodies_answered(struct bodies *self, const Postern__BodyChunk *chunk);

// For `status` and /metrics: {"waiting", "lag_ms", "held", "rotten"}.
json_t *bodies_status(const struct bodies *self);
