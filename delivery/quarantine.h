// SPDX-License-Identifier: Apache-2.0
#pragma once

// The quarantine as one delivery slot knows it: a file for each mail, quarantine/<day>/<id>; a
// record for each job that brought recipients of it; and the orders to release or delete (DESIGN
// 10), each done once however often it comes.
#include "delivery/queue.h"

enum quarantine_state {
    QUARANTINE_HELD,
    QUARANTINE_RELEASING,
    QUARANTINE_RELEASED,
    QUARANTINE_FAILED, // the release was refused for good
    QUARANTINE_DELETED,
    QUARANTINE_UNSURE, // the delivery died in two tries of the release: perhaps delivered
};

// Files the job's mail and records it, then tells its outcome.
void quarantine_job(struct queued *mail);

struct quarantine_order {
    struct ulid id;
    struct span key;              // names the order in its events
    const struct span *addresses; // recipients meant; none: all of them
    size_t address_count;
    uint32_t round; // of a release: a higher one releases again
    // Another worker is to take the mail over from this one: what is begun ends here, nothing else
    // begins. Empty: none.
    struct span fence;
    // The mail is another worker's: this one takes it over, with the recipient and the day.
    int adopts;
    uint32_t recipient;
    struct span day;
};

// Carries it out, or tells what became of it: "pending", "released", "failed", "unsure", "deleted",
// "deleted before", "unknown", "fenced NAME" (nothing more is done here), "adopted" (order it once
// more).
const char *quarantine_release(struct queue *self, const struct quarantine_order *order);
const char *quarantine_delete(struct queue *self, const struct quarantine_order *order);

// For queue*.c.
int quarantine_replay(struct queue *self, struct position where, const void *payload);
int quarantine_replay_order(struct queue *self, struct position where, const void *payload);
void quarantine_replay_release(struct queued *mail); // a release is in the journal
// A try of a release leaves once it is counted durably; an end that is known takes it back.
void quarantine_try(struct queued *mail);
void quarantine_tried(struct queued *mail);
// After the replay: the delivery died in two of its tries, and now its outcome is `unsure`.
int quarantine_unsure(struct queued *mail);
void quarantine_recovered(struct queue *self);
void quarantine_released(struct queued *mail, const unsigned *at, size_t count,
                         Postern__Disposition disposition);
void quarantine_copy(struct queue *self,
                     uint64_t segment); // copies forward what stands in that segment
void quarantine_free(struct queue *self);
