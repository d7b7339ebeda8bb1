// SPDX-License-Identifier: Apache-2.0
#pragma once

// The journal's own state. Internal to journal*.c.
#include "core/journal/batch.h"
#include "core/journal/committer.h"
#include "core/journal/recover.h"

struct journal {
    struct journal_options options;
    struct journal_io io;
    struct mailbox *mailbox;
    struct hook *hook;
    struct timer *again; // after a segment could not be made
    struct timer *quiet; // a mark is due when it is
    struct committer *committer;
    uint64_t birth;
    struct ledger ledger;

    uint64_t number;            // of the segment that records are appended to
    uint32_t offset;            // where the next one goes
    uint64_t ready;             // the newest segment that the disk thread has made
    uint64_t asked;             // it was asked for this one, 0: none is on its way
    int prepare_error;          // errno of the last that could not be made
    int unmarked;               // no mark tells yet of the last sync
    int turned;                 // a new one was begun, so the one after it is to be made
    int broken;                 // a sync failed: go on in the next segment
    struct batch *first, *last; // waiting
    struct batch *busy;         // with the disk thread
    struct batch *spare;
    uint64_t gathered; // bytes in all batches
    struct position durable;
    struct position sealed; // what the marks of segment `number` say

    struct origin *origins;
    size_t origin_count;
    struct outline *outlines; // what is void of earlier runs, and of this one's failed syncs
    size_t outline_count;
    int reading;
};

// Begins a batch at the end of what waits, empty; hands the first that waits to the disk thread if
// that is free.
struct batch *journal_begin_batch(struct journal *self);
void journal_commit_next(struct journal *self);

// A batch with records has been synced: a mark is due if none follows.
void journal_will_be_quiet(struct journal *self);
void journal_quiet(void *journal); // a timer's: writes the mark if there is nothing else to do
// Writes and syncs what waits, and a last mark.
void journal_finish(struct journal *self);

// Everything from `from` to the end of the segment is void.
void journal_note_void(struct journal *self, uint64_t segment, uint32_t from);
// Unlinks, on the disk thread, the segments that nothing keeps.
void journal_unlink_free(struct journal *self);
// At the end: an empty journal leaves no files.
void journal_remove_empty(struct journal *self);
