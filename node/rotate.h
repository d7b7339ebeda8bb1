// SPDX-License-Identifier: Apache-2.0
#pragma once

// A new key for this node without an outage: made beside the old one, told to the master that
// asked, and taken once the configuration in force names it. Until then, and for a day at most,
// both are good.
#include "core/bus/keys.h"
#include "core/journal/journal.h"
#include "mail/settings.h"

struct rotate;

struct rotate_ops {
    // Runs on the disk thread, then `done` on the loop. -1: not now.
    int (*work)(void *context, journal_work_fn *work, journal_worked_fn *done, void *subject);
    void (*answer)(void *context, unsigned master, uint64_t number, const char *key,
                   const char *error);                           // one of them is NULL
    void (*taken)(void *context, const struct curve_keys *keys); // they are this node from now on
    void *context;
};

// `folder` holds node.key; a new one waits there as node.key.next. Reads it: blocks.
struct rotate *rotate_new(const char *folder, const struct rotate_ops *ops);
void rotate_destroy(struct rotate **self);
// A master's command. Asked again it tells the same new key until that is taken.
void rotate_asked(struct rotate *self, unsigned master, uint64_t number);
// Is the new key in force?
void rotate_follow(struct rotate *self, const struct settings *settings);
