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
    struct committer *committer;
    uint64_t birth;
    struct ledger ledger;

    uint64_t number;            // of the segment that records are appended to
    uint32_t offset;            // where the next one goes
    int next_ready;             // the segment after it is there
    int preparing;              // is being made
    int prepare_error;          // errno of the last that could not be made
    int turned;                 // a new one was begun, so the one after it is to be made
    int broken;                 // a sync failed: go on in the next segment
    int seal_by_next;           // the next segment's marks void part of this one
    struct batch *first, *last; // waiting
    struct batch *busy;         // with the disk thread
    struct batch *spare;
    uint64_t gathered; // bytes in all batches
    struct position durable, sealed;

    struct origin *origins;
    size_t origin_count;
    struct outline *outlines; // what is void of earlier runs, and of this one's failed syncs
    size_t outline_count;
    int reading;
};

// Everything from `from` to the end of its segment is void.
void journal_note_void(struct journal *self, struct position from);
// Unlinks, on the disk thread, the segments that nothing keeps.
void journal_unlink_free(struct journal *self);
// At the end: an empty journal leaves no files.
void journal_remove_empty(struct journal *self);
