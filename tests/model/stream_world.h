// SPDX-License-Identifier: Apache-2.0
#pragma once

// A simulated cluster around the real stream code: stages with journals, a node with its outbox
// (core/stream/producer, core/stream/cursors), two masters (master/tracker) with their stores that
// compare what they hold (master/reconcile), a lossy PUB and control sessions that break. Disk,
// network and clock are driven by one seed, each step by one of its own: a step that is left out
// changes nothing of what the others draw.
#include "core/stream/cursors.h"
#include "core/stream/producer.h"
#include "master/tracker.h"

enum {
    STAGES = 2,
    MASTERS = 2,
    EVENTS_MOST = 256,  // of a schedule; an event is its number, from 1
    RECORDS_MOST = 512, // of the outbox's disk
    BATCH_MOST = 8,     // events of an outbox record
    ROWS_MOST = 2048,   // of a master's store
    WIRE_MOST = 2048,   // messages under way
    STEPS_MOST = 2000,  // of a schedule
    SEGMENT_RECORDS = 3,
};

// Rules of the design that a run can be made to break (tests of the test).
enum stream_rule {
    STREAM_RULE_COMMIT_FIRST,  // a master acknowledges only what its store has committed
    STREAM_RULE_ALL_ACKS,      // only what every master has is trimmed
    STREAM_RULE_DURABLE_FIRST, // published only after durable
    STREAM_RULE_LAST_TOLD,     // heartbeats and hellos tell the last sequence: a lost tail shows
    STREAM_RULE_KEEP,          // what a master lacks is not trimmed by age
    STREAM_RULE_PEERS,         // masters give each other what is trimmed at the worker
    STREAM_RULE_INCARNATION,   // a master that was rolled back voids its old acknowledgements
    STREAM_RULE_EPOCH,         // a worker that was rolled back begins a new epoch
    STREAM_RULE_SETTLED,       // a new epoch is told, and the old one trimmed, once it is durable
    STREAM_RULE_OWED,          // a node that is behind is answered once what was taken is committed
    STREAM_RULE_GREETED,    // what a restart remembers of a master does not trim before its hello
    STREAM_RULE_CURSORS,    // the cursors stand in the record of the events
    STREAM_RULE_FOLLOWS_ON, // node takes no records that do not follow on what it has
    STREAM_RULE_MARKS,     // numbers used anew are told from the first ones by their records' marks
    STREAM_RULE_LIVES,     // what a master acknowledged before it started last is void
    STREAM_RULE_ACK_MARKS, // an acknowledgement says by a mark which events it means
    STREAM_RULES
};

extern const char *const stream_rule_names[STREAM_RULES];

// What the worlds of a schedule have more of than others, a bit each.
enum stream_worlds {
    STREAM_WORLDS_MASTER_BACK = 1 << 0, // the disaster: a master is put back to a backup
    STREAM_WORLDS_WORKER_BACK = 1 << 1, // the disaster: a worker's disk is put back
    STREAM_WORLDS_MET = 1 << 2,      // then, it takes nothing new before both masters have answered
    STREAM_WORLDS_STALE = 1 << 3,    // what masters say arrives late, and after its session
    STREAM_WORLDS_RESTLESS = 1 << 4, // node dies and starts often
    STREAM_WORLDS_SLOW = 1 << 5,     // masters commit seldom
    STREAM_WORLDS_LATE = 1 << 7,     // what is published arrives late
    STREAM_WORLDS_APART = 1 << 6,    // links break and mend often
};

enum wire_kind {
    WIRE_NODE_HELLO,
    WIRE_MASTER_HELLO,
    WIRE_ACK,
    WIRE_REPLAY,
    WIRE_PUBLICATION, // replayed: on the control session; else on PUB
    WIRE_HEARTBEAT,
};

struct wire {
    enum wire_kind kind;
    unsigned master;
    unsigned session; // messages of one session and direction stay in order
    int replayed;
    uint64_t incarnation, epoch, first, last; // first, last: also from, to and upto
    uint64_t ack_incarnation, ack_epoch, ack_upto;
    uint64_t mark, before;
    unsigned count;
    unsigned generation; // of a master: how often it was rolled back
    uint64_t life;
    uint16_t events[BATCH_MOST];
};

// A stage's journal: the numbers of its events in order; those below `released` are gone.
struct stage_journal {
    uint16_t events[EVENTS_MOST];
    unsigned count, released;
    unsigned told; // sent to node up to here
};

struct outbox_record {
    uint32_t id;
    int ghost; // its sync failed: a crash may call it back until a later one is durable
    uint64_t epoch, first, mark, before;
    unsigned count;
    uint16_t events[BATCH_MOST];
    uint32_t cursor[STAGES];
    struct producer_master acks[MASTERS];
    unsigned segment;
    int released;
    int64_t time;
};

struct gathered { // a batch that waits, or is being written
    unsigned count;
    uint16_t events[BATCH_MOST];
    uint32_t cursor[STAGES]; // after it; 0: unchanged
};

struct sim_node {
    int up;
    struct producer producer;
    struct cursors accepted, committed;
    struct gathered pending, writing;
    int is_writing;
    struct outbox_record record; // of `writing`
    uint32_t last_id;
    int unsettled;    // nothing of the new epoch is durable: it is not told
    unsigned greeted; // masters that have answered since the start, a bit each
    struct outbox_record disk[RECORDS_MOST];
    size_t disk_count;
    unsigned segment;       // of the disk, current
    uint32_t apart[STAGES]; // cursors on a disk of their own (without STREAM_RULE_CURSORS)
    unsigned session[MASTERS];
    struct outbox_record backup[RECORDS_MOST]; // what a roll-back brings back
    size_t backup_count;
};

struct row {
    uint64_t epoch, sequence, hash;
    uint16_t event;
    int from_peer;
};

struct chunk { // with the store's writer
    uint64_t epoch, first, previous, mark;
    int begins;
    unsigned count, skip;
    uint16_t events[BATCH_MOST];
};

struct sim_master {
    int up;
    uint64_t incarnation, life;
    struct tracker tracker;
    uint64_t base;
    struct chunk writing[64];
    size_t writing_count;
    int renewing; // a new incarnation is being written
    unsigned generation;
    unsigned char had[EVENTS_MOST + 1]; // durable here, as far as node can know
    struct row rows[ROWS_MOST];         // durable, as is what follows
    size_t row_count;
    uint64_t epoch, watermark, mark;
    int link;
    struct row backup[ROWS_MOST];
    size_t backup_count;
    uint64_t backup_epoch, backup_watermark, backup_mark;
};

struct comparison;

struct stream_world {
    uint64_t drawn; // where the random numbers are
    unsigned without, worlds;
    int trace, healing;
    int64_t now_ms;
    struct stage_journal stages[STAGES];
    unsigned event_count;
    unsigned char excused[EVENTS_MOST + 1]; // of what a worker's disk lost
    unsigned char trimmed[EVENTS_MOST + 1]; // both masters had it then
    unsigned char stage_of[EVENTS_MOST + 1];
    struct sim_node node;
    struct sim_master masters[MASTERS];
    struct comparison *comparisons[MASTERS]; // each master's own
    struct wire wires[WIRE_MOST];
    size_t wire_count;
    unsigned crashes, replays, epochs;
    int rolled_back; // the worker's disk, once in a schedule
    char broken[256];
};

struct stream_schedule {
    uint64_t seed;
    unsigned without;              // rules that are switched off, a bit each
    unsigned worlds;               // enum stream_worlds
    const unsigned char *left_out; // a byte for each of STEPS_MOST; NULL: none is
    int trace;                     // prints each step in words
};

struct stream_result {
    char broken[256];
    unsigned steps, events, crashes, replays, epochs;
};

void stream_world_run(const struct stream_schedule *schedule, struct stream_result *ret);

// Finds steps without which the schedule breaks as well, and marks them in `ret_left_out`, of
// STEPS_MOST. Returns how many are left of its steps.
unsigned stream_shrink(const struct stream_schedule *schedule, unsigned char *ret_left_out);

// For the parts of the world.
uint64_t stream_random(struct stream_world *self, uint64_t below);
int stream_with(const struct stream_world *self, enum stream_rule rule);
void stream_say(const struct stream_world *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void stream_broken(struct stream_world *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void stream_send_wire(struct stream_world *self,
                      const struct wire *wire); // dropped when the link is down

void stream_node_start(struct stream_world *self);
void stream_node_crash(struct stream_world *self);
void stream_node_roll_back(struct stream_world *self);
void stream_node_take(struct stream_world *self, unsigned stage); // what a stage sends
void stream_node_append(struct stream_world *self);
void stream_node_sync(struct stream_world *self);
void stream_node_trim(struct stream_world *self);
void stream_node_beat(struct stream_world *self);
void stream_node_hello(struct stream_world *self, unsigned master);
void stream_node_receive(struct stream_world *self, const struct wire *wire);

void stream_master_start(struct stream_world *self, unsigned master);
void stream_master_crash(struct stream_world *self, unsigned master);
void stream_master_roll_back(struct stream_world *self, unsigned master, int to_nothing);
void stream_master_commit(struct stream_world *self, unsigned master);
void stream_master_tick(struct stream_world *self, unsigned master);
void stream_master_receive(struct stream_world *self, const struct wire *wire);
// Adds a row to its store, as SQLite's would.
void stream_master_keep(struct stream_world *self, unsigned master, const struct row *row);

// The master's comparison with its peer goes on by one answer; the first begins it. 1: it goes on;
// 0: it has ended.
int stream_master_compare(struct stream_world *self, unsigned master);
void stream_masters_part(struct stream_world *self); // one of them is gone: comparisons end

// At the end of a schedule everything is mended, and both masters must hold everything.
void stream_heal(struct stream_world *self);
void stream_check(struct stream_world *self);

int stream_may_take(const struct stream_world *self); // node, of its stages

// One of the messages under way arrives, or is lost.
void stream_deliver(struct stream_world *self);
void stream_break_link(struct stream_world *self, unsigned master); // or mends it
