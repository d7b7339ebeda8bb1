// SPDX-License-Identifier: Apache-2.0
#pragma once

// A queue in a world of its own: a journal in memory whose records become durable when told to, an
// ingress that listens, a next hop that is the test itself.
#include "core/base/log.h"
#include "core/journal/record.h"
#include "delivery/queue.h"
#include "delivery/queued.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORLD_RECORDS = 4096, WORLD_MAILS = 256, WORLD_SLOT = 3, WORLD_INGRESS = 1 };

enum world_life { LIFE_WRITTEN, LIFE_DURABLE, LIFE_RELEASED, LIFE_LOST };

struct world_record {
    unsigned type;
    enum world_life life;
    char *payload;
    uint32_t size;
    journal_fn *fn;
    void *context;
    int was_durable; // at any time
    size_t outlives; // record + 1 that it must outlive, 0: none
};

struct world_outcome {
    struct ulid id;
    uint32_t recipient;
    int disposition;
};

struct world {
    struct queue *queue;
    uint64_t incarnation, ingress_incarnation;
    int64_t now_ms;
    struct world_record records[WORLD_RECORDS];
    size_t record_count;
    struct queued *delivering[WORLD_MAILS]; // given to us to deliver
    size_t delivering_count;
    struct world_outcome outcomes[WORLD_RECORDS];
    size_t outcome_count;
    struct world_outcome holding[WORLD_RECORDS]; // of the last report
    size_t holding_count;
    int reported;
    char *spooled; // the payload of every job
    size_t spooled_size;
    size_t events[16]; // committed, by kind
    uint64_t seed;
    int append_fails;
    char state[64];
    struct {
        journal_work_fn *work;
        journal_worked_fn *done;
        void *context;
    } works[WORLD_MAILS];
    size_t work_count;
    uint32_t round;
    int64_t orders_ms; // how long orders are remembered
    int forgets;       // a crash may take what was durable, too: a rule switched off
};

static inline uint64_t world_random(struct world *self)
{
    self->seed ^= self->seed << 13;
    self->seed ^= self->seed >> 7;
    self->seed ^= self->seed << 17;
    return self->seed;
}

// -- the queue's actions

static inline int64_t world_now(void *io)
{
    return ((struct world *)io)->now_ms;
}

static inline int world_append(void *io, unsigned type, int reserved, const struct iovec *pieces,
                               int count, journal_fn *fn, void *context, struct position *ret_where)
{
    struct world *self = io;
    (void)reserved;
    if (self->append_fails)
        return -1;
    assert_true(self->record_count < WORLD_RECORDS);
    struct world_record *record = &self->records[self->record_count++];
    *record = (struct world_record){.type = type, .fn = fn, .context = context};
    for (int i = 0; i < count; i++) {
        record->payload = reallocate(record->payload, record->size + pieces[i].iov_len + 1);
        memcpy(record->payload + record->size, pieces[i].iov_base, pieces[i].iov_len);
        record->size += (uint32_t)pieces[i].iov_len;
    }
    *ret_where = (struct position){1, (uint32_t)self->record_count, record->size};
    return 0;
}

static inline struct world_record *world_at(struct world *self, struct position where)
{
    assert_in_range(where.offset, 1, self->record_count);
    return &self->records[where.offset - 1];
}

static inline void world_release(void *io, struct position where)
{
    struct world_record *record = world_at(io, where);
    assert_int_not_equal(record->life, LIFE_RELEASED); // once only
    record->life = LIFE_RELEASED;
}

static inline void world_release_after(void *io, struct position ended, struct position end)
{
    world_release(io, end);
    world_at(io, end)->outlives = ended.offset;
}

static inline void world_release_ended(void *io, struct position ended, struct position end)
{
    world_release(io, ended);
    world_release_after(io, ended, end);
}

static inline void world_committed(void *io, struct position where, const void *bytes, size_t size)
{
    struct world *self = io;
    Postern__Event *event = postern__event__unpack(NULL, size, bytes);
    assert_non_null(event);
    assert_int_equal(world_at(self, where)->life, LIFE_DURABLE);
    self->events[event->kind] += event->n_recipients;
    postern__event__free_unpacked(event, NULL);
}

static inline void world_take_outcome(struct world *self, const Postern__Outcome *outcome)
{
    assert_int_equal(outcome->receiver, self->ingress_incarnation);
    assert_true(self->reported); // its first word is its report
    for (size_t i = 0; i < outcome->n_recipients; i++) {
        struct world_outcome *told = &self->outcomes[self->outcome_count++];
        memcpy(told->id.bytes, outcome->id.data, ULID_SIZE);
        told->recipient = outcome->recipients[i]->recipient;
        told->disposition = outcome->recipients[i]->disposition;
    }
}

static inline void world_take_welcome(struct world *self, const Postern__Welcome *welcome)
{
    assert_int_equal(welcome->to, self->ingress_incarnation);
    for (size_t i = 0; i < welcome->n_holding; i++)
        for (size_t j = 0; j < welcome->holding[i]->n_recipients; j++) {
            struct world_outcome *held = &self->holding[self->holding_count++];
            memcpy(held->id.bytes, welcome->holding[i]->id.data, ULID_SIZE);
            held->recipient = welcome->holding[i]->recipients[j];
        }
    self->reported = welcome->last;
}

static inline int world_send(void *io, unsigned ingress, enum bus_type type,
                             const ProtobufCMessage *message)
{
    struct world *self = io;
    assert_int_equal(ingress, WORLD_INGRESS);
    if (type == BUS_OUTCOME)
        world_take_outcome(self, (const Postern__Outcome *)message);
    else if (type == BUS_WELCOME)
        world_take_welcome(self, (const Postern__Welcome *)message);
    return 0;
}

static inline uint64_t world_ingresses(void *io)
{
    (void)io;
    return (uint64_t)1 << WORLD_INGRESS;
}

static inline int world_map(void *io, unsigned ingress, const Postern__Place *place,
                            struct mapped *ret)
{
    struct world *self = io;
    (void)ingress, (void)place;
    *ret = (struct mapped){.payload = self->spooled};
    return 0;
}

static inline void world_unmap(void *io, struct mapped *mapped)
{
    (void)io;
    mapped->payload = NULL;
}

static inline int world_work(void *io, journal_work_fn *work, journal_worked_fn *done,
                             void *context)
{
    struct world *self = io;
    if (self->work_count == WORLD_MAILS)
        return -1;
    self->works[self->work_count].work = work;
    self->works[self->work_count].done = done;
    self->works[self->work_count++].context = context;
    return 0;
}

static inline void *world_read(void *io, struct position where)
{
    struct world_record *record = world_at(io, where);
    return duplicate_bytes(record->payload, record->size);
}

static inline uint64_t world_oldest(void *io)
{
    (void)io;
    return 1;
}

static inline uint64_t world_random_of(void *io)
{
    return world_random(io);
}

static inline void world_deliver(void *io, struct queued *mail)
{
    struct world *self = io;
    self->delivering[self->delivering_count++] = mail;
}

static const struct queue_ops world_ops = {
    .now_ms = world_now,
    .append = world_append,
    .release = world_release,
    .release_ended = world_release_ended,
    .release_after = world_release_after,
    .committed = world_committed,
    .send = world_send,
    .ingresses = world_ingresses,
    .map = world_map,
    .unmap = world_unmap,
    .work = world_work,
    .read = world_read,
    .oldest = world_oldest,
    .random = world_random_of,
    .deliver = world_deliver,
};

// -- what happens to it

static inline void world_spool(struct world *self, const char *sender, uint32_t notify)
{
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    Postern__Recipient to[4], *list[4];
    char addresses[4][24];
    static const char message[] = "Subject: test\r\n\r\nhello\r\n";
    for (int i = 0; i < 4; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "r%d@b.example", i);
        postern__recipient__init(list[i] = &to[i]);
        to[i].address = (ProtobufCBinaryData){strlen(addresses[i]), (uint8_t *)addresses[i]};
        to[i].notify = notify;
    }
    envelope.reverse_path = (ProtobufCBinaryData){strlen(sender), (uint8_t *)(uintptr_t)sender};
    envelope.recipients = list;
    envelope.n_recipients = 4;
    envelope.received_ms = self->now_ms;
    envelope.received_field = (ProtobufCBinaryData){13, (uint8_t *)(uintptr_t) "Received: x\r\n"};
    envelope.size = sizeof(message) - 1;
    size_t size;
    char *head = spooled_head(&envelope, &size);
    free(self->spooled);
    self->spooled = reallocate(head, size + sizeof(message));
    memcpy(self->spooled + size, message, sizeof(message) - 1);
    self->spooled_size = size + sizeof(message) - 1;
}

// An incarnation begins: replays what is there.
static inline void world_start(struct world *self)
{
    struct queue_options options = {
        .state = self->state,
        .hostname = "me.example",
        .slot = WORLD_SLOT,
        .incarnation = ++self->incarnation,
        .schedule = {.first_ms = 60000,
                     .factor = 1.5,
                     .most_ms = 600000,
                     .expire_ms = 86400000,
                     .notice_ms = 0,
                     .orders_ms = self->orders_ms},
    };
    self->queue = queue_new(&world_ops, self, &options);
    size_t count = self->record_count;
    for (size_t i = 0; i < count; i++) {
        struct world_record *record = &self->records[i];
        struct position where = {1, (uint32_t)(i + 1), record->size};
        if (record->life == LIFE_LOST)
            continue;
        record->life = LIFE_DURABLE;
        record->was_durable = 1;
        record->outlives = 0;
        queue_replay(self->queue, record->type, where, record->payload);
    }
    queue_recovered(self->queue);
}

// Is what it has to outlive still there? Then so is it.
static inline int world_may_go(const struct world *self, const struct world_record *record)
{
    return record->outlives == 0 || self->records[record->outlives - 1].life == LIFE_LOST;
}

// It dies: unsynced records may be there or not, released ones may have been unlinked or not.
static inline void world_crash(struct world *self)
{
    for (size_t i = 0; i < self->work_count; i++)
        if (world_random(self) & 1)
            self->works[i].work(self->works[i].context); // a file, but nobody who heard of it
    for (size_t i = 0; i < self->record_count; i++) {
        struct world_record *record = &self->records[i];
        int open = record->life == LIFE_WRITTEN ||
                   (self->forgets && record->life == LIFE_DURABLE &&
                    record->type != RECORD_QUARANTINED) ||
                   (record->life == LIFE_RELEASED && world_may_go(self, record));
        if (open && (world_random(self) & 1))
            record->life = LIFE_LOST;
    }
    self->work_count = self->delivering_count = self->outcome_count = self->holding_count = 0;
    self->reported = 0;
    queue_destroy(&self->queue);
}

static inline void world_end(struct world *self)
{
    queue_destroy(&self->queue);
    for (size_t i = 0; i < self->record_count; i++)
        free(self->records[i].payload);
    free(self->spooled);
}

static inline void world_commit_one(struct world *self, size_t at)
{
    struct world_record *record = &self->records[at];
    record->life = LIFE_DURABLE;
    record->was_durable = 1;
    record->fn(record->context, JOURNAL_DURABLE,
               (struct position){1, (uint32_t)(at + 1), record->size});
}

// What was written is durable, file work is done, outcomes are told: until nothing more follows.
static inline void world_commit(struct world *self)
{
    size_t done = 0;
    for (int again = 1; again;) {
        again = 0;
        for (; done < self->record_count; done++) {
            if (self->records[done].life != LIFE_WRITTEN)
                continue;
            world_commit_one(self, done);
            again = 1;
        }
        size_t works = self->work_count;
        for (size_t i = 0; i < works; i++) {
            int result = self->works[i].work(self->works[i].context);
            self->works[i].done(self->works[i].context, result);
            again = 1;
        }
        memmove(self->works, self->works + works,
                (self->work_count - works) * sizeof(self->works[0]));
        self->work_count -= works;
    }
    queue_flush(self->queue);
}

static inline void world_hello(struct world *self)
{
    Postern__Hello hello = POSTERN__HELLO__INIT;
    hello.stage = STAGE_INGRESS;
    hello.slot = WORLD_INGRESS;
    hello.incarnation = self->ingress_incarnation;
    hello.round = ++self->round;
    self->holding_count = 0;
    queue_hello(self->queue, &hello);
    queue_flush(self->queue);
}

// A job of recipients of the spooled mail.
static inline void world_job(struct world *self, const struct ulid *id, const uint32_t *recipients,
                             size_t count, int action)
{
    Postern__DeliveryJob job = POSTERN__DELIVERY_JOB__INIT;
    Postern__Place place = POSTERN__PLACE__INIT;
    place.slot = WORLD_INGRESS;
    place.length = (uint32_t)self->spooled_size;
    job.id = (ProtobufCBinaryData){ULID_SIZE, (uint8_t *)(uintptr_t)id->bytes};
    job.ingress = WORLD_INGRESS;
    job.sender = self->ingress_incarnation;
    job.receiver = self->incarnation;
    job.place = &place;
    job.recipients = (uint32_t *)(uintptr_t)recipients;
    job.n_recipients = count;
    job.action = action;
    size_t size;
    uint8_t *packed = pack(&job.base, &size);
    queue_job(self->queue, postern__delivery_job__unpack(NULL, size, packed));
    free(packed);
}

// The next hop's word on the mail that waits longest for one.
static inline struct queued *world_result(struct world *self, enum result result)
{
    assert_true(self->delivering_count > 0);
    struct queued *mail = self->delivering[0];
    memmove(self->delivering, self->delivering + 1,
            --self->delivering_count * sizeof(self->delivering[0]));
    unsigned at[4];
    struct client_recipient results[4] = {{0}};
    size_t count = 0;
    for (unsigned i = 0; i < mail->count; i++) {
        if (mail->recipients[i].state != QUEUED_OUT)
            continue;
        static const char *const texts[] = {"", "250 2.0.0 ok", "450 4.2.0 later", "550 5.1.1 no"};
        static const char *const statuses[] = {"", "2.0.0", "4.2.0", "5.1.1"};
        client_recipient_set(&results[count], result, statuses[result], texts[result]);
        at[count++] = i;
    }
    queue_results(mail, at, results, count, "hop:25");
    client_recipients_free(results, count);
    return mail;
}

static inline void world_acknowledge(struct world *self)
{
    for (size_t i = 0; i < self->outcome_count; i++) {
        Postern__OutcomeAck ack = POSTERN__OUTCOME_ACK__INIT;
        ack.id = (ProtobufCBinaryData){ULID_SIZE, self->outcomes[i].id.bytes};
        ack.delivery = WORLD_SLOT;
        ack.receiver = self->incarnation;
        ack.ingress = WORLD_INGRESS;
        ack.recipients = &self->outcomes[i].recipient;
        ack.n_recipients = 1;
        queue_acknowledged(self->queue, &ack);
    }
    self->outcome_count = 0;
}

static inline void world_pass(struct world *self, int64_t ms)
{
    self->now_ms += ms;
    queue_tick(self->queue);
    world_commit(self);
}

static inline size_t world_live(const struct world *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->record_count; i++)
        count += self->records[i].life == LIFE_WRITTEN || self->records[i].life == LIFE_DURABLE;
    return count;
}

static inline struct world *world_new(uint64_t seed)
{
    struct world *self = allocate(sizeof(*self));
    self->seed = seed * 0x9e3779b97f4a7c15U + 1;
    self->now_ms = 1700000000000;
    self->ingress_incarnation = 1000;
    snprintf(self->state, sizeof(self->state), "/tmp/postern-queue-test-XXXXXX");
    assert_non_null(mkdtemp(self->state));
    world_spool(self, "sender@a.example", 0);
    world_start(self);
    world_hello(self);
    return self;
}

static inline void world_destroy(struct world *self)
{
    char command[128];
    world_end(self);
    snprintf(command, sizeof(command), "rm -rf '%s'", self->state);
    assert_int_equal(system(command), 0);
    free(self);
}
