// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the two halves of the simulated worker share: the world (disk, client, next hop, books) and
// its stages (analyzers, deliveries, the pipes to them).
#include "core/base/ulid.h"
#include "core/bus/bus.h"
#include "tests/model/custody_world.h"

enum { RECORDS_MOST = 4096, FRAMES_MOST = 4096, JOBS_MOST = 256 };

struct entry_on_disk {
    unsigned type;
    uint8_t *bytes;
    uint32_t size;
    enum { NEW, WRITTEN, DURABLE, FAILED_SYNC } state;
    journal_fn *fn;
    void *context;
    int gone; // released and unlinked, or lost
};

struct frame {
    enum bus_type type;
    uint8_t *bytes;
    size_t size;
};

struct pipe {
    struct frame frames[FRAMES_MOST];
    size_t first, last;
};

// One recipient of one mail at a delivery.
struct entry {
    unsigned mail, recipient;
    enum { JOB, ENDED } kind;
    enum { NOTHING, DELIVERED, DEFERRED, QUARANTINED } what;
    int begun;
    int durable; // in its journal
    int unacknowledged;
    uint64_t told; // ingress incarnation that was told
};

struct process {
    int alive, stopped;
    uint64_t incarnation;
    uint64_t heard;   // newest ingress incarnation that said Hello
    uint64_t greeted; // newest ingress incarnation whose Hello is in the pipe, or was
    struct pipe in, out;
    struct entry entries[JOBS_MOST];
    size_t entry_count;
    struct {
        unsigned mail, attempt;
        uint64_t sender;
        int begun;
    } analysing[64];
    size_t analysing_count;
};

// DEADLY to analyzers, FATAL to deliveries.
enum fate { CLEAN, SPAM, REFUSED, MIXED, DROPPED, DEADLY, FATAL, FATES };

struct post {
    struct ulid id;
    enum fate fate;
    unsigned recipients;
    enum { UNSENT, WAITING, ACCEPTED, REJECTED, PUT_OFF, CLOSED, LEFT } client;
    struct mail *mail;
    unsigned accepted[RECIPIENTS_MOST]; // by the next hop
    unsigned window[RECIPIENTS_MOST];   // repeats allowed
    unsigned kept[RECIPIENTS_MOST];     // quarantined, or deferred for good
    unsigned done[RECIPIENTS_MOST];     // durable done events
    unsigned deaths, delivery_deaths;
};

struct world {
    uint64_t random;
    int64_t now;
    int without, trace;
    struct custody *custody;
    uint64_t ingress;
    struct entry_on_disk records[RECORDS_MOST];
    size_t record_count;
    struct process analyzers[ANALYZERS], deliveries[DELIVERIES];
    struct post posts[MAILS_MOST];
    unsigned mails, faults, hidden;
    int unknown; // the outcome being read is of no message in custody
    uint64_t next_incarnation;
    struct result *result;
};

uint64_t world_draw(struct world *self, uint64_t below); // below 0: nothing drawn from
void world_say(const struct world *self, const char *format, ...);
void world_broken(struct world *self, const char *format, ...); // the first one counts
int world_off(const struct world *self, enum rule rule);
struct post *world_post_of(struct world *self, const ProtobufCBinaryData *id);

// custody_stages.c
void pipe_add(struct pipe *pipe, enum bus_type type, const ProtobufCMessage *message);
struct frame *pipe_take(struct pipe *pipe); // NULL: empty
void pipe_clear(struct pipe *pipe);
void pipe_overtake(struct pipe *pipe); // the last frame becomes the first
void world_analyzer_step(struct world *self, unsigned slot);
void world_delivery_step(struct world *self, unsigned slot);
void world_die(struct world *self, struct process *process); // what it had not durably is gone
