// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ingress's custody of the messages in one journal (DESIGN 4 and 5), sans-I/O: events and the clock
// come in as calls, actions leave through `struct custody_ops`, so that the same code runs in
// ingress and under the simulator of tests/model.
//
// One custody is one ingress slot: the process's own, or one that it adopted.
#include "core/base/slot.h"
#include "core/base/ulid.h"
#include "core/bus/bus.h"
#include "core/journal/journal.h"
#include "ingress/spool.h"
#include "proto/event.pb-c.h"
#include "proto/job.pb-c.h"

struct custody;
struct mail;

struct custody_ops {
    int64_t (*now_ms)(void *io); // wall clock
    NODISCARD int (*append)(void *io, unsigned type, const struct iovec *pieces, int count,
                            journal_fn *fn, void *context, struct position *ret_where);
    void (*release)(void *io, struct position where);
    void (*release_ended)(void *io, struct position ended, struct position end);
    void (*release_after)(void *io, struct position ended, struct position end);
    // A record with an event is durable: it may go to node.
    void (*committed)(void *io, struct position where, const void *event, size_t size);
    // As bus_send: -1 when the peer cannot take it now; nothing was queued then.
    NODISCARD int (*send)(void *io, enum stage stage, unsigned slot, enum bus_type type,
                          const ProtobufCMessage *message);
    int (*locked)(void *io, enum stage stage, unsigned slot); // is the slot's lock held?
    uint64_t (*existing)(void *io, enum stage stage); // slots that have a folder, a bit each
    // The message has ended and nobody will ask for its bytes again.
    void (*ended)(void *io, const Postern__Envelope *envelope);
    // An analyzer examined the message, once.
    void (*judged)(void *io, const Postern__Envelope *envelope, const Postern__Verdict *verdict);
};

struct custody_limits {
    int64_t verdict_wait_ms;  // how long a client waits for a verdict before its 250
    int64_t job_timeout_ms;   // for one analysis
    int64_t analysis_wait_ms; // without any analyzer, before the policy decides; counted in this
                              // process
    int64_t silent_ms; // an analyzer that has not answered a Hello for so long gets its unbegun
                       // jobs taken back
    unsigned looked_at_once; // jobs that one turn looks at when a report has ended
};

struct custody *custody_new(const struct custody_ops *ops, void *io, unsigned slot,
                            uint64_t incarnation, const struct custody_limits *limits);
void custody_destroy(struct custody **self);
void custody_limits(struct custody *self, const struct custody_limits *limits);

// Replay: a visit for each record found (journal_visit_fn), then once custody_recovered.
void custody_replay(void *self, unsigned type, struct position where, const void *payload);
void custody_recovered(struct custody *self);

// A new message: head (spooled_head) and bytes. Takes the envelope. NULL: answered within the call
// (journal refused it).
struct mail *custody_accept(struct custody *self, Postern__Envelope *envelope,
                            const struct iovec *pieces, int count, answer_fn *fn, void *context);
// Its client left before the answer.
void custody_forget(struct mail *mail);

// From the pipes; what does not belong to this incarnation is ignored.
void custody_welcome(struct custody *self, const Postern__Welcome *welcome);
void custody_begun(struct custody *self, const Postern__AnalyzerBegun *begun);
void custody_verdict(struct custody *self, Postern__Verdict *verdict); // takes it
void custody_delivery_begun(struct custody *self, const Postern__DeliveryBegun *begun);
void custody_outcome(struct custody *self, const Postern__Outcome *outcome);
void custody_peer(struct custody *self, enum stage stage, unsigned slot, int present);

// Is there no room for more quarantined mail? Then who would have it quarantined hears 452.
void custody_quarantine_full(struct custody *self, int full);

// To be called about every 100 ms: deadlines, waiting clients; says Hello to every peer each
// second.
void custody_tick(struct custody *self);

size_t custody_count(const struct custody *self);      // messages in custody
size_t custody_unanswered(const struct custody *self); // whose client still waits
int64_t custody_oldest_ms(
    const struct custody *self); // age of the oldest that waits for an analyzer, 0: none waits
int custody_knows(const struct custody *self, const struct ulid *id);
unsigned custody_slot(const struct custody *self);
