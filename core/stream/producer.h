// SPDX-License-Identifier: Apache-2.0
#pragma once

// The outbox of a node as rules, without I/O (DESIGN 6): which sequence comes next, what each
// master has acknowledged, which records may go, where a replay is to be read. Sequences count from
// 1 within an epoch. A record holds a run of events.
#include "core/journal/journal.h"

enum { PRODUCER_MASTERS_MOST = 2 };

struct producer_record {
    uint64_t first; // sequence of its first event; 0: void, it belongs to an epoch that has ended
    struct position where;
    uint32_t count;
    uint32_t time_s;
    // Drawn at random for each record. Where a worker's disk was put back and its numbers were used
    // anew, a master's mark for such a number shows it.
    uint64_t mark;
};

struct producer_master {
    char key[41];
    uint64_t incarnation, epoch, upto; // what it acknowledged last
    uint64_t life;                     // of the process that said hello
    // It has said hello since we started. What the disk remembers of it may have been voided
    // meanwhile: good for telling the master, not for trimming.
    int greeted;
};

struct producer {
    uint64_t epoch;
    uint64_t last; // durable; the next event gets last + 1
    uint64_t mark; // of the record that `last` stands in; 0: there was none in this epoch
    struct producer_master masters[PRODUCER_MASTERS_MOST];
    unsigned master_count;
    struct producer_record *records; // [start .. end), oldest first
    size_t start, end, capacity;
};

void producer_init(struct producer *self);
void producer_free(struct producer *self);
void producer_add_master(struct producer *self, const char *key);
// The member masters are these from now on; what is known of those that stay is kept. Nobody waits
// for one that left.
void producer_set_masters(struct producer *self, const char *const *keys, unsigned count);

// At start: a record found in the outbox, oldest first. 0: kept; -1: it was appended twice, release
// it.
NODISCARD int producer_found(struct producer *self, uint64_t epoch,
                             const struct producer_record *record);
// At start, after the records: what the newest one remembers of a master.
void producer_remember(struct producer *self, const struct producer_master *master);
// At start, at last: an outbox without records begins this epoch. Later: the disk was rolled back,
// all that was numbered in the old epoch is void.
void producer_begin(struct producer *self, uint64_t epoch);

// A record with the next `count` events is durable.
void producer_durable(struct producer *self, uint32_t count, uint32_t time_s, uint64_t mark,
                      struct position where);

enum producer_hello {
    PRODUCER_AGREED,
    PRODUCER_BEHIND, // the master has events that we do not: our disk was rolled back
};
// A master says who it is, what it has, and the mark of the record that this ends in (0: it knows
// none). Another mark than ours means that it has other events under our numbers.
struct producer_word {
    uint64_t incarnation, life, epoch, upto, mark;
};
enum producer_hello producer_hello(struct producer *self, unsigned master,
                                   const struct producer_word *word);
// An acknowledgement of another incarnation or life than the last hello's, or of what was never
// sent, is void.
enum producer_hello producer_acknowledge(struct producer *self, unsigned master,
                                         const struct producer_word *word);
// What all masters have; with no master: nothing.
uint64_t producer_acknowledged(const struct producer *self);

uint64_t producer_first_kept(const struct producer *self); // last + 1 when nothing is
// Takes the oldest record out when every master has it. The newest stays: it knows the cursors. 1,
// or 0.
int producer_trim(struct producer *self, struct position *ret_where);
// Takes the oldest out although a master lacks it. 1, or 0: only the newest is left.
int producer_cut(struct producer *self, struct producer_record *ret);
const struct producer_record *producer_oldest(const struct producer *self); // NULL: none
// The record that holds the sequence, or the first kept one after it. NULL: there is none. The
// records that follow lie behind it, `ret_count` in all. Valid until the next call that changes.
const struct producer_record *producer_find(const struct producer *self, uint64_t sequence,
                                            size_t *ret_count);
