// SPDX-License-Identifier: Apache-2.0
#pragma once

// Gives the masters the quarantined mails that lie here, piece by piece, read on the disk thread.
#include "core/journal/journal.h"
#include "proto/control.pb-c.h"
#include "proto/quarantine.pb-c.h"

struct bodies;

typedef void bodies_send_fn(void *context, unsigned master, const Postern__BodyChunk *chunk);

// Borrows the journal, whose disk thread reads. `state` is the worker's folder.
struct bodies *bodies_new(struct journal *journal, const char *state, bodies_send_fn *fn,
                          void *context);
void bodies_destroy(struct bodies **self);
// A piece of one that was let go; the answer is a chunk without data once it is written, and with
// the last piece whole and synced. Pieces come in order.
void bodies_given(struct bodies *self, unsigned master, const Postern__BodyGiven *given);
void bodies_request(struct bodies *self, unsigned master, const Postern__BodyRequest *request);
