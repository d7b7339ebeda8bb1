// SPDX-License-Identifier: Apache-2.0
#include "master/disk.h"
#include "core/base/mailbox.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { JOBS_MOST = 4096 };

struct disk {
    struct mailbox *jobs, *ended;
    pthread_t thread;
};

static void *work(void *context)
{
    struct disk *self = context;
    for (struct disk_job *job; (job = mailbox_wait(self->jobs, -1));) {
        job->run(job);
        while (mailbox_put(self->ended, job) < 0) // the loop empties it always
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return NULL;
}

static void hear(void *context, void *item)
{
    (void)context;
    struct disk_job *job = item;
    job->done(job);
}

struct disk *disk_new(struct loop *loop)
{
    struct disk *self = allocate(sizeof(*self));
    self->jobs = mailbox_new(JOBS_MOST);
    self->ended = mailbox_new(2 * JOBS_MOST); // room for all, also when the loop has stopped
    mailbox_attach(self->ended, loop, hear, self);
    if (pthread_create(&self->thread, NULL, work, self) != 0)
        abort();
    return self;
}

void disk_destroy(struct disk **self_p)
{
    struct disk *self = *self_p;
    if (!self)
        return;
    mailbox_close(self->jobs);
    pthread_join(self->thread, NULL);
    for (struct disk_job *job; (job = mailbox_wait(self->ended, 0));)
        hear(self, job);
    mailbox_destroy(&self->jobs);
    mailbox_destroy(&self->ended);
    free(self);
    *self_p = NULL;
}

int disk_put(struct disk *self, struct disk_job *job)
{
    return mailbox_put(self->jobs, job);
}
