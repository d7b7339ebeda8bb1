// SPDX-License-Identifier: Apache-2.0
#pragma once

// Shared by bodies.c, bodies_pull.c and bodies_keep.c.
#include "core/base/buffer.h"
#include "core/base/metrics.h"
#include "master/bodies.h"
#include "master/disk.h"

struct pull;

enum { PULLS_MOST = 16 };

struct want {
    struct want *next, *previous; // of those that wait; while it is pulled none
    struct body body;
    int64_t again_ms; // not before, on the loop's clock
    unsigned tries;
    int missing; // the worker has it no more
    int dropped; // while it is pulled
    struct pull *pull;
};

// A body as it was read last, for the pieces that follow. The disk thread's.
struct body_reader {
    struct ulid id;
    struct blob_reader *reader; // NULL: none
    struct buffer ahead;
};
enum { BODY_IN_MEMORY = 64 * 1024 * 1024 };

struct bodies {
    struct master *master;
    struct disk *disk;
    char folder[120]; // state/master
    sqlite3 *reading; // the disk thread's
    struct body_reader reader;
    struct want *first, *last;       // that wait: looked at in turn
    struct want *pulled[PULLS_MOST]; // at this moment
    struct table *wanted;            // by id
    unsigned pulling;
    struct buffer noted; // struct noting each: states on their way into the table
    int noting;
    unsigned ticks;
    int tidying;
    int64_t wall_ms, monotonic_ms; // of the last look at the retention
    struct metric *waiting, *lag, *taken, *refused, *rotten;
};

struct noting {
    struct ulid id;
    enum body_state state;
};

// bodies.c
struct want *want_of(const struct bodies *self, const struct ulid *id);
void bodies_note(struct bodies *self, const struct ulid *id, enum body_state state);
void want_done(struct bodies *self, struct want *want); // it is held, or needed no more; frees it
void want_later(struct bodies *self, struct want *want);
void want_wait(struct bodies *self, struct want *want); // behind all others
void bodies_pull_more(struct bodies *self);
void bodies_tell(struct bodies *self, const struct body *body); // to its node: held here

// bodies_pull.c
// From the worker, or (member NULL) from the peer.
void pull_start(struct bodies *self, struct want *want, const struct member *member);
void pulls_second(struct bodies *self); // gives up what the peer does not answer

// bodies_peer.c
void bodies_readers_free(struct bodies *self);

// bodies_keep.c
void bodies_tidy(struct bodies *self); // each hour: what is past the retention
