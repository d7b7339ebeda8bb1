// SPDX-License-Identifier: Apache-2.0
#pragma once

// What one delivery slot has in custody (DESIGN 4 and 5), sans-I/O: jobs of the ingresses until
// their outcomes are acknowledged, deferred mail until it has ended, the quarantine's index,
// release orders. Events and the clock come in as calls, actions leave through `struct queue_ops`,
// so that the same code runs in postern-delivery and under a simulator.
//
// One queue is one slot and its journal: the process's own, or one that it adopted.
#include "core/base/slot.h"
#include "core/base/ulid.h"
#include "core/bus/bus.h"
#include "core/journal/journal.h"
#include "delivery/client.h"
#include "delivery/schedule.h"
#include "proto/delivery.pb-c.h"
#include "proto/event.pb-c.h"
#include "proto/job.pb-c.h"

struct queue;
struct queued; // a mail in it, or that part of a mail which one job gave

// Maps the payload of a message record; the bytes are valid until `unmap`. NULL with errno.
struct mapped {
    const void *payload;
    void *handle;
    void *owner;
};

struct queue_ops {
    int64_t (*now_ms)(void *io); // wall clock
    NODISCARD int (*append)(void *io, unsigned type, int reserved, const struct iovec *pieces,
                            int count, journal_fn *fn, void *context, struct position *ret_where);
    void (*release)(void *io, struct position where);
    void (*release_ended)(void *io, struct position ended, struct position end);
    void (*release_after)(void *io, struct position ended, struct position end);
    // A record with an event is durable: it may go to node.
    void (*committed)(void *io, struct position where, const void *event, size_t size);
    // As bus_send, to an ingress.
    NODISCARD int (*send)(void *io, unsigned ingress, enum bus_type type,
                          const ProtobufCMessage *message);
    uint64_t (*ingresses)(void *io); // slots that have a folder, a bit each
    NODISCARD int (*map)(void *io, unsigned ingress, const Postern__Place *place,
                         struct mapped *ret);
    void (*unmap)(void *io, struct mapped *mapped);
    // Runs `work` where it may block, then `done` here, in order.
    NODISCARD int (*work)(void *io, journal_work_fn *work, journal_worked_fn *done, void *context);
    // A copy of a record's payload from this queue's journal, from malloc. Blocks: only within
    // `work`.
    void *(*read)(void *io, struct position where);
    uint64_t (*oldest)(void *io); // segment that is kept
    uint64_t (*random)(void *io);
    // Tries the mail's open recipients: queue_begun and queue_results follow for them, in one or
    // several parts.
    void (*deliver)(void *io, struct queued *mail);
};

struct queue_options {
    const char *state; // folder
    const char *hostname;
    unsigned slot;
    uint64_t incarnation;
    struct schedule schedule;
};

enum { QUEUE_CREDIT = 256 };

struct queue *queue_new(const struct queue_ops *ops, void *io, const struct queue_options *options);
void queue_destroy(struct queue **self);
// The configuration has changed.
void queue_reschedule(struct queue *self, const struct schedule *schedule);

// Replay: journal_visit_fn, then once queue_recovered.
void queue_replay(void *self, unsigned type, struct position where, const void *payload);
void queue_recovered(struct queue *self);

// From the pipes; what is not meant for this incarnation is ignored. Takes the job.
void queue_hello(struct queue *self, const Postern__Hello *hello);
void queue_job(struct queue *self, Postern__DeliveryJob *job);
void queue_acknowledged(struct queue *self, const Postern__OutcomeAck *ack);
void queue_refuse_jobs(struct queue *self); // credit 0 from now on

// From delivering. `at` are places in the mail's recipients, as in `results`; texts are copied.
void queue_begun(struct queued *mail, const unsigned *at, size_t count);
void queue_results(struct queued *mail, const unsigned *at, const struct client_recipient *results,
                   size_t count, const char *hop);

// At the end of each turn of the loop: tells outcomes, reports what is held. 1: a report is not at
// its end, so a turn is to follow soon.
int queue_flush(struct queue *self);
// About every second: what is due, what could not be written, what has to move.
void queue_tick(struct queue *self);

size_t queue_held(const struct queue *self); // mails deferred
size_t queue_jobs(const struct queue *self); // mails of jobs under way
// Messages whose outcome an ingress has not acknowledged, and jobs.
size_t queue_claims(const struct queue *self);
// When the oldest deferred mail was received, 0: none.
int64_t queue_oldest_ms(const struct queue *self);
int queue_empty(const struct queue *self); // nothing is left that the slot must be kept for
unsigned queue_slot(const struct queue *self);

// -- orders of an operator (queue_order.c); `id` NULL: every mail. They say how many mails they
// touched.
typedef void queue_each_fn(void *context, const struct queued *mail);
size_t queue_each(struct queue *self, const struct ulid *id, size_t most, queue_each_fn *fn,
                  void *context);                               // held mails
size_t queue_retry(struct queue *self, const struct ulid *id);  // tries them now, held back or not
size_t queue_freeze(struct queue *self, const struct ulid *id); // holds them back until queue_retry
size_t queue_discard(struct queue *self, const struct ulid *id);
