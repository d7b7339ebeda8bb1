// SPDX-License-Identifier: Apache-2.0
#pragma once

// Comparisons with the peer over the link and the store: the I/O around master/reconcile. All of it
// belongs to the loop's thread; the store is asked on the writer's.
#include "core/bus/control.h"
#include "master/master.h"
#include "master/reconcile.h"

struct compare;

// Told once, on the loop; the comparison is gone when it returns.
typedef void compare_done_fn(void *context, const struct reconcile_report *report);

// Begins a comparison. NULL: there are enough under way.
struct compare *compare_start(struct master *master, int fetch,
                              const struct reconcile_limit *limits, size_t limit_count,
                              compare_done_fn *done, void *context);
void compare_cancel(struct compare **self); // nothing is told; accepts NULL
void compare_tick(struct master *master);   // gives up what waits for an answer in vain

// The peer's answer, taken over; and its own question, which is answered from the store.
void compare_answered(struct master *master, enum control_type type, Postern__PeerAnswer *answer);
void compare_asked(struct master *master, const char *key, enum control_type type,
                   const Postern__PeerAsk *ask);
