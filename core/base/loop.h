// SPDX-License-Identifier: Apache-2.0
#pragma once

// The event loop of a process: a thin face over libev. All callbacks run on the loop's thread.
// A callback may destroy any watch or timer, its own too: pending events of a destroyed one are
// silenced. Nothing here blocks but loop_run itself.
#include "core/base/base.h"

struct loop;
struct watch;
struct timer;
struct hook;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

typedef void watch_fn(void *context, int events);
typedef void loop_fn(void *context);

struct loop *loop_new(void);
void loop_destroy(struct loop **self);
void loop_run(struct loop *self); // until loop_stop
void loop_stop(struct loop *self);
int64_t loop_now_ms(const struct loop *self); // monotonic, as of this turn

struct watch *watch_new(struct loop *loop, int fd, int events, watch_fn *fn, void *context);
void watch_events(struct watch *self, int events); // 0 pauses it
void watch_destroy(struct watch **self);

struct timer *timer_new(struct loop *loop, loop_fn *fn, void *context);
void timer_start(struct timer *self, int64_t after_ms); // once; restarts a running one
void timer_stop(struct timer *self);
int timer_active(const struct timer *self);
void timer_destroy(struct timer **self);

// Runs before each wait: the place to flush what this turn gathered.
struct hook *hook_new(struct loop *loop, loop_fn *fn, void *context);
void hook_destroy(struct hook **self);

// Runs `fn` when the process gets the signal. Lives as long as the loop.
void loop_on_signal(struct loop *self, int signal, loop_fn *fn, void *context);
