// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one thread that writes the master's databases. It gathers events into transactions (committed
// after 100 ms or 500 events at most) and runs other jobs between them.
#include "core/base/base.h"
#include "master/store/store.h"
#include "proto/stream.pb-c.h"

struct body;
struct loop;
struct sqlite3;
struct writer;
struct writer_job;

// What jobs work with, on the writer's thread.
struct writer_databases {
    struct store *store;
    struct sqlite3 *cluster;
    struct configuration *configuration;
};

// A job is part of its owner's structure. `run` is called on the writer's thread, then `done` on
// the loop.
typedef void writer_run_fn(struct writer_job *job, struct writer_databases *databases);
typedef void writer_done_fn(struct writer_job *job);
struct writer_job {
    writer_run_fn *run;
    writer_done_fn *done;
};

// Events of one node, following on `previous` of the same epoch; `begins`: a new epoch or a cut,
// they follow on nothing. Taken over with the publication.
struct writer_events {
    struct writer_job job; // used by the writer
    char node[64];
    uint64_t epoch, previous, first;
    size_t skip; // events at the front that are known already
    int begins;
    int fills; // they fill what the record lacks, wherever it lies; no watermark moves
    Postern__Publication *publication;
};

// Told on the loop: rows and watermark are durable, the latter with the mark of the record that it
// lies in; or (sequence 0) what was taken is lost.
typedef void writer_committed_fn(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                                 uint64_t mark);
// Told on the loop after the commit: an order's outcome became known.
typedef void writer_outcome_fn(void *context, const char *order);

// Told on the loop: a file of the record was set aside, and every node's stream begins anew under
// the incarnation. `damage` until it returns.
typedef void writer_damaged_fn(void *context, const struct store_damage *damage,
                               uint64_t incarnation);
// Told on the loop after the commit: `event` (proto/public.proto, without its commit number) is
// durable as number `commit`. In the order of the commits.
typedef void writer_public_fn(void *context, int64_t commit, struct span event);
// Told on the loop after the commit: a quarantined body is to be held, or (BODY_GONE) no more.
typedef void writer_body_fn(void *context, const struct body *body);

// Opens state/master/cluster.db and the store under state/master/messages, starts the thread.
struct writer *writer_new(struct loop *loop, const char *folder, writer_committed_fn *committed,
                          writer_outcome_fn *outcome, void *context, char *ret_error,
                          size_t error_size);
void writer_on_damage(struct writer *self, writer_damaged_fn *fn); // before the loop runs
// From any thread: has a file checked that a reader stumbled over (a day, or "stream").
void writer_suspect(struct writer *self, const char *file);
// Before the first job is put.
void writer_on_public(struct writer *self, writer_public_fn *fn, void *context);
void writer_on_body(struct writer *self, writer_body_fn *fn); // with the context of writer_new
void writer_destroy(struct writer **self); // runs, commits and tells all that was put
// The databases, for the start, before the first job is put.
struct writer_databases *writer_databases(struct writer *self);
// 0, or -1: full (EAGAIN); the caller keeps the job.
NODISCARD int writer_put(struct writer *self, struct writer_job *job);
NODISCARD int writer_put_events(struct writer *self, struct writer_events *events);
// A word of the master itself, into the list of events with its next transaction; copied. It has no
// stream: no watermark. 0, or -1: full.
NODISCARD int writer_note(struct writer *self, const char *master, const Postern__Event *event);
int writer_busy(const struct writer *self); // more than half full: no time for replays
