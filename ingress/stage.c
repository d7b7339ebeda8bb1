// SPDX-License-Identifier: Apache-2.0
#include "ingress/stage.h"

#include "core/base/heir.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"
#include "core/bus/feed.h"
#include "proto/local.pb-c.h"
#include "proto/quarantine.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 100, SECOND_MS = 1000, HEIRS_EVERY_S = 5, NODE_SLOT = 0 };

struct stage_of_ingress {
    struct loop *loop;
    const char *state, *run;
    struct bus *bus;
    struct settings *settings;
    stage_settings_fn *settings_fn;
    void *context;
    struct holding *holdings[SLOT_MOST]; // [0] is our own
    unsigned count;
    struct heir *heir;
    struct timer *tick, *second;
    unsigned seconds;
};

static struct custody_limits limits_of(const struct settings *settings)
{
    return (struct custody_limits){
        .verdict_wait_ms = settings->verdict_wait_ms,
        .job_timeout_ms = settings->job_timeout_ms,
        .analysis_wait_ms = (int64_t)settings->analysis_wait_max_s * 1000,
        .silent_ms = 3000,
        .looked_at_once = 500,
    };
}

static struct holding *holding_of(const struct stage_of_ingress *self, unsigned slot)
{
    for (unsigned i = 0; i < self->count; i++)
        if (self->holdings[i]->slot.number == slot)
            return self->holdings[i];
    return NULL;
}

// -- the bus

static void read_settings(struct stage_of_ingress *self)
{
    char error[512];
    struct settings *settings = settings_read(self->state, error, sizeof(error));
    Postern__StageReloaded reloaded = POSTERN__STAGE_RELOADED__INIT;
    reloaded.stage = STAGE_INGRESS;
    reloaded.slot = self->holdings[0]->slot.number;
    if (settings) {
        settings_release(&self->settings);
        self->settings = settings;
        struct custody_limits limits = limits_of(settings);
        for (unsigned i = 0; i < self->count; i++)
            custody_limits(self->holdings[i]->custody, &limits);
        self->settings_fn(self->context, settings);
        log_info("settings.read", "revision=%s", settings->revision);
    } else {
        log_error("settings.refused", "reason=\"%s\"", error);
        reloaded.error = (ProtobufCBinaryData){strlen(error), (uint8_t *)error};
    }
    const char *revision = self->settings->revision;
    reloaded.revision = (ProtobufCBinaryData){strlen(revision), (uint8_t *)revision};
    // Node asks again by the next ReloadConfig when this one is lost.
    if (bus_send(self->bus, STAGE_NODE, NODE_SLOT, BUS_RELOADED, &reloaded.base) < 0)
        log_debug("reloaded.unsaid", "revision=%s", revision);
}

static void receive_verdict(struct stage_of_ingress *self, const uint8_t *data, size_t size)
{
    Postern__Verdict *verdict = postern__verdict__unpack(&unpack_allocator, size, data);
    struct holding *holding = verdict ? holding_of(self, verdict->ingress) : NULL;
    if (holding)
        custody_verdict(holding->custody, verdict);
    else if (verdict)
        postern__verdict__free_unpacked(verdict, NULL);
}

static void receive_room(struct stage_of_ingress *self, const uint8_t *data, size_t size)
{
    Postern__QuarantineRoom *room = postern__quarantine_room__unpack(&unpack_allocator, size, data);
    if (!room)
        return;
    for (unsigned i = 0; i < self->count; i++)
        custody_quarantine_full(self->holdings[i]->custody, room->full);
    postern__quarantine_room__free_unpacked(room, NULL);
}

static void receive_taken(struct stage_of_ingress *self, const uint8_t *data, size_t size)
{
    Postern__Taken *taken = postern__taken__unpack(&unpack_allocator, size, data);
    if (!taken)
        return;
    for (unsigned i = 0; i < self->count; i++)
        feed_taken(self->holdings[i]->feed, taken);
    postern__taken__free_unpacked(taken, NULL);
}

static void on_welcome(struct custody *custody, const ProtobufCMessage *message)
{
    custody_welcome(custody, (const Postern__Welcome *)message);
}

static void on_begun(struct custody *custody, const ProtobufCMessage *message)
{
    custody_begun(custody, (const Postern__AnalyzerBegun *)message);
}

static void on_delivery_begun(struct custody *custody, const ProtobufCMessage *message)
{
    custody_delivery_begun(custody, (const Postern__DeliveryBegun *)message);
}

static void on_outcome(struct custody *custody, const ProtobufCMessage *message)
{
    custody_outcome(custody, (const Postern__Outcome *)message);
}

// What is about one journal: which field names its slot, and who takes it.
static const struct route {
    enum bus_type type;
    const ProtobufCMessageDescriptor *descriptor;
    size_t slot_at;
    void (*call)(struct custody *custody, const ProtobufCMessage *message);
} routes[] = {
    {BUS_WELCOME, &postern__welcome__descriptor, offsetof(Postern__Welcome, to_slot), on_welcome},
    {BUS_ANALYZER_BEGUN, &postern__analyzer_begun__descriptor,
     offsetof(Postern__AnalyzerBegun, ingress), on_begun},
    {BUS_DELIVERY_BEGUN, &postern__delivery_begun__descriptor,
     offsetof(Postern__DeliveryBegun, ingress), on_delivery_begun},
    {BUS_OUTCOME, &postern__outcome__descriptor, offsetof(Postern__Outcome, ingress), on_outcome},
};

static int receive_routed(struct stage_of_ingress *self, enum bus_type type, const uint8_t *data,
                          size_t size)
{
    for (size_t i = 0; i < ARRAY_LENGTH(routes); i++) {
        if (routes[i].type != type)
            continue;
        ProtobufCMessage *message =
            protobuf_c_message_unpack(routes[i].descriptor, &unpack_allocator, size, data);
        if (!message)
            return 1;
        uint32_t slot;
        memcpy(&slot, (const char *)message + routes[i].slot_at, sizeof(slot));
        struct holding *holding = holding_of(self, slot);
        if (holding)
            routes[i].call(holding->custody, message);
        protobuf_c_message_free_unpacked(message, NULL);
        return 1;
    }
    return 0;
}

static void receive(void *context, enum bus_type type, const uint8_t *data, size_t size)
{
    struct stage_of_ingress *self = context;
    if (receive_routed(self, type, data, size))
        return;
    if (type == BUS_VERDICT)
        receive_verdict(self, data, size);
    else if (type == BUS_TAKEN)
        receive_taken(self, data, size);
    else if (type == BUS_QUARANTINE_ROOM)
        receive_room(self, data, size);
    else if (type == BUS_RELOAD)
        read_settings(self);
    else
        log_warning("bus.unexpected", "type=%d", (int)type);
}

static void peer_seen(void *context, enum stage stage, unsigned slot, int present)
{
    struct stage_of_ingress *self = context;
    for (unsigned i = 0; i < self->count; i++) {
        if (stage != STAGE_NODE)
            custody_peer(self->holdings[i]->custody, stage, slot, present);
        else if (present)
            feed_reconnected(self->holdings[i]->feed);
    }
}

// -- heirs

static void introduce(struct stage_of_ingress *self, struct holding *holding)
{
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        if (bus_present(self->bus, STAGE_ANALYZER, slot))
            custody_peer(holding->custody, STAGE_ANALYZER, slot, 1);
        if (bus_present(self->bus, STAGE_DELIVERY, slot))
            custody_peer(holding->custody, STAGE_DELIVERY, slot, 1);
    }
}

static void *open_heirless(void *context, struct slot *slot, const atomic_int *cancelled)
{
    const struct stage_of_ingress *self = context;
    return holding_open(self->state, slot, cancelled);
}

static void close_holding(void *opened)
{
    struct holding *holding = opened;
    holding_destroy(&holding);
}

static void adopt(void *context, void *opened)
{
    struct stage_of_ingress *self = context;
    struct holding *holding = opened;
    unsigned number = holding->slot.number;
    if (bus_bind(self->bus, number) < 0) {
        log_error("slot.unbound", "slot=%u errno=%d", number, errno);
        heir_close(self->heir, holding);
        return;
    }
    struct custody_limits limits = limits_of(self->settings);
    holding_attach(holding, self->loop, self->bus, &limits);
    log_info("slot.adopted", "slot=%u custody=%zu", number, custody_count(holding->custody));
    holding->judged = self->holdings[0]->judged;
    holding->judged_context = self->holdings[0]->judged_context;
    self->holdings[self->count++] = holding;
    introduce(self, holding);
}

static const struct heir_ops heir_ops = {
    .has_records = holding_has_records,
    .open = open_heirless,
    .opened = adopt,
    .close = close_holding,
};

// An adopted journal is given back once all in it has ended and node has taken its events.
static void give_back(struct stage_of_ingress *self)
{
    for (unsigned i = 1; i < self->count && !heir_busy(self->heir); i++) {
        struct holding *holding = self->holdings[i];
        if (custody_count(holding->custody) > 0 || journal_live(holding->journal) > 0)
            continue;
        log_info("slot.drained", "slot=%u", holding->slot.number);
        bus_unbind(self->bus, holding->slot.number);
        self->holdings[i--] = self->holdings[--self->count];
        holding_detach(holding);
        heir_close(self->heir, holding);
    }
}

// -- time

static void tick(void *context)
{
    struct stage_of_ingress *self = context;
    timer_start(self->tick, TICK_MS);
    for (unsigned i = 0; i < self->count; i++)
        custody_tick(self->holdings[i]->custody);
}

static void tell_status(struct stage_of_ingress *self)
{
    const struct holding *own = self->holdings[0];
    metric_set(metric("custody", ""), (int64_t)stage_custody(self));
    metric_set(metric("analysis_wait_ms", ""), custody_oldest_ms(own->custody));
    metric_set(metric("journal_bytes", ""), (int64_t)journal_bytes(own->journal));
    metric_set(metric("journal_syncs_total", ""), (int64_t)journal_syncs(own->journal));
    Postern__StageStatus status = POSTERN__STAGE_STATUS__INIT;
    status.stage = STAGE_INGRESS;
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
    struct stage_of_ingress *self = context;
    timer_start(self->second, SECOND_MS);
    tell_status(self);
    if (++self->seconds % HEIRS_EVERY_S == 0) {
        give_back(self);
        heir_look(self->heir);
    }
}

// -- life

static int connect_bus(struct stage_of_ingress *self, unsigned slot)
{
    self->bus = bus_new(self->loop, self->run, STAGE_INGRESS, slot, receive, self);
    return self->bus ? 0 : -1;
}

static int watch_peers(struct stage_of_ingress *self)
{
    return bus_watch(self->bus, STAGE_ANALYZER, peer_seen) < 0 ||
                   bus_watch(self->bus, STAGE_DELIVERY, peer_seen) < 0 ||
                   bus_watch(self->bus, STAGE_NODE, peer_seen) < 0
               ? -1
               : 0;
}

struct stage_of_ingress *stage_new(struct loop *loop, const char *state, const char *run,
                                   struct slot *slot, struct settings *settings,
                                   stage_settings_fn *fn, void *context)
{
    struct stage_of_ingress *self = allocate(sizeof(*self));
    self->loop = loop;
    self->state = state;
    self->run = run;
    self->settings = settings_retain(settings);
    self->settings_fn = fn;
    self->context = context;
    struct custody_limits limits = limits_of(settings);
    if (connect_bus(self, slot->number) < 0 ||
        !(self->holdings[0] = holding_new(loop, self->bus, state, slot, &limits))) {
        stage_destroy(&self);
        return NULL;
    }
    self->count = 1;
    self->heir = heir_new(loop, state, STAGE_INGRESS, &heir_ops, self);
    self->tick = timer_new(loop, tick, self);
    self->second = timer_new(loop, second, self);
    timer_start(self->tick, TICK_MS);
    timer_start(self->second, SECOND_MS);
    if (watch_peers(self) < 0)
        stage_destroy(&self);
    return self;
}

void stage_destroy(struct stage_of_ingress **stage)
{
    struct stage_of_ingress *self = *stage;
    if (!self)
        return;
    *stage = NULL;
    heir_destroy(&self->heir);
    timer_destroy(&self->tick);
    timer_destroy(&self->second);
    for (unsigned i = 0; i < self->count; i++)
        holding_destroy(&self->holdings[i]);
    bus_destroy(&self->bus);
    settings_release(&self->settings);
    free(self);
}

void stage_on_judged(struct stage_of_ingress *self, holding_judged_fn *fn, void *context)
{
    for (unsigned i = 0; i < self->count; i++) {
        self->holdings[i]->judged = fn;
        self->holdings[i]->judged_context = context;
    }
}

struct holding *stage_own(struct stage_of_ingress *self)
{
    return self->holdings[0];
}

size_t stage_custody(const struct stage_of_ingress *self)
{
    size_t count = 0;
    for (unsigned i = 0; i < self->count; i++)
        count += custody_count(self->holdings[i]->custody);
    return count;
}

int stage_owes_events(const struct stage_of_ingress *self)
{
    for (unsigned i = 0; i < self->count; i++)
        if (feed_owes(self->holdings[i]->feed))
            return 1;
    return 0;
}

size_t stage_unanswered(const struct stage_of_ingress *self)
{
    return custody_unanswered(self->holdings[0]->custody);
}
