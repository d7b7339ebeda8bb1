// SPDX-License-Identifier: Apache-2.0
#pragma once

// Runs the checks over messages, several messages side by side. A check that is not done in time is
// a finding.
#include "analyzer/examination.h"

struct engine;
struct loop;

// The examination ended; it is valid during the call.
typedef void engine_fn(void *context, struct examination *examination);

struct engine *engine_new(struct loop *loop, struct settings *settings);
void engine_destroy(struct engine **self); // calls no more `fn`
// For the examinations that begin from now on.
void engine_set_settings(struct engine *self, struct settings *settings);
// Examines; `fn` comes within the call or later. `envelope` and `message` must stay until then.
void engine_examine(struct engine *self, const Postern__Envelope *envelope, struct span message,
                    engine_fn *fn, void *context);
// Other checks than message_checks, at most MESSAGE_CHECKS_MOST, for tests.
struct check;
void engine_use_checks(struct engine *self, const struct check *checks, size_t count);
unsigned engine_running(const struct engine *self);
