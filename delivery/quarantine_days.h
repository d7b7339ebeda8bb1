// SPDX-License-Identifier: Apache-2.0
#pragma once

// Removes the folders quarantine/<day> that are older than they are to be kept. The index of each
// slot drops what has no file any more by itself (quarantine_replay.c).
#include "core/base/base.h"
#include "core/journal/journal.h"

struct loop;
struct quarantine_days;

// Looks every hour, for the first time an hour after the start: a clock that is wrong when a
// machine starts has been set by then. `journal` lends its disk thread, `state` its folder.
struct quarantine_days *quarantine_days_new(struct loop *loop, struct journal *journal,
                                            const char *state, unsigned days);
void quarantine_days_destroy(struct quarantine_days **self); // after the journal
void quarantine_days_keep(struct quarantine_days *self, unsigned days);

// One step of the work; blocks. Removes at most `most` files of folders whose name is before
// `oldest` (YYYY-MM-DD), and the folders that are empty then. How many it removed, or -1 with
// errno.
NODISCARD int quarantine_days_remove(const char *folder, const char *oldest, int most);
