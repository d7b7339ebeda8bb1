// SPDX-License-Identifier: Apache-2.0
#pragma once

// An owner of a journal, as ingress is one, on a disk that fails: it takes mails, ends them, gives
// up those whose sync failed, and a node takes its events. Deaths and power cuts come between any
// two operations of the disk. One seed drives it all.
#include "core/base/base.h"

struct journal_result {
    char broken[256]; // empty, or what went wrong, in words
    unsigned long mails, kept, kills, cuts, failures, flips;
};

// One schedule. `without`: the rule that is off (journal_seams.h), -1: none. `trace` prints each
// step.
void journal_world_run(uint64_t seed, int without, int trace, struct journal_result *ret);
