// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the record holds of each stream: a row for every event with its hash, and count and sum of
// these for each range of sequences, so that two masters can find out cheaply what one of them
// lacks. A grow-only set: where a stream names two events by one sequence, both are kept.
#include "core/base/base.h"
#include <sqlite3.h>

enum { INVENTORY_RANGE = 1024 }; // sequences; range N begins at N * 1024

struct inventory;

struct digest {
    uint64_t count, sum; // of the hashes, by exclusive or
};

// Stands in stream.db, within whose transactions it works. NULL: logged.
struct inventory *inventory_new(sqlite3 *db);
void inventory_destroy(struct inventory **self);
extern const char inventory_schema[];

// Of an event at its place in a stream.
uint64_t inventory_hash(uint64_t sequence, struct span packed);

enum inventory_news {
    INVENTORY_FAILED = -1,
    INVENTORY_HELD, // it was there already
    INVENTORY_NEW,
    INVENTORY_FORK, // new, and the stream has another event of that sequence
};
// `day` names the file whose timeline holds the event; "" when none does: then it is kept here, as
// is a fork.
enum inventory_news inventory_add(struct inventory *self, const char *node, uint64_t epoch,
                                  uint64_t sequence, uint64_t hash, const char *day,
                                  struct span packed);
int inventory_knows(struct inventory *self, const char *node, uint64_t epoch); // such a stream
// What that day's timeline held is gone. What is kept here stays. 0, or -1.
NODISCARD int inventory_drop_day(struct inventory *self, const char *day);
NODISCARD int inventory_flush(struct inventory *self); // before the commit
void inventory_forget(struct inventory *self);         // after a rollback

// -- reading; 0, or -1: logged

struct inventory_stream {
    const char *node; // during the call
    uint64_t epoch, last;
};
typedef void inventory_stream_fn(void *context, const struct inventory_stream *stream);
// The newest `most` streams.
NODISCARD int inventory_streams(struct inventory *self, unsigned most, inventory_stream_fn *fn,
                                void *context);
// Of everything up to and with `upto`.
NODISCARD int inventory_digest(struct inventory *self, const char *node, uint64_t epoch,
                               uint64_t upto, struct digest *ret);
typedef void inventory_range_fn(void *context, uint64_t number, const struct digest *digest);
// The ranges from number `from` on that hold something up to `upto`, at most `most`. `ret_next` is
// where to go on, 0: that was all.
NODISCARD int inventory_ranges(struct inventory *self, const char *node, uint64_t epoch,
                               uint64_t upto, uint64_t from, unsigned most, inventory_range_fn *fn,
                               void *context, uint64_t *ret_next);
typedef void inventory_row_fn(void *context, uint64_t sequence, uint64_t hash);
// One range's rows, by sequence and hash.
NODISCARD int inventory_rows(struct inventory *self, const char *node, uint64_t epoch,
                             uint64_t upto, uint64_t number, inventory_row_fn *fn, void *context);
// Where an event is: 1 with either its bytes or the day that holds it (both until the next call);
// 0: not held.
NODISCARD int inventory_find(struct inventory *self, const char *node, uint64_t epoch,
                             uint64_t sequence, uint64_t hash, struct span *ret_packed,
                             const char **ret_day);
