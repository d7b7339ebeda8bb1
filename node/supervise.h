// SPDX-License-Identifier: Apache-2.0
#pragma once

// Keeps the stages' processes running: as many as the configuration wants, again after their end,
// and ended when they hang. They outlive node; a starting node finds them by their locks and by
// run/node/stages, where it notes what it started.
#include "core/base/process.h"
#include "mail/settings.h"
#include "node/sockets.h"
#include "node/stages.h"

struct loop;
struct supervise;

struct supervise_ops {
    void (*alarm)(void *context, const char *name, const char *detail);
    void (*changed)(void *context); // a process was started or has ended
    void (*drained)(void *context); // all of ours have ended
    void *context;
};

// Borrows everything. Never NULL.
struct supervise *supervise_new(struct loop *loop, const struct process *process,
                                struct sockets *sockets, struct stages *stages,
                                const struct supervise_ops *ops);
void supervise_destroy(struct supervise **self); // the processes live on
void supervise_settings(struct supervise *self, const struct settings *settings);
void supervise_second(struct supervise *self);
// The end: ingresses first, then the others; `drained` is called once, in at most 25 s.
void supervise_drain(struct supervise *self);
// The pid of the slot's process, 0 when nobody is known to live there.
uint64_t supervise_pid(const struct supervise *self, enum stage stage, unsigned slot);
int supervise_missing(const struct supervise *self); // fewer live than are wanted
