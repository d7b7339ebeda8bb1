// SPDX-License-Identifier: Apache-2.0
#include "core/base/mailbox.h"
#include "core/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t filled; // for a waiting thread
    void **items;          // a ring
    size_t most, first, count;
    unsigned waiting; // threads in mailbox_wait
    int closed;
    int wake_fd; // for an attached loop, else -1
    struct watch *watch;
    mailbox_fn *fn;
    void *context;
};

struct mailbox *mailbox_new(size_t most)
{
    assert(most > 0);
    struct mailbox *self = allocate(sizeof(*self));
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&self->lock, NULL);
    self->items = allocate(most * sizeof(void *));
    self->most = most;
    self->wake_fd = -1;
    return self;
}

void mailbox_destroy(struct mailbox **self)
{
    struct mailbox *mailbox = *self;
    if (!mailbox)
        return;
    watch_destroy(&mailbox->watch);
    if (mailbox->wake_fd >= 0)
        close(mailbox->wake_fd);
    pthread_cond_destroy(&mailbox->filled);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox->items);
    free(mailbox);
    *self = NULL;
}

static void wake_loop(struct mailbox *self)
{
    // A full counter (EAGAIN) means that the loop is about to wake anyway.
    while (eventfd_write(self->wake_fd, 1) < 0 && errno == EINTR)
        continue;
}

int mailbox_put(struct mailbox *self, void *item)
{
    pthread_mutex_lock(&self->lock);
    if (self->closed || self->count == self->most) {
        errno = self->closed ? EPIPE : EAGAIN;
        pthread_mutex_unlock(&self->lock);
        return -1;
    }
    self->items[(self->first + self->count++) % self->most] = item;
    // Only the first item needs a wake-up: the loop takes all that it finds.
    if (self->wake_fd >= 0 && self->count == 1)
        wake_loop(self);
    if (self->waiting)
        pthread_cond_signal(&self->filled);
    pthread_mutex_unlock(&self->lock);
    return 0;
}

static void *take_locked(struct mailbox *self)
{
    void *item = self->items[self->first];
    self->first = (self->first + 1) % self->most;
    self->count--;
    return item;
}

static void on_wake(void *context, int events)
{
    (void)events;
    struct mailbox *self = context;
    eventfd_t count;
    if (eventfd_read(self->wake_fd, &count) < 0 && errno != EAGAIN)
        return;
    pthread_mutex_lock(&self->lock);
    size_t batch = self->count; // later ones wait for the next turn, so that others get theirs
    while (batch--) {
        void *item = take_locked(self);
        pthread_mutex_unlock(&self->lock);
        self->fn(self->context, item);
        pthread_mutex_lock(&self->lock);
    }
    if (self->count)
        wake_loop(self);
    pthread_mutex_unlock(&self->lock);
}

void mailbox_attach(struct mailbox *self, struct loop *loop, mailbox_fn *fn, void *context)
{
    assert(self->wake_fd < 0);
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        abort();
    self->fn = fn;
    self->context = context;
    self->watch = watch_new(loop, wake_fd, LOOP_READ, on_wake, self);
    pthread_mutex_lock(&self->lock);
    self->wake_fd = wake_fd;
    if (self->count)
        wake_loop(self);
    pthread_mutex_unlock(&self->lock);
}

void mailbox_detach(struct mailbox *self)
{
    watch_destroy(&self->watch);
    pthread_mutex_lock(&self->lock);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    self->wake_fd = -1;
    pthread_mutex_unlock(&self->lock);
}

static struct timespec deadline_after(int64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    return until;
}

void *mailbox_wait(struct mailbox *self, int64_t timeout_ms)
{
    struct timespec until = deadline_after(timeout_ms > 0 ? timeout_ms : 0);
    void *item = NULL;
    pthread_mutex_lock(&self->lock);
    self->waiting++;
    while (!self->count && !self->closed) {
        if (timeout_ms < 0)
            pthread_cond_wait(&self->filled, &self->lock);
        else if (pthread_cond_timedwait(&self->filled, &self->lock, &until) == ETIMEDOUT)
            break;
    }
    self->waiting--;
    if (self->count)
        item = take_locked(self);
    pthread_mutex_unlock(&self->lock);
    return item;
}

void mailbox_close(struct mailbox *self)
{
    pthread_mutex_lock(&self->lock);
    self->closed = 1;
    pthread_cond_broadcast(&self->filled);
    pthread_mutex_unlock(&self->lock);
}
