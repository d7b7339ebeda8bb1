// SPDX-License-Identifier: Apache-2.0
#pragma once

// A message under examination and what was found out about it.
#include "analyzer/unpack.h"
#include "mail/mime.h"
#include "mail/settings.h"
#include "proto/envelope.pb-c.h"

enum { EVIDENCE_MOST = 200, ALL_RECIPIENTS = -1 };

// Which rule of the policy a finding falls under, besides its score.
enum finding_class {
    FINDING_SCORE,     // the score alone counts
    FINDING_VIRUS,     // on_virus
    FINDING_AMBIGUOUS, // on_ambiguous
    FINDING_LIMIT,     // on_limit
    FINDING_TIMEOUT,   // on_timeout
    FINDING_BLOCKED,   // on_blocked
    FINDING_ALLOWED,   // scores do not count
};

struct finding {
    const char *name;     // a literal: lower case with dashes
    const char *sentence; // a literal, for a person
    enum finding_class class;
    double score;
    int recipient;                // whom it concerns; ALL_RECIPIENTS
    char evidence[EVIDENCE_MOST]; // printable
};

struct examination {
    const Postern__Envelope *envelope;
    struct span message;
    const struct settings *settings;
    struct mime *mime;
    struct finding *findings; // one of a name for each recipient at most
    size_t finding_count, finding_capacity;
    unsigned checks; // executed so far
    struct unpack_totals unpacked;
    int64_t until_us; // work bound to the processor ends then (monotonic)
};

// Adds a finding unless it is there already (same name and recipient). `evidence` may come from the
// message: it is made printable and cut.
void examination_find(struct examination *self, const struct finding *finding, const char *evidence,
                      size_t size);
void examination_free(struct examination *self); // what it holds of its own
const struct finding *examination_found(const struct examination *self, const char *name);
