// SPDX-License-Identifier: Apache-2.0
#pragma once

// The analyzer on the worker's pipes: jobs from ingresses, settings from node, status to node.
#include "core/base/slot.h"
#include "mail/settings.h"

struct loop;
struct stage_of_analyzer;

// Keeps the slot, which is the caller's to release after the end, and the texts.
struct stage_of_analyzer *stage_new(struct loop *loop, const char *state, const char *run,
                                    const char *hostname, const struct slot *slot,
                                    struct settings *settings);
void stage_destroy(struct stage_of_analyzer **self);
void stage_drain(struct stage_of_analyzer *self); // no new jobs
int stage_idle(const struct stage_of_analyzer *self);
size_t stage_held(const struct stage_of_analyzer *self);
