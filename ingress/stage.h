// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ingress as a stage of its worker: the bus, the journals it holds (its own, and those of dead
// slots that it adopted), and the word with node: configuration, status, events.
#include "ingress/holding.h"
#include "mail/settings.h"

struct stage_of_ingress;

// A new configuration was read; the callee retains what it keeps.
typedef void stage_settings_fn(void *context, struct settings *settings);

// Takes the slot. NULL with errno.
struct stage_of_ingress *stage_new(struct loop *loop, const char *state, const char *run,
                                   struct slot *slot, struct settings *settings,
                                   stage_settings_fn *fn, void *context);
// Tells `fn` of each verdict from now on.
void stage_on_judged(struct stage_of_ingress *self, holding_judged_fn *fn, void *context);
void stage_destroy(struct stage_of_ingress **self);
struct holding *stage_own(struct stage_of_ingress *self);
// Custody that has not ended, over all journals.
size_t stage_custody(const struct stage_of_ingress *self);
// Does node, being there, lack events of ours?
int stage_owes_events(const struct stage_of_ingress *self);
size_t stage_unanswered(const struct stage_of_ingress *self);
