// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/base/clock.h"

#include <assert.h>
#include <ev.h>
#include <stdlib.h>

struct on_signal {
    ev_signal watcher; // first: libev hands it back
    struct on_signal *next;
    loop_fn *fn;
    void *context;
};

struct loop {
    struct ev_loop *ev;
    ev_check woken; // takes the time after each wait
    int64_t now_ms;
    struct on_signal *signals;
};

struct watch {
    ev_io watcher; // first
    struct loop *loop;
    watch_fn *fn;
    void *context;
};

struct timer {
    ev_timer watcher; // first
    struct loop *loop;
    loop_fn *fn;
    void *context;
};

struct hook {
    ev_prepare watcher; // first
    struct loop *loop;
    loop_fn *fn;
    void *context;
};

static void on_woken(struct ev_loop *ev, ev_check *watcher, int events)
{
    (void)ev;
    (void)events;
    struct loop *self = watcher->data;
    self->now_ms = clock_monotonic_ms();
}

struct loop *loop_new(void)
{
    struct loop *self = allocate(sizeof(*self));
    self->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
    if (!self->ev)
        abort();
    self->now_ms = clock_monotonic_ms();
    ev_check_init(&self->woken, on_woken);
    ev_set_priority(&self->woken, EV_MAXPRI); // before the callbacks of the same turn
    self->woken.data = self;
    ev_check_start(self->ev, &self->woken);
    return self;
}

void loop_destroy(struct loop **self)
{
    struct loop *loop = *self;
    if (!loop)
        return;
    struct on_signal *next;
    for (struct on_signal *entry = loop->signals; entry; entry = next) {
        next = entry->next;
        ev_signal_stop(loop->ev, &entry->watcher);
        free(entry);
    }
    ev_check_stop(loop->ev, &loop->woken);
    ev_loop_destroy(loop->ev);
    free(loop);
    *self = NULL;
}

void loop_run(struct loop *self)
{
    ev_now_update(self->ev); // start-up may have taken long: timers count from now
    self->now_ms = clock_monotonic_ms();
    ev_run(self->ev, 0);
}

void loop_stop(struct loop *self)
{
    ev_break(self->ev, EVBREAK_ALL);
}

int64_t loop_now_ms(const struct loop *self)
{
    return self->now_ms;
}

static void on_ready(struct ev_loop *ev, ev_io *watcher, int ready)
{
    (void)ev;
    struct watch *self = (struct watch *)watcher;
    int events = (ready & EV_READ ? LOOP_READ : 0) | (ready & EV_WRITE ? LOOP_WRITE : 0);
    self->fn(self->context, events);
}

static int to_ev(int events)
{
    return (events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0);
}

struct watch *watch_new(struct loop *loop, int fd, int events, watch_fn *fn, void *context)
{
    assert(fd >= 0);
    struct watch *self = allocate(sizeof(*self));
    self->loop = loop;
    self->fn = fn;
    self->context = context;
    ev_io_init(&self->watcher, on_ready, fd, to_ev(events));
    if (events)
        ev_io_start(loop->ev, &self->watcher);
    return self;
}

void watch_events(struct watch *self, int events)
{
    int wanted = to_ev(events);
    if (ev_is_active(&self->watcher) && (self->watcher.events & (EV_READ | EV_WRITE)) == wanted)
        return;
    ev_io_stop(self->loop->ev, &self->watcher);
    ev_io_set(&self->watcher, self->watcher.fd, wanted);
    if (wanted)
        ev_io_start(self->loop->ev, &self->watcher);
}

void watch_destroy(struct watch **self)
{
    if (!*self)
        return;
    ev_io_stop((*self)->loop->ev, &(*self)->watcher); // also silences what is pending
    free(*self);
    *self = NULL;
}

static void on_timeout(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)ev;
    (void)events;
    struct timer *self = (struct timer *)watcher;
    self->fn(self->context);
}

struct timer *timer_new(struct loop *loop, loop_fn *fn, void *context)
{
    struct timer *self = allocate(sizeof(*self));
    self->loop = loop;
    self->fn = fn;
    self->context = context;
    ev_init(&self->watcher, on_timeout);
    return self;
}

void timer_start(struct timer *self, int64_t after_ms)
{
    ev_timer_stop(self->loop->ev, &self->watcher);
    ev_timer_set(&self->watcher, (after_ms > 0 ? (double)after_ms : 0.0) / 1000.0, 0.0);
    ev_timer_start(self->loop->ev, &self->watcher);
}

void timer_stop(struct timer *self)
{
    ev_timer_stop(self->loop->ev, &self->watcher);
}

int timer_active(const struct timer *self)
{
    return ev_is_active(&self->watcher) || ev_is_pending(&self->watcher);
}

void timer_destroy(struct timer **self)
{
    if (!*self)
        return;
    ev_timer_stop((*self)->loop->ev, &(*self)->watcher);
    free(*self);
    *self = NULL;
}

static void on_prepare(struct ev_loop *ev, ev_prepare *watcher, int events)
{
    (void)ev;
    (void)events;
    struct hook *self = (struct hook *)watcher;
    self->fn(self->context);
}

struct hook *hook_new(struct loop *loop, loop_fn *fn, void *context)
{
    struct hook *self = allocate(sizeof(*self));
    self->loop = loop;
    self->fn = fn;
    self->context = context;
    ev_prepare_init(&self->watcher, on_prepare);
    ev_prepare_start(loop->ev, &self->watcher);
    return self;
}

void hook_destroy(struct hook **self)
{
    if (!*self)
        return;
    ev_prepare_stop((*self)->loop->ev, &(*self)->watcher);
    free(*self);
    *self = NULL;
}

static void on_caught(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev;
    (void)events;
    struct on_signal *entry = (struct on_signal *)watcher;
    entry->fn(entry->context);
}

void loop_on_signal(struct loop *self, int signal, loop_fn *fn, void *context)
{
    struct on_signal *entry = allocate(sizeof(*entry));
    entry->fn = fn;
    entry->context = context;
    entry->next = self->signals;
    self->signals = entry;
    ev_signal_init(&entry->watcher, on_caught, signal);
    ev_signal_start(self->ev, &entry->watcher);
}
