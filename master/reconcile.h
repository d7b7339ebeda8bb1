// SPDX-License-Identifier: Apache-2.0
#pragma once

// One comparison of what two masters hold, without I/O. The same question goes to the peer and to
// our own store, first about all streams, then about the ranges of one that differs, then about the
// rows of a range that differs; what we lack can be fetched. What the peer lacks it fetches itself.
#include "master/holdings.h"

struct reconcile;

// Where two records differ: one line for each range.
struct reconcile_difference {
    char node[HOLDINGS_NODE];
    uint64_t epoch, first, last; // sequences, of the rows that one side lacks
    uint64_t missing_here, missing_there;
};
enum { RECONCILE_DIFFERENCES = 256 }; // named; more are only counted

// Of a stream only what lies up to and with `upto` is compared.
struct reconcile_limit {
    char node[HOLDINGS_NODE];
    uint64_t epoch, upto;
};

struct reconcile_report {
    int complete; // else an answer was missing or wrong
    uint64_t streams, missing_here, missing_there, fetched;
    struct reconcile_difference differences[RECONCILE_DIFFERENCES];
    size_t difference_count;
    // How far either side has each stream.
    struct reconcile_limit reach[HOLDINGS_STREAMS];
    size_t reach_count;
};

// The other side of the answers: reconcile_theirs, reconcile_ours and reconcile_stored are called
// later, never from within these. -1: it cannot be done now, and the comparison ends.
struct reconcile_ops {
    int (*ask)(void *context, enum control_type type, const Postern__PeerAsk *ask);
    int (*look)(void *context, enum control_type type, const Postern__PeerAsk *ask);
    // Takes events that the peer sent: they are what was asked for.
    int (*store)(void *context, const char *node, uint64_t epoch,
                 const Postern__PeerAnswer *events);
    // May destroy the comparison.
    void (*done)(void *context, const struct reconcile_report *report);
    void *context;
};

// `fetch`: what we lack is fetched, else it is only counted. Limits are copied.
struct reconcile *reconcile_new(uint64_t round, int fetch, const struct reconcile_limit *limits,
                                size_t limit_count, const struct reconcile_ops *ops);
void reconcile_destroy(struct reconcile **self);
void reconcile_start(struct reconcile *self);
// Answers, NULL for none; taken over. What does not answer the question at hand is ignored.
void reconcile_theirs(struct reconcile *self, enum control_type type, Postern__PeerAnswer *answer);
void reconcile_ours(struct reconcile *self, Postern__PeerAnswer *answer);
void reconcile_stored(struct reconcile *self);
void reconcile_give_up(struct reconcile *self); // no answer will come; ends in `done`
