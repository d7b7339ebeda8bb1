// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which slots of a stage are to be started and stopped, and when a process that ended may start
// again. No I/O inside.
#include "core/base/slot.h"

enum plan_state {
    PLAN_FREE,
    PLAN_WAITING, // ended; may start again later
    PLAN_LIVING,
    PLAN_ADOPTED, // locked by another slot's process, which drains what lies there
};

struct plan_slot {
    enum plan_state state;
    int ours;     // we started it, or a node before us
    int stopping; // it was asked to end
};

// A bit per slot.
struct plan {
    uint64_t start, stop;
};

// `wanted` instances are to live: in the lowest slots, or where those are adopted, in the next
// ones. Others that live in higher slots were started by hand and are left alone.
struct plan plan_stage(const struct plan_slot slots[SLOT_MOST], unsigned wanted);

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MOST_MS = 10000, BACKOFF_FORGIVEN_MS = 30000 };

struct backoff {
    int64_t delay_ms; // of the last time, 0: none
};

// A process ended that had lived for `lived_ms`: how long to wait before it starts again.
int64_t backoff_next(struct backoff *self, int64_t lived_ms);
