// SPDX-License-Identifier: Apache-2.0
// The loop's half of the journal: gathers records into batches, hands one at a time to the disk
// thread, and tells the owners what became of them.
#include "core/journal/journal.h"

#include "core/base/loop.h"
#include "core/base/mailbox.h"
#include "core/journal/committer.h"
#include "core/journal/journal_internal.h"
#include "core/journal/recover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SEGMENT_SIZE = 32 * 1024 * 1024,
    GATHERED_MOST = 16 * 1024 * 1024,
    NOTICES_MOST = 4096,
    LEAVING_MOST = 64,
    AGAIN_MS = 5000,
    SLOW_SYNC_US = 1000,
    FREE_PERCENT_LEAST = 10,
};
#define BYTES_MOST ((uint64_t)64 << 30)

// -- segments and batches

static void want_next(struct journal *self)
{
    self->asked = self->number + 1;
    committer_prepare(self->committer, self->asked);
}

static void try_again(void *context)
{
    struct journal *self = context;
    if (self->prepare_error && !self->asked)
        want_next(self);
}

static void prepared(struct journal *self, const struct notice *notice)
{
    // One that was passed over is told no more.
    if (notice->number >= self->asked)
        self->asked = 0;
    self->prepare_error = notice->error;
    if (notice->error)
        timer_start(self->again, AGAIN_MS);
    else if (notice->number > self->ready)
        self->ready = notice->number;
}

static struct batch *take_spare(struct journal *self)
{
    struct batch *batch = self->spare ? self->spare : batch_new();
    self->spare = NULL;
    return batch;
}

struct batch *journal_begin_batch(struct journal *self)
{
    struct batch *batch = take_spare(self);
    batch_begin(batch, self->number, self->offset);
    batch->sealed = self->sealed;
    if (self->last)
        self->last->next = batch;
    else
        self->first = batch;
    self->last = batch;
    return batch;
}

static int lacks_next(const struct journal *self)
{
    return self->prepare_error && !self->asked && self->ready <= self->number;
}

// Goes on in the next segment. It may still be on its way, or not even asked for: the disk thread
// makes it before the first batch that needs it.
static int turn(struct journal *self)
{
    if (lacks_next(self)) {
        errno = self->prepare_error;
        return -1;
    }
    self->number++;
    self->offset = 0;
    self->turned = 1;
    ledger_open(&self->ledger, self->number, self->options.segment_size);
    // Its marks void what a failed sync left behind, else nothing of the segments before.
    self->sealed = self->broken ? self->durable : (struct position){self->number, 0, 0};
    for (uint64_t i = self->sealed.segment; i < self->number; i++) {
        ledger_pin(&self->ledger, i, self->number);
        journal_note_void(self, i, i == self->sealed.segment ? self->sealed.offset : 0);
    }
    // What goes to the new segment may be the same again, so the word that voids the old must be
    // durable first: a batch may keep its records and lose its mark.
    if (self->broken)
        self->offset = batch_end(journal_begin_batch(self)).offset;
    self->broken = 0;
    return 0;
}

static int refuses_unreserved(const struct journal *self)
{
    return lacks_next(self) || self->ledger.bytes >= self->options.bytes_most ||
           committer_free_percent(self->committer) < self->options.free_percent_least;
}

// The batch that has room for `size` bytes, in this segment or the next.
static struct batch *batch_for(struct journal *self, uint64_t size)
{
    struct batch *batch = self->last && self->last->segment == self->number ? self->last : NULL;
    uint64_t end = batch ? batch_end(batch).offset : (uint64_t)self->offset + MARK_SIZE;
    if (!self->broken && end + size <= self->options.segment_size)
        return batch ? batch : journal_begin_batch(self);
    return turn(self) < 0 ? NULL : journal_begin_batch(self);
}

int journal_append(struct journal *self, unsigned type, int reserved, const struct iovec *pieces,
                   int count, journal_fn *fn, void *context, struct position *ret_where)
{
    uint64_t length = 0;
    for (int i = 0; i < count; i++)
        length += pieces[i].iov_len;
    uint64_t size = record_size(length);
    if (size + 2 * MARK_SIZE > self->options.segment_size) {
        errno = EMSGSIZE;
        return -1;
    }
    if (!reserved && refuses_unreserved(self)) {
        errno = ENOSPC;
        return -1;
    }
    if (!reserved && self->gathered + size > GATHERED_MOST) {
        errno = ENOBUFS;
        return -1;
    }
    struct batch *batch = batch_for(self, size);
    if (!batch)
        return -1;
    struct record record = {.type = type, .length = (uint32_t)length};
    struct position where = batch_add(batch, self->birth, &record, pieces, count);
    batch_tell(batch, where, fn, context);
    ledger_add(&self->ledger, where);
    self->gathered += size;
    self->offset = batch_end(batch).offset;
    *ret_where = where;
    return 0;
}

// -- committing

void journal_commit_next(struct journal *self)
{
    struct batch *batch = self->first;
    if (self->busy || !batch)
        return;
    self->first = batch->next;
    if (!self->first)
        self->last = NULL;
    batch->next = NULL;
    struct mark mark = {.kind = MARK_BATCH, .synced = self->durable, .sealed = batch->sealed};
    batch_mark(batch, self->birth, &mark);
    self->busy = batch;
    committer_commit(self->committer, batch);
    // Only now: the disk thread makes one segment at a time, and this batch may need the one on its
    // way.
    if (self->turned && batch->segment == self->number && !self->asked) {
        self->turned = 0;
        want_next(self);
    }
}

static void flush(void *context)
{
    struct journal *self = context;
    journal_commit_next(self);
    journal_unlink_free(self);
}

static void tell_all(struct journal *self, struct batch *batch, enum journal_state state)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_record *record = &batch->records[i];
        if (state == JOURNAL_FAILED)
            ledger_release(&self->ledger, record->where);
        if (record->fn)
            record->fn(record->context, state, record->where);
    }
}

static void done_with(struct journal *self, struct batch *batch)
{
    self->gathered -= batch->size - MARK_SIZE;
    if (self->spare)
        batch_destroy(&batch);
    else
        self->spare = batch;
}

// Never tried again: the segment is sealed at what is durable, and what else was meant for it
// fails, too.
static void seal(struct journal *self, struct batch *failed)
{
    struct batch *waiting = self->first;
    self->first = self->last = NULL;
    self->broken = 1;
    tell_all(self, failed, JOURNAL_FAILED);
    done_with(self, failed);
    for (struct batch *next; waiting; waiting = next) {
        next = waiting->next;
        tell_all(self, waiting, JOURNAL_FAILED);
        done_with(self, waiting);
    }
}

static void committed(struct journal *self, struct batch *batch)
{
    self->busy = NULL;
    if (batch->error) {
        seal(self, batch);
        return;
    }
    if (!batch->unsynced)
        self->durable = batch_end(batch);
    if (batch->count > 0)
        journal_will_be_quiet(self);
    if (batch->last_event)
        ledger_event(&self->ledger, (struct position){batch->segment, batch->last_event, 0});
    // A slow disk is not kept waiting until all owners are told; a quick one gathers meanwhile.
    if (batch->sync_us >= SLOW_SYNC_US)
        journal_commit_next(self);
    // Not earlier: the segment that was turned to would be given up for its successor.
    if (self->turned && batch->segment == self->number && !self->asked) {
        self->turned = 0;
        want_next(self);
    }
    tell_all(self, batch, JOURNAL_DURABLE);
    done_with(self, batch);
}

static void worked(const struct notice *notice)
{
    struct work *work = notice->subject;
    if (work->done)
        work->done(work->context, notice->error);
    free(work);
}

static void handle_notice(void *context, void *item)
{
    struct journal *self = context;
    struct notice *notice = item;
    switch (notice->kind) {
    case NOTICE_WRITTEN:
        tell_all(self, notice->subject, JOURNAL_WRITTEN);
        break;
    case NOTICE_COMMITTED:
        committed(self, notice->subject);
        break;
    case NOTICE_PREPARED:
        prepared(self, notice);
        break;
    case NOTICE_WORKED:
        worked(notice);
        break;
    }
    free(notice);
}

// The disk thread may only wait here when the loop is thousands of notices behind.
static void send_notice(void *context, struct notice *notice)
{
    struct journal *self = context;
    while (mailbox_put(self->mailbox, notice) < 0)
        usleep(1000);
}

// -- life

static struct journal_options with_defaults(const struct journal_options *given)
{
    struct journal_options options = *given;
    if (!options.segment_size)
        options.segment_size = SEGMENT_SIZE;
    if (!options.bytes_most)
        options.bytes_most = BYTES_MOST;
    if (!options.free_percent_least)
        options.free_percent_least = FREE_PERCENT_LEAST;
    return options;
}

static void take_recovered(struct journal *self, struct recovered *recovered)
{
    self->birth = recovered->birth;
    self->ledger = recovered->ledger;
    self->number = recovered->current.number;
    self->durable = recovered->durable;
    self->offset = recovered->durable.offset;
    self->sealed = recovered->sealed;
    self->origins = recovered->origins;
    self->origin_count = recovered->origin_count;
    self->outlines = recovered->outlines;
    self->outline_count = recovered->outline_count;
}

struct journal *journal_open(const struct journal_options *options, journal_visit_fn *visit,
                             void *context, struct journal_report *ret_report)
{
    struct journal *self = allocate(sizeof(*self));
    struct recovered recovered;
    self->options = with_defaults(options);
    if (journal_io_open(&self->io, options->folder, options->corrupt) < 0) {
        free(self);
        return NULL;
    }
    if (recover(&recovered, &self->io, &self->options, visit, context) < 0) {
        int error = errno;
        self->io.destroy(self->io.context);
        free(self);
        errno = error;
        return NULL;
    }
    take_recovered(self, &recovered);
    self->unmarked = recovered.report.replayed_again > 0;
    self->mailbox = mailbox_new(NOTICES_MOST);
    self->committer =
        committer_new(&self->io, self->options.segment_size, recovered.current, send_notice, self);
    *ret_report = recovered.report;
    return self;
}

void journal_attach(struct journal *self, struct loop *loop)
{
    mailbox_attach(self->mailbox, loop, handle_notice, self);
    self->hook = hook_new(loop, flush, self);
    self->again = timer_new(loop, try_again, self);
    self->quiet = timer_new(loop, journal_quiet, self);
    committer_start(self->committer);
    want_next(self);
    if (self->unmarked)
        journal_will_be_quiet(self);
}

struct journal *journal_new(struct loop *loop, const struct journal_options *options,
                            journal_visit_fn *visit, void *context,
                            struct journal_report *ret_report)
{
    struct journal *self = journal_open(options, visit, context, ret_report);
    if (self)
        journal_attach(self, loop);
    return self;
}

void journal_detach(struct journal *self)
{
    hook_destroy(&self->hook);
    timer_destroy(&self->again);
    timer_destroy(&self->quiet);
    mailbox_detach(self->mailbox);
}

void journal_destroy(struct journal **journal)
{
    struct journal *self = *journal;
    if (!self)
        return;
    *journal = NULL;
    journal_detach(self);
    journal_finish(self);
    committer_destroy(&self->committer);
    journal_remove_empty(self);
    batch_destroy(&self->spare);
    mailbox_destroy(&self->mailbox);
    ledger_free(&self->ledger);
    self->io.destroy(self->io.context);
    free(self->origins);
    free(self->outlines);
    free(self);
}

// -- what others ask

int journal_accepts(const struct journal *self)
{
    return !refuses_unreserved(self) && self->gathered < GATHERED_MOST;
}

uint64_t journal_birth(const struct journal *self)
{
    return self->birth;
}

struct position journal_durable(const struct journal *self)
{
    return self->durable;
}

uint64_t journal_live(const struct journal *self)
{
    return self->ledger.live;
}

uint64_t journal_bytes(const struct journal *self)
{
    return self->ledger.bytes;
}

uint64_t journal_syncs(const struct journal *self)
{
    return committer_syncs(self->committer);
}

int journal_run(struct journal *self, journal_work_fn *fn, journal_worked_fn *done, void *context)
{
    struct work work = {fn, done, context};
    return committer_work(self->committer, &work);
}
