// SPDX-License-Identifier: Apache-2.0
#pragma once

// The disk thread: writes and syncs one batch after the other, makes the next segment ready in
// between, and does the owner's file work in order. The loop hands it things, and it tells the loop
// by notices.
#include "core/journal/batch.h"
#include "core/journal/segment.h"

struct committer;

enum notice_kind {
    NOTICE_WRITTEN,   // subject: the batch, still being synced
    NOTICE_COMMITTED, // subject: the batch; its `error` tells
    NOTICE_PREPARED,  // a new segment: `number`, `error`
    NOTICE_WORKED,    // subject: the work; `error` is what it returned
};

struct notice {
    enum notice_kind kind;
    int error;
    uint64_t number;
    void *subject;
};

struct work {
    journal_work_fn *fn;
    journal_worked_fn *done;
    void *context;
};

// Called on the disk thread; must not block. The notice is to be freed.
typedef void notice_fn(void *context, struct notice *notice);

// `first` is the segment that batches begin in; taken. Borrows `io`.
struct committer *committer_new(const struct journal_io *io, uint32_t segment_size,
                                struct segment first, notice_fn *fn, void *context);
void committer_start(
    struct committer *self); // the thread; without it committer_round is called by hand
// Finishes the batch and the work that it was given, then ends the thread. What follows is done by
// committer_round.
void committer_stop(struct committer *self);
void committer_destroy(struct committer **self);

// One at a time: the next after NOTICE_COMMITTED.
void committer_commit(struct committer *self, struct batch *batch);
void committer_prepare(struct committer *self, uint64_t number); // one at a time
NODISCARD int committer_work(struct committer *self,
                             const struct work *work); // -1: queue full (EAGAIN)
int committer_round(struct committer *self); // does what there is, once each; 0: there was nothing
uint64_t committer_syncs(const struct committer *self);
unsigned committer_free_percent(const struct committer *self); // as of a second ago
