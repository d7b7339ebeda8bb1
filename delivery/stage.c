// SPDX-License-Identifier: Apache-2.0
#include "delivery/stage.h"

#include "core/base/clock.h"
#include "core/base/heir.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"
#include "core/bus/feed.h"
#include "delivery/command.h"
#include "delivery/deliverer.h"
#include "proto/local.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOON_MS = 1, SECOND_MS = 1000, HEIRS_EVERY_S = 5, NODE_SLOT = 0 };

struct stage_of_delivery {
    struct loop *loop;
    const char *state, *run, *hostname;
    struct bus *bus;
    struct settings *settings;
    struct deliverer *deliverer;
    struct holding *holdings[SLOT_MOST]; // [0] is our own
    unsigned count;
    struct heir *heir;
    struct timer *second;
    struct timer *soon; // only makes the loop turn
    struct hook *hook;
    unsigned seconds;
    int draining;
};

static struct holding *holding_of(const struct stage_of_delivery *self, unsigned slot)
{
    for (unsigned i = 0; i < self->count; i++)
        if (self->holdings[i]->slot.number == slot)
            return self->holdings[i];
    return NULL;
}

// -- from ingresses

static void receive_hello(struct stage_of_delivery *self, const Postern__Hello *hello)
{
    // A Hello that does not tell whom it is for is answered by every slot.
    for (unsigned i = 0; i < self->count; i++)
        if (hello->to_slot == 0 || hello->to_slot == self->holdings[i]->slot.number + 1)
            queue_hello(self->holdings[i]->queue, hello);
}

// Takes it. An adopted slot gets no new jobs: it gives no credit.
static void receive_job(struct stage_of_delivery *self, Postern__DeliveryJob *job)
{
    if (!self->draining)
        queue_job(self->holdings[0]->queue, job);
    else
        postern__delivery_job__free_unpacked(job, NULL);
}

static void receive_acknowledgement(struct stage_of_delivery *self, const Postern__OutcomeAck *ack)
{
    struct holding *holding = holding_of(self, ack->delivery);
    if (holding)
        queue_acknowledged(holding->queue, ack);
}

// -- from node

static void answer_command(struct stage_of_delivery *self, const Postern__StageCommand *command)
{
    struct queue *queues[SLOT_MOST];
    Postern__StageReply reply = POSTERN__STAGE_REPLY__INIT;
    int failed;
    for (unsigned i = 0; i < self->count; i++)
        queues[i] = self->holdings[i]->queue;
    char *answer = command_run(queues, self->count, command->body.data, command->body.len, &failed);
    reply.number = command->number;
    reply.failed = failed;
    reply.stage = STAGE_DELIVERY;
    reply.slot = self->holdings[0]->slot.number;
    reply.body = (ProtobufCBinaryData){strlen(answer), (uint8_t *)answer};
    // Node asks again when it hears nothing; orders are carried out once however often they come.
    if (bus_send(self->bus, STAGE_NODE, NODE_SLOT, BUS_REPLY, &reply.base) < 0)
        log_warning("reply.unsaid", "number=%llu", (unsigned long long)command->number);
    free(answer);
}

static void read_settings(struct stage_of_delivery *self)
{
    char error[512];
    struct settings *settings = settings_read(self->state, error, sizeof(error));
    Postern__StageReloaded reloaded = POSTERN__STAGE_RELOADED__INIT;
    reloaded.stage = STAGE_DELIVERY;
    reloaded.slot = self->holdings[0]->slot.number;
    if (settings) {
        settings_release(&self->settings);
        self->settings = settings;
        struct schedule schedule = holding_schedule(settings);
        for (unsigned i = 0; i < self->count; i++)
            queue_reschedule(self->holdings[i]->queue, &schedule);
        deliverer_settings(self->deliverer, settings);
        log_info("settings.read", "revision=%s", settings->revision);
    } else {
        log_error("settings.refused", "reason=\"%s\"", error);
        reloaded.error = (ProtobufCBinaryData){strlen(error), (uint8_t *)error};
    }
    const char *revision = self->settings->revision;
    reloaded.revision = (ProtobufCBinaryData){strlen(revision), (uint8_t *)revision};
    if (bus_send(self->bus, STAGE_NODE, NODE_SLOT, BUS_RELOADED, &reloaded.base) < 0)
        log_debug("reloaded.unsaid", "revision=%s", revision);
}

static void receive_taken(struct stage_of_delivery *self, const Postern__Taken *taken)
{
    for (unsigned i = 0; i < self->count; i++)
        feed_taken(self->holdings[i]->feed, taken);
}

// Unpacks and hands over; a message that cannot be read is dropped.
static void receive_unpacked(struct stage_of_delivery *self, enum bus_type type,
                             const ProtobufCMessage *message)
{
    if (type == BUS_HELLO)
        receive_hello(self, (const Postern__Hello *)message);
    else if (type == BUS_OUTCOME_ACK)
        receive_acknowledgement(self, (const Postern__OutcomeAck *)message);
    else if (type == BUS_TAKEN)
        receive_taken(self, (const Postern__Taken *)message);
    else
        answer_command(self, (const Postern__StageCommand *)message);
}

static const ProtobufCMessageDescriptor *descriptor_of(enum bus_type type)
{
    switch (type) {
    case BUS_HELLO:
        return &postern__hello__descriptor;
    case BUS_OUTCOME_ACK:
        return &postern__outcome_ack__descriptor;
    case BUS_TAKEN:
        return &postern__taken__descriptor;
    case BUS_COMMAND:
        return &postern__stage_command__descriptor;
    default:
        return NULL;
    }
}

static void receive(void *context, enum bus_type type, const uint8_t *data, size_t size)
{
    struct stage_of_delivery *self = context;
    const ProtobufCMessageDescriptor *descriptor = descriptor_of(type);
    if (type == BUS_DELIVERY_JOB) {
        Postern__DeliveryJob *job = postern__delivery_job__unpack(&unpack_allocator, size, data);
        if (job)
            receive_job(self, job);
        return;
    }
    if (type == BUS_RELOAD)
        read_settings(self);
    ProtobufCMessage *message =
        descriptor ? protobuf_c_message_unpack(descriptor, &unpack_allocator, size, data) : NULL;
    if (message)
        receive_unpacked(self, type, message);
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

static void peer_seen(void *context, enum stage stage, unsigned slot, int present)
{
    struct stage_of_delivery *self = context;
    (void)slot;
    for (unsigned i = 0; stage == STAGE_NODE && present && i < self->count; i++)
        feed_reconnected(self->holdings[i]->feed);
}

// -- heirs

static void *open_heirless(void *context, struct slot *slot, const atomic_int *cancelled)
{
    const struct stage_of_delivery *self = context;
    return holding_open(self->state, self->hostname, slot, cancelled);
}

static void close_holding(void *opened)
{
    struct holding *holding = opened;
    if (holding_removable(holding))
        holding_remove(&holding);
    else
        holding_destroy(&holding);
}

// Also one whose journal is empty: an ingress may wait to hear what became of the jobs it gave.
static int any_records(const char *path)
{
    (void)path;
    return 1;
}

static void adopt(void *context, void *opened)
{
    struct stage_of_delivery *self = context;
    struct holding *holding = opened;
    unsigned number = holding->slot.number;
    if (bus_bind(self->bus, number) < 0) {
        log_error("slot.unbound", "slot=%u errno=%d", number, errno);
        heir_close(self->heir, holding);
        return;
    }
    holding_attach(holding, self->loop, self->bus, self->settings, self->deliverer);
    queue_refuse_jobs(holding->queue);
    self->holdings[self->count++] = holding;
    log_info("slot.adopted", "slot=%u held=%zu claims=%zu", number, queue_held(holding->queue),
             queue_claims(holding->queue));
}

static const struct heir_ops heir_ops = {
    .has_records = any_records,
    .open = open_heirless,
    .opened = adopt,
    .close = close_holding,
};

// An adopted slot is removed once nothing in it is needed and node has taken its events. That it is
// gone tells every ingress, also one that was paused: no job that it gave there is held.
static void give_back(struct stage_of_delivery *self)
{
    for (unsigned i = 1; i < self->count && !heir_busy(self->heir); i++) {
        struct holding *holding = self->holdings[i];
        if (!holding_removable(holding))
            continue;
        log_info("slot.drained", "slot=%u", holding->slot.number);
        bus_unbind(self->bus, holding->slot.number);
        self->holdings[i--] = self->holdings[--self->count];
        holding_detach(holding);
        heir_close(self->heir, holding);
    }
}

// -- time

static void tell_status(struct stage_of_delivery *self)
{
    const struct holding *own = self->holdings[0];
    int64_t oldest = 0;
    size_t held = 0, claims = 0;
    for (unsigned i = 0; i < self->count; i++) {
        int64_t received = queue_oldest_ms(self->holdings[i]->queue);
        held += queue_held(self->holdings[i]->queue);
        claims += queue_claims(self->holdings[i]->queue);
        if (received > 0 && (oldest == 0 || received < oldest))
            oldest = received;
    }
    metric_set(metric("queue", ""), (int64_t)held);
    metric_set(metric("queue_oldest_ms", ""), oldest > 0 ? clock_wall_ms() - oldest : 0);
    metric_set(metric("delivery_claims", ""), (int64_t)claims);
    metric_set(metric("delivery_connections", ""), (int64_t)deliverer_connections(self->deliverer));
    metric_set(metric("journal_bytes", ""), (int64_t)journal_bytes(own->journal));
    metric_set(metric("journal_syncs_total", ""), (int64_t)journal_syncs(own->journal));
    Postern__StageStatus status = POSTERN__STAGE_STATUS__INIT;
    status.stage = STAGE_DELIVERY;
    status.slot = own->slot.number;
    status.incarnation = own->slot.incarnation;
    status.pid = (uint64_t)getpid();
    char *json = metrics_json();
    status.json = (ProtobufCBinaryData){strlen(json), (uint8_t *)json};
    if (bus_send(self->bus, STAGE_NODE, NODE_SLOT, BUS_STATUS, &status.base) < 0)
        log_debug("status.unsaid", "slot=%u", own->slot.number);
    free(json);
}

static void second(void *context)
{
    struct stage_of_delivery *self = context;
    timer_start(self->second, SECOND_MS);
    for (unsigned i = 0; i < self->count; i++)
        queue_tick(self->holdings[i]->queue);
    tell_status(self);
    if (self->draining || ++self->seconds % HEIRS_EVERY_S != 0)
        return;
    give_back(self);
    heir_look(self->heir);
}

static void turn_again(void *context)
{
    (void)context; // on_turn follows
}

static void on_turn(void *context)
{
    struct stage_of_delivery *self = context;
    int more = 0;
    for (unsigned i = 0; i < self->count; i++)
        more |= queue_flush(self->holdings[i]->queue);
    if (more && !timer_active(self->soon))
        timer_start(self->soon, SOON_MS);
}

// -- life

static int open_all(struct stage_of_delivery *self, struct slot *slot)
{
    char error[256];
    self->deliverer =
        deliverer_new(self->loop, self->settings, self->hostname, error, sizeof(error));
    if (!self->deliverer) {
        log_error("delivering.impossible", "reason=\"%s\"", error);
        slot_release(slot);
        errno = EIO;
        return -1;
    }
    self->bus = bus_new(self->loop, self->run, STAGE_DELIVERY, slot->number, receive, self);
    if (!self->bus) {
        slot_release(slot);
        return -1;
    }
    self->holdings[0] = holding_new(self->loop, self->bus, self->state, self->hostname, slot,
                                    self->settings, self->deliverer);
    if (!self->holdings[0])
        return -1;
    self->count = 1;
    self->heir = heir_new(self->loop, self->state, STAGE_DELIVERY, &heir_ops, self);
    return 0;
}

struct stage_of_delivery *stage_new(struct loop *loop, const char *state, const char *run,
                                    const char *hostname, struct slot *slot,
                                    struct settings *settings)
{
    struct stage_of_delivery *self = allocate(sizeof(*self));
    *self =
        (struct stage_of_delivery){.loop = loop, .state = state, .run = run, .hostname = hostname};
    self->settings = settings_retain(settings);
    if (open_all(self, slot) < 0 || bus_watch(self->bus, STAGE_INGRESS, peer_seen) < 0 ||
        bus_watch(self->bus, STAGE_NODE, peer_seen) < 0) {
        int saved = errno;
        stage_destroy(&self);
        errno = saved;
        return NULL;
    }
    self->second = timer_new(loop, second, self);
    timer_start(self->second, SECOND_MS);
    self->soon = timer_new(loop, turn_again, self);
    self->hook = hook_new(loop, on_turn, self);
    return self;
}

void stage_destroy(struct stage_of_delivery **self_pointer)
{
    struct stage_of_delivery *self = *self_pointer;
    if (!self)
        return;
    heir_destroy(&self->heir);
    hook_destroy(&self->hook);
    timer_destroy(&self->second);
    timer_destroy(&self->soon);
    deliverer_destroy(&self->deliverer);
    for (unsigned i = 0; i < self->count; i++)
        holding_destroy(&self->holdings[i]);
    bus_destroy(&self->bus);
    settings_release(&self->settings);
    free(self);
    *self_pointer = NULL;
}

void stage_drain(struct stage_of_delivery *self)
{
    self->draining = 1;
    for (unsigned i = 0; i < self->count; i++)
        queue_refuse_jobs(self->holdings[i]->queue);
}

size_t stage_busy(const struct stage_of_delivery *self)
{
    size_t jobs = deliverer_busy(self->deliverer);
    for (unsigned i = 0; i < self->count; i++)
        jobs += queue_jobs(self->holdings[i]->queue);
    return jobs;
}

int stage_owes_events(const struct stage_of_delivery *self)
{
    for (unsigned i = 0; i < self->count; i++)
        if (feed_owes(self->holdings[i]->feed))
            return 1;
    return 0;
}
