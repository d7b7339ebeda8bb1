// SPDX-License-Identifier: Apache-2.0
#pragma once

// The configuration: asks the masters for a revision that differs from ours, checks it with the
// parser that will run it, makes it durable as state/config/current, has every stage read it, and
// reports. What is refused changes nothing: the last good one stays.
#include "core/base/slot.h"
#include "core/journal/journal.h"
#include "mail/settings.h"
#include "proto/control.pb-c.h"
#include "proto/local.pb-c.h"

struct apply;

struct apply_ops {
    // Runs on the disk thread, then `done` on the loop. -1: not now.
    int (*work)(void *context, journal_work_fn *work, journal_worked_fn *done, void *subject);
    // Tells every stage to read it; a bit per slot of those that were told, by stage.
    void (*reload)(void *context, const char *revision, uint64_t ret_told[STAGE_NODE]);
    void (*request)(void *context, unsigned master, const char *have);
    void (*report)(void *context, const char *revision, const char *reason); // NULL: it runs
    void (*applied)(void *context, const struct settings *settings);
    void *context;
};

// Reads state/config/current; without one everything has its default. Blocks. Never NULL.
struct apply *apply_new(const char *state, const struct apply_ops *ops);
void apply_destroy(struct apply **self);

void apply_announced(struct apply *self, unsigned master, struct span revision);
void apply_tree(struct apply *self, const Postern__ConfigTree *tree);
void apply_reloaded(struct apply *self, const Postern__StageReloaded *reloaded);
void apply_stage_gone(struct apply *self, unsigned stage, unsigned slot);
// Every second.
void apply_second(struct apply *self);

const struct settings *apply_settings(const struct apply *self); // until the next change
const char *apply_revision(const struct apply *self);            // "0": never configured
