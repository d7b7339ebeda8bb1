// SPDX-License-Identifier: Apache-2.0
#include "delivery/unbound_loop.h"

#include "core/base/loop.h"
#include <stdlib.h>
#include <sys/time.h>
#include <unbound-event.h>

typedef void unbound_fn(int fd, short bits, void *arg);

struct base {
    struct ub_event_base face; // first: libunbound casts
    struct loop *loop;
};

struct event {
    struct ub_event face; // first
    struct loop *loop;
    int fd;
    short bits;
    unbound_fn *fn;
    void *arg;
    struct watch *watch;
    struct timer *timer;
    int64_t timeout_ms; // -1: none
};

static int deactivate(struct ub_event *face)
{
    struct event *self = (struct event *)face;
    watch_destroy(&self->watch);
    timer_stop(self->timer);
    return 0;
}

// An event that is not UB_EV_PERSIST fires once; the callback may free it, so nothing follows that.
static void fire(struct event *self, short bits)
{
    if (!(self->bits & UB_EV_PERSIST))
        deactivate(&self->face);
    else if (self->timeout_ms >= 0)
        timer_start(self->timer, self->timeout_ms);
    self->fn(self->fd, bits, self->arg);
}

static void ready(void *context, int events)
{
    struct event *self = context;
    short bits = 0;
    if (events & LOOP_READ)
        bits |= self->bits & UB_EV_READ;
    if (events & LOOP_WRITE)
        bits |= self->bits & UB_EV_WRITE;
    if (bits != 0)
        fire(self, bits);
}

static void timed_out(void *context)
{
    fire(context, UB_EV_TIMEOUT);
}

static int activate(struct ub_event *face, struct timeval *timeout)
{
    struct event *self = (struct event *)face;
    int events =
        (self->bits & UB_EV_READ ? LOOP_READ : 0) | (self->bits & UB_EV_WRITE ? LOOP_WRITE : 0);
    deactivate(face);
    self->timeout_ms = -1;
    if (timeout && (self->bits & UB_EV_TIMEOUT)) {
        self->timeout_ms = timeout->tv_sec * 1000 + (timeout->tv_usec + 999) / 1000;
        timer_start(self->timer, self->timeout_ms);
    }
    if (self->fd < 0 || events == 0)
        return 0;
    self->watch = watch_new(self->loop, self->fd, events, ready, self);
    return self->watch ? 0 : -1;
}

static void add_bits(struct ub_event *face, short bits)
{
    ((struct event *)face)->bits |= bits;
}

static void del_bits(struct ub_event *face, short bits)
{
    ((struct event *)face)->bits &= (short)~bits;
}

static void set_fd(struct ub_event *face, int fd)
{
    ((struct event *)face)->fd = fd;
}

static void event_free(struct ub_event *face)
{
    struct event *self = (struct event *)face;
    watch_destroy(&self->watch);
    timer_destroy(&self->timer);
    free(self);
}

static int add_timer(struct ub_event *face, struct ub_event_base *base, unbound_fn *fn, void *arg,
                     struct timeval *timeout)
{
    struct event *self = (struct event *)face;
    (void)base;
    self->fn = fn;
    self->arg = arg;
    self->bits |= UB_EV_TIMEOUT;
    return activate(face, timeout);
}

static int no_signal(struct ub_event *face, struct timeval *timeout)
{
    (void)face, (void)timeout;
    return -1;
}

static struct ub_event_vmt event_methods = {
    .add_bits = add_bits,
    .del_bits = del_bits,
    .set_fd = set_fd,
    .free = event_free,
    .add = activate,
    .del = deactivate,
    .add_timer = add_timer,
    .del_timer = deactivate,
    .add_signal = no_signal,
    .del_signal = deactivate,
};

static struct ub_event *new_event(struct ub_event_base *face, int fd, short bits, unbound_fn *fn,
                                  void *arg)
{
    struct base *base = (struct base *)face;
    struct event *self = allocate(sizeof(*self));
    self->face.magic = UB_EVENT_MAGIC;
    self->face.vmt = &event_methods;
    self->loop = base->loop;
    self->fd = fd;
    self->bits = bits;
    self->fn = fn;
    self->arg = arg;
    self->timeout_ms = -1;
    self->timer = timer_new(base->loop, timed_out, self);
    return &self->face;
}

static struct ub_event_base_vmt base_methods = {.new_event = new_event};

struct ub_event_base *unbound_loop_new(struct loop *loop)
{
    struct base *self = allocate(sizeof(*self));
    self->face.magic = UB_EVENT_MAGIC;
    self->face.vmt = &base_methods;
    self->loop = loop;
    return &self->face;
}

void unbound_loop_destroy(struct ub_event_base **self)
{
    free(*self);
    *self = NULL;
}
