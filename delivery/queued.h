// SPDX-License-Identifier: Apache-2.0
#pragma once

// A mail in the queue, the claims that ingresses have on it, and the records that stand for it.
// Internal to queue*.c; who delivers a mail reads `envelope`, `recipients` and `body`.
#include "delivery/body.h"
#include "delivery/heap.h"
#include "delivery/queue.h"
#include "mail/spooled.h"

struct table;

// The records of one mail that leave the journal together: what put it into custody (HELD or MOVED)
// and what ended it. They are kept while anything waits: an open recipient, an outcome not
// acknowledged, an index entry.
struct keeping {
    struct keeping *next, *previous; // of all
    struct queue *queue;
    unsigned waits;
    int has_base;
    struct position base;
    struct position *ends; // each outlives the base
    size_t end_count;
    char *file; // under deferred/, unlinked with them
};

struct claim_recipient {
    uint32_t index;
    Postern__Disposition disposition; // NONE: a job, or not yet durable
    char *reply, *hop;
    struct keeping *keeping; // waits for the acknowledgement
};

// One message that an ingress gave, until the outcome of each of its recipients is acknowledged.
struct claim {
    struct claim *next, *previous; // of the same ingress
    struct claim *untold_next;
    int untold;
    unsigned ingress;
    struct ulid id;
    struct claim_recipient *recipients;
    size_t count;
    int64_t told_ms;
};

enum queued_state {
    QUEUED_OPEN,   // to be tried
    QUEUED_OUT,    // being tried
    QUEUED_ENDING, // its end is written, not yet durable
    QUEUED_ENDED,
};

struct queued_recipient {
    uint32_t index; // in the envelope
    enum queued_state state;
    char *reply; // of the last try
    char status[STATUS_SIZE];
    char *hop;
    int notified;             // the next host took over the duty to notify
    Postern__Disposition end; // replay: of its event
};

struct queued {
    struct queue *queue;
    struct queued *next, *previous; // of all
    struct ulid id;
    char name[ULID_TEXT]; // of the id
    const Postern__Envelope *envelope;
    Postern__DeliveryJob *job; // NULL for a held mail
    struct mapped mapped;      // a job's record
    struct spooled spooled;
    Postern__Held *head; // NULL for a job
    struct keeping *keeping;
    void *bytes; // a held mail's message while it is tried, from malloc or mapped from its file
    size_t bytes_size;
    int bytes_mapped;
    struct body body;
    struct queued_recipient *recipients;
    size_t count;
    size_t open; // recipients not QUEUED_ENDED
    size_t out;
    size_t writing; // records on their way that need this mail
    int has_tried;
    struct position tried; // its last RECORD_TRIED
    int64_t next_ms, last_ms;
    unsigned attempts;
    size_t heap_at[HEAP_ORDERS]; // place in the heap, from 1; 0: not in it
    int trying;                  // of a held mail: until every recipient is back
    int loading, moving, frozen;
};

// A record to be made durable, whatever it takes.
typedef void written_fn(void *context, struct position where);
struct writing;
struct taking;

// What is held for an ingress, on its way to it part by part.
struct report {
    uint64_t incarnation; // that asked for it, 0: none is under way
    unsigned round;
    int fresh;          // it has had none before
    struct claim *next; // not yet said
};

enum { RETIRED_KEPT = 8 };

struct queue {
    const struct queue_ops *ops;
    void *io;
    char *folder; // state/delivery/<slot>
    char *state, *hostname;
    unsigned slot;
    uint64_t incarnation;
    struct schedule schedule;
    unsigned credit;
    struct queued *all;
    struct keeping *keepings;
    size_t held_count, job_count;
    struct heap heaps[HEAP_ORDERS];
    struct table *claims; // by ingress and id
    struct claim *of_ingress[SLOT_MOST];
    uint64_t newest[SLOT_MOST]; // incarnation of the last Hello: jobs of another are dropped
    uint64_t heard[SLOT_MOST];  // the same once it has its report, else 0
    // Those it replaced: what they said last may come after a newer one's first word.
    struct retired {
        uint64_t incarnations[RETIRED_KEPT];
        unsigned next;
    } retired[SLOT_MOST];
    struct report reports[SLOT_MOST];
    struct claim *untold;
    struct writing *unwritten; // the journal would not take them yet
    struct taking *untaken;    // whose file could not be written yet
    struct replay *replay;     // until queue_recovered
    struct table *quarantine;  // by id: delivery/quarantine.h
    uint64_t newest_segment;   // that a record was written to
    uint64_t copying_segment;  // of quarantine_copy
    int64_t moved_ms;          // when queue_move_old last began to look
    struct queued *move_next;  // where it goes on, NULL: it has seen all
    size_t working;            // files being written or read
    size_t leaving;            // files being removed
};

// queue.c
struct queued *queued_of_head(struct queue *self,
                              Postern__Held *head); // takes it; not yet scheduled
void queued_free(struct queued *mail);
void queued_schedule(struct queued *mail, int64_t next_ms);
void queued_try(struct queued *mail);
void queued_ended(struct queued *mail, size_t at); // a recipient's end is durable
const char *queued_folder(const struct queue *self, const char *file, char *ret_path, size_t size);
struct span queued_message_id(const struct queued *mail);

// queue_claim.c
struct claim *claim_find(const struct queue *self, unsigned ingress, const struct ulid *id);
struct claim *claim_make(struct queue *self, unsigned ingress, const struct ulid *id);
struct claim_recipient *claim_recipient(const struct claim *claim, uint32_t index);
struct claim_recipient *claim_add(struct claim *claim, uint32_t index);
void claim_free(struct claim *claim);
// The recipient's outcome is known, and durable where it must be: tell it. `keeping` (may be NULL)
// waits for the acknowledgement.
void claim_outcome(struct queue *self, unsigned ingress, const struct ulid *id, uint32_t index,
                   Postern__Disposition disposition, const char *reply, const char *hop,
                   struct keeping *keeping);
void claims_tell(struct queue *self);
int claims_report(struct queue *self); // the next part of each report under way; 1: more follows
void claims_forget_gone(struct queue *self);

// queue_record.c
struct keeping *keeping_new(struct queue *self);
void keeping_free(struct keeping *self); // from memory only
void keeping_wait(struct keeping *self);
void keeping_done(struct keeping *self); // frees it when nothing waits any more
void keeping_end(struct keeping *self, struct position where);
// Takes `packed` (from malloc); `pieces` behind it stay the caller's until `fn`. `fn` comes once,
// when it is durable.
void queue_write(struct queue *self, unsigned type, void *packed, size_t size,
                 const struct body *rest, written_fn *fn, void *context);
void queue_write_again(struct queue *self);
void queue_unwritten_free(struct queue *self);
void *pack(const ProtobufCMessage *message, size_t *ret_size);
void *pack_head(const Postern__Held *head, size_t *ret_size); // with its length before it
// An event about these recipients of the mail; `event->recipients` and what they point to are to be
// freed by event_free_lists.
void event_init(Postern__Event *event, const struct queued *mail, Postern__Kind kind,
                Postern__Disposition disposition, const unsigned *at, size_t count);
void event_free_lists(Postern__Event *event);
void queue_void(struct queue *self, const struct queued *mail, written_fn *fn, void *context);

// queue_end.c
void queued_settle(struct queued *mail); // after anything that may have ended it; may free it
void queued_delivered(struct queued *mail, const unsigned *at, size_t count);
// Gives them up: with a notification where the sender wants one.
void queued_bounce(struct queued *mail, const unsigned *at, size_t count);
void queued_discarded(struct queued *mail, const unsigned *at, size_t count);
void queued_unsure(struct queued *mail, const unsigned *at, size_t count); // a release
void queued_turn_over(struct queued *mail);
void queued_write_tried(struct queued *mail);
// A replayed notification tells of a bounce whose event is not recorded: records it. `mail` is the
// one that bounced, NULL when it was a job.
void queued_end_told(struct queue *self, struct queued *mail, const Postern__Event *event,
                     struct queued *notice);
void queued_log(const struct queued *mail, const char *event, unsigned at);

// queue_hold.c
enum { HELD_NAME_SIZE = 48 };
typedef void notice_fn(void *context, struct queued *mail);
void held_file_name(const Postern__Held *head, char ret_name[HELD_NAME_SIZE]);
void queued_hold(struct queued *mail, const unsigned *at, size_t count);
// Puts `body` into custody under `head` (copied). The body is borrowed until `fn`, which comes once
// it is durable.
void queue_take(struct queue *self, const Postern__Held *head, const struct body *body,
                notice_fn *fn, void *context);
// A mail born here: from `head` (copied) and the bytes of `message` (taken). Without `fn` it leaves
// once it is durable.
void queue_own(struct queue *self, const Postern__Held *head, struct buffer *message, notice_fn *fn,
               void *context);
void queue_take_again(struct queue *self);
void queue_untaken_free(struct queue *self);

// queue_move.c
void queue_move_old(struct queue *self);
void queued_move(struct queued *mail); // now, if it may move
void queue_sweep(struct queue *self);  // unlinks files that no record names

// queue_replay.c
struct replay;
struct replay *replay_new(void);
void replay_free(struct replay **self);

// queue_load.c
void queued_load(struct queued *mail); // reads a held mail's bytes, then tries it
void queued_unload(struct queued *mail);
// Where the message begins behind a record's head; 0 when the record cannot be one.
size_t held_head_end(const void *record, size_t size);
