// SPDX-License-Identifier: Apache-2.0
#pragma once

// Records at rest, in order. Segment files, preallocated, one writer; a disk thread writes and
// syncs, so that many records share one fdatasync. A segment is unlinked when nothing in it is
// live; it is never truncated, appended to after a restart, or used again.
#include "core/base/base.h"
#include <stdatomic.h>
#include <sys/uio.h>

struct loop;
struct journal;

// Names a record's payload for ever. Ordered: segment, then offset.
struct position {
    uint64_t segment;
    uint32_t offset;
    uint32_t length;
};

int position_before(struct position a, struct position b);

enum journal_state {
    JOURNAL_WRITTEN, // readable by other processes (page cache); not durable
    JOURNAL_DURABLE,
    JOURNAL_FAILED, // its sync failed. It counts no more (nothing is to be released), but until a
                    // later append is durable a crash may call it back. Append again or abandon.
};

// Called on the loop for each record: WRITTEN, later DURABLE; or FAILED.
typedef void journal_fn(void *context, enum journal_state state, struct position where);

// Called by journal_new for every whole record found, oldest first, marks excepted. `payload` is
// valid during the call. A record from above the last commit mark has been appended anew: `where`
// is its new place, and journal_replayed_durable tells when those are committed.
typedef void journal_visit_fn(void *context, unsigned type, struct position where,
                              const void *payload);

struct journal_options {
    const char *folder;          // segments lie here; made if missing
    uint32_t segment_size;       // bytes, default 32 MiB
    uint64_t bytes_most;         // all segments together; beyond it journal_append says ENOSPC
    unsigned free_percent_least; // of the file system, for `reserved = 0` records (default 10)
    const char *corrupt;         // folder for bad stretches
    const atomic_int *cancelled; // once it is set journal_open gives up, ECANCELED; may be NULL
};

struct journal_report {
    uint64_t records, bytes;
    uint64_t torn;           // above the mark: expected
    uint64_t corrupt;        // below it: alarm
    uint64_t replayed_again; // appended anew
    uint64_t birth;          // random number of this journal
    char corrupt_file[256];  // the last bad stretch's copy
};

// Opens (or makes) the journal, replays it into `visit`, starts a new segment. Blocks: only before
// the loop runs. NULL with errno.
struct journal *journal_new(struct loop *loop, const struct journal_options *options,
                            journal_visit_fn *visit, void *context,
                            struct journal_report *ret_report);
// The same in two halves, for one that is adopted while the loop runs. journal_open blocks, on a
// thread of the caller's; until journal_attach gives the journal to a loop it is that thread's
// alone, which may append and release, though nothing goes to the disk yet.
struct journal *journal_open(const struct journal_options *options, journal_visit_fn *visit,
                             void *context, struct journal_report *ret_report);
void journal_attach(struct journal *self, struct loop *loop);
// The loop lets go of it, and no owner is told anything any more: only journal_destroy may follow,
// on any thread.
void journal_detach(struct journal *self);
// Writes a last mark, syncs, joins the thread. Blocks.
void journal_destroy(struct journal **self);

// Appends a record made of `count` pieces, copied at once. `reserved` records (done, attempt) may
// use the space that is kept so that a full disk can drain. 0 and the record's place; or -1 with
// ENOSPC, EMSGSIZE, ENOBUFS (too much waits for the disk: not for `reserved`), or the errno for
// which no segment can be made. `fn` may be NULL.
NODISCARD int journal_append(struct journal *self, unsigned type, int reserved,
                             const struct iovec *pieces, int count, journal_fn *fn, void *context,
                             struct position *ret_where);

// Life: every appended or replayed record is live until it is released.
void journal_release(struct journal *self, struct position where);
// `end` is the record that ended `ended` (a done, and its message): releases `ended` now, and `end`
// once the segment of `ended` is unlinked and that unlink is synced. With several ends for one
// message call it once with the message and journal_release_after for the others.
void journal_release_ended(struct journal *self, struct position ended, struct position end);
void journal_release_after(struct journal *self, struct position ended, struct position end);
// Event records up to here are in node's outbox; segments beyond it stay. Journals without events:
// never called, see journal_no_events.
void journal_taken(struct journal *self, struct position upto);
void journal_no_events(struct journal *self);

// Reads committed event records (record_has_event) after `from` ({0,0}: from the start), oldest
// first, on the disk thread; calls `fn` on the loop with each, at most `bytes_most` in total, then
// once with type 0. One read at a time. For the feed to node after a restart.
typedef void journal_read_fn(void *context, unsigned type, struct position where,
                             const void *payload);
NODISCARD int journal_read_events(struct journal *self, struct position from, size_t bytes_most,
                                  journal_read_fn *fn, void *context);

// Runs `work` on the disk thread, then `done` on the loop: for file work of the owner (big
// messages, quarantine files), in order. -1 when the queue is full.
typedef int journal_work_fn(void *context); // returns 0 or an errno
typedef void journal_worked_fn(void *context, int result);
NODISCARD int journal_run(struct journal *self, journal_work_fn *work, journal_worked_fn *done,
                          void *context);

uint64_t journal_birth(const struct journal *self);
struct position journal_durable(const struct journal *self); // end of what is durable
uint64_t journal_live(const struct journal *self);           // records
uint64_t journal_bytes(const struct journal *self);          // on disk
uint64_t journal_syncs(const struct journal *self);          // fdatasync calls so far
// 1 while non-reserved records can be appended (disk space, health).
int journal_accepts(const struct journal *self);
// Long-lived small records are copied forward by their owner: append anew, release the old. The
// oldest segment that is kept (0: only the current one), how many live records it has.
uint64_t journal_oldest_segment(const struct journal *self);
uint64_t journal_segment_live(const struct journal *self, uint64_t segment);
// Do segments in `folder` hold records? For slot_take; cheap.
int journal_has_records(const char *folder);

// Read-only view of another process's journal: maps segments, keeps a few. The bytes stay valid
// until segment_map_drop or destroy, even when the file is unlinked meanwhile.
struct segment_map;
struct segment_map *segment_map_new(const char *folder, unsigned keep);
void segment_map_destroy(struct segment_map **self);
// The record's payload, checked (header and CRC). NULL with errno (EBADMSG: corrupt). Release with
// segment_map_done.
const void *segment_map_get(struct segment_map *self, struct position where, void **ret_handle);
void segment_map_done(struct segment_map *self, void *handle);
