// SPDX-License-Identifier: Apache-2.0
#pragma once

// A simulated worker around the real custody code: disk, analyzers, deliveries, next hop and clock,
// all driven by one seed. Every step is one thing that could happen next; every death can come
// between two steps.
#include "ingress/custody.h"

enum { ANALYZERS = 2, DELIVERIES = 2, MAILS_MOST = 64, RECIPIENTS_MOST = 3 };

// Rules of the design that a run can be made to break (tests of the test).
enum rule {
    RULE_SYNC,            // durable is said only after the sync
    RULE_REPORT,          // a delivery reports what its journal holds
    RULE_WAIT_REPORTS,    // a restarted ingress waits for every delivery slot
    RULE_KEEP_OUTCOME,    // a delivery keeps an outcome until it is acknowledged
    RULE_INCARNATION,     // a delivery drops jobs made for another incarnation
    RULE_OLD_SENDER,      // ... and those sent by an older ingress
    RULE_CUSTODY_FIRST,   // deferred and quarantined are durable before that outcome leaves
    RULE_REPLAY_DONE,     // what is done stays done
    RULE_REPLAY_COUNT,    // deaths are counted durably
    RULE_DONE_SYNCED,     // 550 and acknowledgement leave once the end is durable
    RULE_ABANDONED,       // 451 for a failed sync leaves once that is durable
    RULE_REWRITE,         // what else stood in a failed batch is appended again
    RULE_COMMIT_REPLAY,   // what replay finds above the last commit is committed before anyone acts
    RULE_END_OUTLIVES,    // an end stays until the message it ends is unlinked
    RULE_TERMINAL_FREE,   // a record may go only when its message has ended
    RULE_FAILED_SYNC,     // a failed sync is failed: a second one that succeeds proves nothing
    RULE_LATE_REJECT,     // a reject after the 250 becomes quarantine
    RULE_TWO_DEATHS,      // a message that two analyzers died on is quarantined
    RULE_DELIVERY_DEATHS, // ... and one that two deliveries died on, unopened
    RULE_ACK_UNKNOWN,     // an outcome for a message that has ended is acknowledged
    RULES
};

extern const char *const rule_names[RULES];

struct world;

// What a run found wrong: empty, or words.
struct result {
    char broken[256];
    unsigned long steps, kills, accepted, rejected, put_off, duplicates;
};

// One schedule. `trace` prints each step.
void world_run(uint64_t seed, unsigned mails, unsigned faults, int without, int trace,
               struct result *ret);
