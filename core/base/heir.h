// SPDX-License-Identifier: Apache-2.0
#pragma once

// Looks for slots whose owner died and left records, and opens them, one at a time, on a thread of
// its own, so that the loop waits neither for their journals nor, at the end, for their closing.
#include "core/base/slot.h"
#include <stdatomic.h>

struct loop;
struct heir;

struct heir_ops {
    slot_records_fn *has_records; // on the thread
    // On the thread: opens what the slot holds. Takes the slot. NULL: impossible, or `cancelled`
    // was set meanwhile.
    void *(*open)(void *context, struct slot *slot, const atomic_int *cancelled);
    // On the loop: it belongs to the callee now.
    void (*opened)(void *context, void *opened);
    // On the thread, or at the heir's end: closes what was opened and releases its slot.
    void (*close)(void *opened);
};

struct heir *heir_new(struct loop *loop, const char *state, enum stage stage,
                      const struct heir_ops *ops, void *context);
// Cancels what it is opening and waits for its thread.
void heir_destroy(struct heir **self);

// Looks for one such slot; does nothing while the thread is at work.
void heir_look(struct heir *self);
// Has `opened`, which the loop has let go of, closed. Not while it is busy.
void heir_close(struct heir *self, void *opened);
int heir_busy(const struct heir *self); // the thread is at work
