// SPDX-License-Identifier: Apache-2.0
#pragma once

// The consolidated record of every message: one small interface, SQLite behind it.
//
// Files in the folder: messages-YYYY-MM-DD.db, a file for each day (UTC, of the time in a mail's
// id) with the messages received that day, and stream.db with the list of events in the order of
// their commit and the watermark of each node. A transaction is committed to the day files first,
// each synced, then to stream.db. A crash between leaves rows above the watermark: their events
// come again and change nothing, since every row says of itself which event made it. So rows and
// watermark act as one without a commit over several files.
//
// A damaged file stops nobody: see store_mend.
#include "core/base/base.h"
#include "proto/event.pb-c.h"
#include "proto/public.pb-c.h"
#include <jansson.h>

struct buffer;
struct inventory;
struct store;

// One event and its place in its node's stream.
struct store_event {
    const char *node;
    uint64_t epoch, sequence;
    struct span packed; // the event as it came
    const Postern__Event *event;
};

// The writing side; used by one thread. NULL with a message in ret_error.
struct store *store_open(const char *folder, char *ret_error, size_t error_size);
void store_close(struct store **self);
uint64_t store_incarnation(const struct store *self);
NODISCARD int store_new_incarnation(struct store *self); // committed by itself

typedef void store_watermark_fn(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                                uint64_t mark);
NODISCARD int store_watermarks(struct store *self, store_watermark_fn *fn, void *context);

// Adds to the open transaction. Any order, any number of times. 0; or -1: the transaction must be
// given up with store_rollback.
NODISCARD int store_add(struct store *self, const struct store_event *event);
// The commit number of the event added last (0: it was listed before), and what proto/public.proto
// tells of it (valid until the next): for who publishes it once the transaction is durable.
int64_t store_last_added(const struct store *self, struct span *ret_public);
// Within the open transaction: is the event's mail deleted for every recipient that is known? 1, 0,
// or -1.
NODISCARD int store_all_deleted(struct store *self, const Postern__Event *event);
// Raises a node's watermark within the open transaction; a new epoch begins anew. `mark` is that of
// the outbox record which it lies in.
NODISCARD int store_watermark(struct store *self, const char *node, uint64_t epoch,
                              uint64_t sequence, uint64_t mark);
NODISCARD int store_commit(struct store *self); // durable when it returns 0
void store_rollback(struct store *self);

// A file whose content turned out to be broken was set aside, and its rows that can still be read
// are in a new one.
struct store_damage {
    char file[32], copy[256];
    uint64_t saved; // rows: events of a day, or entries of the list
};

// To be called when the store was just opened, and after each rollback. Where a file was found
// damaged: sets it aside in ../corrupt, saves what can be read of it, and begins all watermarks
// anew under a new incarnation, so that whatever nodes still hold comes again. 1: ret tells, 0:
// nothing is damaged, -1: it failed; call again before anything else.
NODISCARD int store_mend(struct store *self, struct store_damage *ret);
// A reader stumbled over a file (a day, or "stream"): is it damaged? Reads all of it. 1: store_mend
// will mend it.
int store_suspect(struct store *self, const char *file);
struct inventory *store_inventory(struct store *self); // what is held of each stream
// Appends the packed event. 1; 0: it is not held; -1: logged.
NODISCARD int store_read(struct store *self, const char *node, uint64_t epoch, uint64_t sequence,
                         uint64_t hash, struct buffer *out);

// The reading side, for another thread.
struct store_reader;
struct store_reader *store_reader_open(const char *folder);
// Told, on the reader's thread, of each file that reading stumbled over.
typedef void store_suspicion_fn(void *context, const char *file);
void store_reader_on_damage(struct store_reader *self, store_suspicion_fn *fn, void *context);
void store_reader_close(struct store_reader **self);

struct store_query {
    const char *sender, *recipient, *message_id, *node, *disposition; // NULL: any
    int64_t since_ms, until_ms;                                       // 0: open
    int rejected;   // tries that were rejected, too
    int notices;    // everything, also the notifications that deliveries wrote
    unsigned limit; // 0: all
};

// A list that is fetched page by page, newest first; texts of the query are copied.
struct store_list;
struct store_list *store_list_messages(struct store_reader *reader,
                                       const struct store_query *query);
struct store_list *store_list_quarantine(struct store_reader *reader,
                                         const struct store_query *query);
// Appends the next rows as JSON texts, each followed by a line feed; none when a day had none, so
// that a long search lets others take their turn. 1: there may be more, 0: that was all.
int store_list_next(struct store_list *self, struct buffer *out);
void store_list_close(struct store_list **self);

// One message with its timeline, or what is known of one in quarantine; NULL: unknown. A new
// reference.
json_t *store_message(struct store_reader *reader, const char *id);
json_t *store_quarantined(struct store_reader *reader, const char *id);

// Gives the events after a commit to `fn`, in their order, until it returns non-zero. Looks at
// `look_at` of them at most, so that a filter that little fits lets others take their turn; returns
// the last commit looked at, or `after` when there is none.
struct public_filter;
typedef int store_event_fn(void *context, const Postern__PublicEvent *event);
int64_t store_events(struct store_reader *reader, int64_t after, unsigned look_at,
                     const struct public_filter *filter, store_event_fn *fn, void *context);
int64_t store_last_commit(struct store_reader *reader);
int64_t store_first_commit(struct store_reader *reader); // the oldest that is kept; 0: none is
