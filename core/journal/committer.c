// SPDX-License-Identifier: Apache-2.0
#include "core/journal/committer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { WORK_MOST = 1024, SPACE_EVERY_US = 1000000 };

struct committer {
    const struct journal_io *io;
    uint32_t segment_size;
    notice_fn *fn;
    void *context;
    pthread_t thread;
    int started;

    // Under the lock: what the loop has given.
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct batch *batch;
    uint64_t wanted; // segment to make, 0: none
    struct work work[WORK_MOST];
    size_t work_first, work_count;
    int stopping;

    // The disk thread's own.
    struct segment current;
    struct segment next; // being made, or ready
    int next_ready;
    int64_t space_us; // when the space was last looked at

    atomic_uint_fast64_t syncs;
    atomic_uint free_percent;
};

struct committer *committer_new(const struct journal_io *io, uint32_t segment_size,
                                struct segment first, notice_fn *fn, void *context)
{
    struct committer *self = allocate(sizeof(*self));
    self->io = io;
    self->segment_size = segment_size;
    self->current = first;
    self->fn = fn;
    self->context = context;
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->given, &monotonic);
    pthread_condattr_destroy(&monotonic);
    self->free_percent = io->free_percent(io->context);
    self->space_us = io->now_us(io->context);
    return self;
}

void committer_destroy(struct committer **self)
{
    struct committer *committer = *self;
    if (!committer)
        return;
    segment_close(&committer->current, committer->io);
    if (committer->next.number)
        segment_discard(&committer->next, committer->io); // nothing was ever written to it
    pthread_cond_destroy(&committer->given);
    pthread_mutex_destroy(&committer->lock);
    free(committer);
    *self = NULL;
}

static void tell(struct committer *self, enum notice_kind kind, void *subject, uint64_t number,
                 int error)
{
    struct notice *notice = allocate(sizeof(*notice));
    *notice = (struct notice){.kind = kind, .error = error, .number = number, .subject = subject};
    self->fn(self->context, notice);
}

// -- segments

static int tell_prepared(struct committer *self, uint64_t number, int error)
{
    tell(self, NOTICE_PREPARED, NULL, number, error);
    errno = error;
    return error ? -1 : 0;
}

static int prepare_begin(struct committer *self, uint64_t number)
{
    if (number <= self->current.number)
        return tell_prepared(self, number, 0); // a batch was faster
    if (self->next.number)
        segment_discard(&self->next, self->io); // given up after a failure: nothing is in it
    self->next_ready = 0;
    int made = segment_create(&self->next, self->io, number, self->segment_size);
    if (made < 0 && errno == EEXIST) { // one that was given up, and could not be unlinked then
        char name[SEGMENT_NAME];
        segment_name(number, name);
        if (self->io->unlink(self->io->context, name) == 0)
            made = segment_create(&self->next, self->io, number, self->segment_size);
    }
    return made < 0 ? tell_prepared(self, number, errno) : 0;
}

static int prepare_step(struct committer *self)
{
    uint64_t number = self->next.number;
    int result = segment_fill(&self->next, self->io);
    if (result == 0)
        return 0;
    self->next_ready = result > 0;
    return tell_prepared(self, number, result > 0 ? 0 : errno);
}

static int is_preparing(const struct committer *self)
{
    return self->next.number && !self->next_ready;
}

// Makes the batch's segment the current one. After a failed sync nobody may have asked for it yet.
static int turn_to(struct committer *self, uint64_t number)
{
    if (self->current.number == number)
        return 0;
    if (self->next.number != number && prepare_begin(self, number) < 0)
        return -1;
    while (self->next.number == number && !self->next_ready)
        if (prepare_step(self) < 0)
            return -1;
    segment_close(&self->current, self->io);
    self->current = self->next;
    self->next = (struct segment){0};
    self->next_ready = 0;
    return 0;
}

// -- batches

static int sync_current(struct committer *self)
{
    atomic_fetch_add_explicit(&self->syncs, 1, memory_order_relaxed);
    return self->io->fdatasync(self->io->context, self->current.fd);
}

static void commit(struct committer *self, struct batch *batch)
{
    batch->error = 0;
    if (turn_to(self, batch->segment) < 0 ||
        segment_write(&self->current, self->io, batch->bytes, batch->size, batch->offset) < 0) {
        batch->error = errno;
    } else if (!batch->unsynced) {
        tell(self, NOTICE_WRITTEN, batch, 0, 0);
        // A sync that failed is never tried again: the kernel may have dropped the pages and call
        // the next one a success.
        int64_t begin_us = self->io->now_us(self->io->context);
        if (sync_current(self) < 0)
            batch->error = errno;
        batch->sync_us = self->io->now_us(self->io->context) - begin_us;
    }
    tell(self, NOTICE_COMMITTED, batch, 0, 0);
}

static void look_at_space(struct committer *self)
{
    int64_t now = self->io->now_us(self->io->context);
    if (now - self->space_us < SPACE_EVERY_US)
        return;
    self->space_us = now;
    atomic_store_explicit(&self->free_percent, self->io->free_percent(self->io->context),
                          memory_order_relaxed);
}

// -- the thread

int committer_round(struct committer *self)
{
    struct work work = {0};
    pthread_mutex_lock(&self->lock);
    struct batch *batch = self->batch;
    self->batch = NULL;
    uint64_t wanted = self->wanted;
    self->wanted = 0;
    if (self->work_count) {
        work = self->work[self->work_first];
        self->work_first = (self->work_first + 1) % WORK_MOST;
        self->work_count--;
    }
    pthread_mutex_unlock(&self->lock);
    if (!batch && !wanted && !work.fn && !is_preparing(self))
        return 0;

    // A batch may need the segment that is prepared already, or the one that is to be begun.
    int begin_first = wanted && batch && batch->segment == wanted;
    if (begin_first)
        prepare_begin(self, wanted);
    if (batch)
        commit(self, batch);
    if (wanted && !begin_first)
        prepare_begin(self, wanted);
    if (work.fn) {
        struct work *done = allocate(sizeof(*done));
        *done = work;
        tell(self, NOTICE_WORKED, done, 0, work.fn(work.context));
    }
    if (is_preparing(self))
        prepare_step(self);
    look_at_space(self);
    return 1;
}

// Waits until there is something to do. 0: it is time to end. The space is looked at meanwhile: on
// a full disk no mail is taken, and nothing but the space itself would tell that it can be.
static int wait_for_work(struct committer *self)
{
    pthread_mutex_lock(&self->lock);
    while (!self->batch && !self->work_count && !self->wanted && !self->stopping &&
           !is_preparing(self)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        if (pthread_cond_timedwait(&self->given, &self->lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&self->lock); // the loop must not wait for the file system
        look_at_space(self);
        pthread_mutex_lock(&self->lock);
    }
    int going = self->batch || self->work_count || !self->stopping;
    pthread_mutex_unlock(&self->lock);
    return going;
}

static void *run(void *context)
{
    struct committer *self = context;
    while (wait_for_work(self))
        committer_round(self);
    return NULL;
}

void committer_start(struct committer *self)
{
    // Signals belong to the loop's thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&self->thread, NULL, run, self) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    self->started = 1;
}

void committer_stop(struct committer *self)
{
    if (!self->started)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = 1;
    pthread_cond_signal(&self->given);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    self->started = 0;
}

void committer_commit(struct committer *self, struct batch *batch)
{
    pthread_mutex_lock(&self->lock);
    self->batch = batch;
    pthread_cond_signal(&self->given);
    pthread_mutex_unlock(&self->lock);
}

void committer_prepare(struct committer *self, uint64_t number)
{
    pthread_mutex_lock(&self->lock);
    self->wanted = number;
    pthread_cond_signal(&self->given);
    pthread_mutex_unlock(&self->lock);
}

int committer_work(struct committer *self, const struct work *work)
{
    int result = -1;
    pthread_mutex_lock(&self->lock);
    if (self->work_count < WORK_MOST) {
        self->work[(self->work_first + self->work_count++) % WORK_MOST] = *work;
        pthread_cond_signal(&self->given);
        result = 0;
    }
    pthread_mutex_unlock(&self->lock);
    if (result < 0)
        errno = EAGAIN;
    return result;
}

uint64_t committer_syncs(const struct committer *self)
{
    return atomic_load_explicit(&((struct committer *)(uintptr_t)self)->syncs,
                                memory_order_relaxed);
}

unsigned committer_free_percent(const struct committer *self)
{
    return atomic_load_explicit(&((struct committer *)(uintptr_t)self)->free_percent,
                                memory_order_relaxed);
}
