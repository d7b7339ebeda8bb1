// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who has which message: the peers of a custody (analyzers and deliveries), and the jobs each
// holds.
#include "ingress/custody.h"

enum recipient_state {
    RECIPIENT_WAITING, // to be given to a delivery
    RECIPIENT_GIVEN,   // a job holds it
    RECIPIENT_ENDING,  // its end is appended, not yet durable
    RECIPIENT_ENDED,
};

// After a delivery's report: what it did not name is looked for, part by part.
struct walk {
    unsigned round; // of the report, 0: none is under way
    uint64_t incarnation;
    struct job *next; // to be looked at
};

struct peer {
    enum stage stage;
    unsigned slot;
    uint64_t incarnation; // of its last complete Welcome; 0: never heard
    int present;          // its socket is there
    unsigned credit;      // jobs it takes from us
    unsigned round;       // of the last Hello sent
    int64_t heard_ms;     // last Welcome
    struct job *jobs;
    unsigned job_count;
    uint64_t bytes; // in the jobs
    struct walk walk;
};

// One job given to a peer, or claimed by it in its report.
struct job {
    struct job *next, *previous; // of the peer
    struct job *mail_next;       // of the mail
    struct peer *peer;
    struct mail *mail;
    uint64_t incarnation; // of the peer that got it
    unsigned round;       // the peer's Hello round when it was sent
    unsigned seen;        // the last report round that named it
    int begun;
    int64_t sent_ms;
    size_t recipient_count; // 0: an analysis
    uint32_t recipients[];
};

struct job *job_new(struct peer *peer, struct mail *mail, const uint32_t *recipients, size_t count,
                    int64_t now_ms);
void job_end(struct job *self); // unlinks from peer and mail, frees
int job_holds(const struct job *self, uint32_t recipient);
void job_drop(struct job *self, uint32_t recipient); // no longer holds it
