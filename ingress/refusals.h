// SPDX-License-Identifier: Apache-2.0
#pragma once

// Word to the masters of whom we turned away (KIND_REFUSED): connections, recipients, messages that
// the session refused. Gathered for a second and appended together, so that a flood of refusals
// costs one sync a second; a crash may lose that second (DESIGN 6).
#include "core/base/base.h"

struct loop;
struct holding;
struct refusals;

// Borrows `holding`, whose journal gets the records. Never NULL.
struct refusals *refusals_new(struct loop *loop, struct holding *holding);
void refusals_flush(struct refusals *self);
void refusals_destroy(struct refusals **self); // after the journal is closed; flush before that

// The shape of session_shared.refused. Refusals of one client with the same sender become one event
// with several recipients. `recipient` may be empty.
void refusals_add(void *self, const char *client, const char *helo, struct span sender,
                  struct span recipient, const char *reply);
