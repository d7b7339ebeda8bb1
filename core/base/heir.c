// SPDX-License-Identifier: Apache-2.0
#include "core/base/heir.h"

#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICE = 10 };

struct heir {
    const char *state;
    enum stage stage;
    const struct heir_ops *ops;
    void *context;
    struct mailbox *mailbox; // from the thread: it has ended its work
    pthread_t thread;
    int running;
    atomic_int cancelled;
    // The thread's while it runs.
    void *leaving; // to be closed
    void *opened;
};

// -- the thread

static void *open_slot(struct heir *self, unsigned number)
{
    struct slot slot;
    char path[128];
    snprintf(path, sizeof(path), "%s/%s/%u", self->state, stage_name(self->stage), number);
    if (slot_locked(self->state, self->stage, number) != 0 || !self->ops->has_records(path) ||
        slot_take(&slot, self->state, self->stage, (int)number, NULL) < 0)
        return NULL; // alive, empty, or its next owner was faster
    return self->ops->open(self->context, &slot, &self->cancelled);
}

static void open_first(struct heir *self)
{
    uint64_t existing = slot_existing(self->state, self->stage);
    for (unsigned number = 0; number < SLOT_MOST && !self->opened && !self->cancelled; number++)
        if (existing >> number & 1)
            self->opened = open_slot(self, number);
}

// What arrives goes before what was left behind: the loop's own thread is not to wait for this one.
static void step_back(void)
{
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), NICE) < 0)
        log_warning("heir.not-nice", "errno=%d", errno);
}

static void *run(void *context)
{
    struct heir *self = context;
    step_back();
    if (self->leaving)
        self->ops->close(self->leaving);
    else
        open_first(self);
    self->leaving = NULL;
    if (mailbox_put(self->mailbox, self) < 0)
        abort(); // it holds one, and one thread runs at a time
    return NULL;
}

// -- the loop

static int start(struct heir *self)
{
    sigset_t all, before; // signals belong to the loop's thread
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&self->thread, NULL, run, self);
    self->running = errno == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!self->running)
        log_warning("heir.no-thread", "errno=%d", errno);
    return self->running ? 0 : -1;
}

static void ended(void *context, void *item)
{
    struct heir *self = context;
    void *opened = self->opened;
    (void)item;
    pthread_join(self->thread, NULL);
    self->running = 0;
    self->opened = NULL;
    if (opened)
        self->ops->opened(self->context, opened);
    if (opened && !self->running)
        heir_look(self); // where one is dead, others may be
}

void heir_look(struct heir *self)
{
    if (!self->running)
        start(self);
}

void heir_close(struct heir *self, void *opened)
{
    assert(!self->running);
    self->leaving = opened;
    if (start(self) == 0)
        return;
    self->leaving = NULL; // where no thread can be made, a wait is the smaller evil
    self->ops->close(opened);
}

int heir_busy(const struct heir *self)
{
    return self->running;
}

struct heir *heir_new(struct loop *loop, const char *state, enum stage stage,
                      const struct heir_ops *ops, void *context)
{
    struct heir *self = allocate(sizeof(*self));
    self->state = state;
    self->stage = stage;
    self->ops = ops;
    self->context = context;
    self->mailbox = mailbox_new(1);
    mailbox_attach(self->mailbox, loop, ended, self);
    return self;
}

void heir_destroy(struct heir **heir)
{
    struct heir *self = *heir;
    if (!self)
        return;
    *heir = NULL;
    self->cancelled = 1;
    if (self->running)
        pthread_join(self->thread, NULL);
    if (self->opened)
        self->ops->close(self->opened);
    mailbox_destroy(&self->mailbox);
    free(self);
}
