// SPDX-License-Identifier: Apache-2.0
// The last mark. What was synced last is told by the mark of the next batch; where none follows, by
// one that stands alone: after a second without work, so that a bit flipped in the mail of a quiet
// night is known for rot, and at the end, so that the next start has nothing to append anew.
#include "core/journal/journal_internal.h"

#include "core/base/loop.h"
#include "core/base/mailbox.h"

#include <stdlib.h>

enum { QUIET_MS = 1000 };

void journal_will_be_quiet(struct journal *self)
{
    self->unmarked = 1;
    if (!timer_active(self->quiet))
        timer_start(self->quiet, QUIET_MS);
}

static struct batch *begin_mark(struct journal *self)
{
    if (!self->unmarked || self->broken || self->busy || self->first ||
        (uint64_t)self->offset + MARK_SIZE > self->options.segment_size)
        return NULL;
    struct batch *batch = journal_begin_batch(self);
    self->offset = batch_end(batch).offset;
    self->unmarked = 0;
    return batch;
}

void journal_quiet(void *context)
{
    struct journal *self = context;
    struct batch *mark = begin_mark(self);
    if (!mark)
        return; // the batch under way asks again
    // It tells of a sync that is over, so it needs none of its own.
    mark->unsynced = 1;
    journal_commit_next(self);
}

// Owners are told nothing more.
static void drain_notices(struct journal *self)
{
    for (struct notice *notice; (notice = mailbox_wait(self->mailbox, 0));) {
        if (notice->kind == NOTICE_COMMITTED) {
            struct batch *batch = notice->subject;
            if (batch->error)
                self->broken = 1;
            else if (!batch->unsynced)
                self->durable = batch_end(batch);
            self->unmarked |= batch->count > 0;
            self->busy = NULL;
            batch_destroy(&batch);
        } else if (notice->kind == NOTICE_WORKED) {
            free(notice->subject);
        }
        free(notice);
    }
}

static void commit_here(struct journal *self)
{
    journal_commit_next(self);
    while (committer_round(self->committer)) {
    }
    drain_notices(self);
}

void journal_finish(struct journal *self)
{
    committer_stop(self->committer);
    drain_notices(self);
    while (self->first && !self->broken)
        commit_here(self);
    for (struct batch *batch; (batch = self->first);) { // of a segment whose sync failed
        self->first = batch->next;
        batch_destroy(&batch);
    }
    if (begin_mark(self))
        commit_here(self);
}
