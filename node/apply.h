// SPDX-License-Identifier: Apache-2.0
#pragma once

// The configuration: takes from every master the revisions that are lacking here and merges them
// for itself, checks the tree with the parser that will run it, makes it durable as
// state/config/current, has every stage read it, and reports. What is refused changes nothing: the
// last good one stays. What a master lacks it is given back.
#include "core/base/slot.h"
#include "core/config/names.h"
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
    void (*request)(void *context, unsigned master, const struct names *holds);
    int (*give_back)(void *context, unsigned master, const Postern__ConfigRevisions *message);
    // To every master. NULL: it runs.
    void (*report)(void *context, const char *revision, const char *reason);
    void (*applied)(void *context, const struct settings *settings);
    void *context;
};

// Reads state/config/current and the revisions; without them everything has its default. Blocks.
// NULL with errno: the folder cannot be used.
struct apply *apply_new(const char *state, const struct apply_ops *ops);
// After the disk thread has ended.
void apply_destroy(struct apply **self);

// A master tells what it holds; with its Hello also by which key it signs (else empty).
void apply_master_holds(struct apply *self, unsigned master, Postern__ConfigNames *const *holds,
                        size_t count, struct span sign);
void apply_revisions(struct apply *self, unsigned master, const Postern__ConfigRevisions *message);
void apply_wanted(struct apply *self, unsigned master, const Postern__ConfigRequest *request);
void apply_reloaded(struct apply *self, const Postern__StageReloaded *reloaded);
void apply_stage_gone(struct apply *self, unsigned stage, unsigned slot);
// Every second.
void apply_second(struct apply *self);

const struct settings *apply_settings(const struct apply *self); // until the next change
const char *apply_revision(const struct apply *self);            // "0": never configured
const char *apply_tree(const struct apply *self);                // hash of what runs; "": unknown
const struct names *apply_holds(const struct apply *self);
