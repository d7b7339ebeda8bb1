// SPDX-License-Identifier: Apache-2.0
#include "node/uplink.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/unpack.h"
#include "core/bus/roles.h"
#include "core/config/names.h"
#include "proto/stream.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELLO_AGAIN_MS = 5000, HEARD_MS = 10000 };

static const char *const topics[] = {"config", NULL};

struct door {
    struct uplink *uplink;
    unsigned number;
    struct control *control;
    struct stream *publish, *announced;
    struct timer *hello; // runs until the master has answered
    struct master_address address;
    int64_t heard_ms;              // 0: never
    uint64_t last_beat, upto_beat; // at the heartbeat before
};

struct uplink {
    struct loop *loop;
    const struct nodeconf *conf;
    struct outbox *outbox;
    struct uplink_ops ops;
    struct curve_keys keys;
    struct door doors[MASTERS_MOST];
    unsigned count;
    char topic[3][96];
};

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void say_hello(void *context)
{
    struct door *door = context;
    struct uplink *self = door->uplink;
    const struct producer *producer = outbox_producer(self->outbox);
    const struct producer_master *master = &producer->masters[door->number];
    Postern__NodeHello hello = POSTERN__NODE_HELLO__INIT;
    Postern__ConfigReport running = POSTERN__CONFIG_REPORT__INIT;
    hello.node = bytes_of(self->conf->name);
    hello.epoch = producer->epoch;
    hello.first_kept = producer_first_kept(producer);
    hello.last = producer->last;
    hello.acknowledged_incarnation = master->incarnation;
    hello.acknowledged_epoch = master->epoch;
    hello.acknowledged = master->upto;
    hello.version = bytes_of(POSTERN_VERSION);
    self->ops.running(self->ops.context, &running);
    hello.revision = running.revision;
    hello.tree = running.tree;
    hello.n_holds = running.n_holds;
    hello.holds = running.holds;
    hello.site = bytes_of(self->conf->site);
    timer_start(door->hello, HELLO_AGAIN_MS);
    // Where the outbox is not settled it is said as soon as it is.
    if (outbox_settled(self->outbox) &&
        control_send(door->control, NULL, CONTROL_NODE_HELLO, &hello.base) < 0)
        log_debug("uplink.hello", "master=%s unsent=%d", self->conf->masters[door->number].name,
                  errno);
    names_packed_free(&running.holds, running.n_holds);
}

static void tell_holds(struct door *door, Postern__ConfigNames *const *holds, size_t count,
                       struct span sign)
{
    const struct uplink_ops *ops = &door->uplink->ops;
    ops->holds(ops->context, door->number, holds, count, sign);
}

// -- what masters say: one row for each type that they may send

static void on_hello(struct door *door, const ProtobufCMessage *message)
{
    const Postern__MasterHello *hello = (const Postern__MasterHello *)message;
    timer_stop(door->hello);
    log_info("uplink.master", "master=%s incarnation=%016llx watermark=%llu",
             door->uplink->conf->masters[door->number].name, (unsigned long long)hello->incarnation,
             (unsigned long long)hello->watermark);
    outbox_hello(door->uplink->outbox, door->number, hello);
    door->uplink->ops.session(door->uplink->ops.context, door->number);
    tell_holds(door, hello->holds, hello->n_holds,
               (struct span){(const char *)hello->sign.data, hello->sign.len});
}

static void on_ack(struct door *door, const ProtobufCMessage *message)
{
    outbox_acknowledge(door->uplink->outbox, door->number, (const Postern__Ack *)message);
}

static void on_replay(struct door *door, const ProtobufCMessage *message)
{
    const struct uplink_ops *ops = &door->uplink->ops;
    ops->replay(ops->context, door->number, (const Postern__ReplayRequest *)message);
}

static void on_config(struct door *door, const ProtobufCMessage *message)
{
    const struct uplink_ops *ops = &door->uplink->ops;
    ops->config(ops->context, door->number, (const Postern__ConfigRevisions *)message);
}

static void on_wanted(struct door *door, const ProtobufCMessage *message)
{
    const struct uplink_ops *ops = &door->uplink->ops;
    ops->wanted(ops->context, door->number, (const Postern__ConfigRequest *)message);
}

static void on_command(struct door *door, const ProtobufCMessage *message)
{
    const struct uplink_ops *ops = &door->uplink->ops;
    ops->command(ops->context, door->number, (const Postern__Command *)message);
}

static void on_body(struct door *door, const ProtobufCMessage *message)
{
    const struct uplink_ops *ops = &door->uplink->ops;
    ops->body(ops->context, door->number, (const Postern__BodyRequest *)message);
}

static void on_held(struct door *door, const ProtobufCMessage *message)
{
    const struct uplink_ops *ops = &door->uplink->ops;
    ops->held(ops->context, door->number, (const Postern__BodiesHeld *)message);
}

static void on_given(struct door *door, const ProtobufCMessage *message)
{
    const struct uplink_ops *ops = &door->uplink->ops;
    ops->given(ops->context, door->number, (const Postern__BodyGiven *)message);
}

static void on_announcement(struct door *door, const ProtobufCMessage *message)
{
    const Postern__ConfigReport *report = (const Postern__ConfigReport *)message;
    tell_holds(door, report->holds, report->n_holds, (struct span){NULL, 0});
}

static const struct route {
    enum control_type type;
    const ProtobufCMessageDescriptor *descriptor;
    void (*call)(struct door *door, const ProtobufCMessage *message);
} routes[] = {
    {CONTROL_MASTER_HELLO, &postern__master_hello__descriptor, on_hello},
    {CONTROL_ACK, &postern__ack__descriptor, on_ack},
    {CONTROL_REPLAY, &postern__replay_request__descriptor, on_replay},
    {CONTROL_CONFIG, &postern__config_revisions__descriptor, on_config},
    {CONTROL_CONFIG_WANTED, &postern__config_request__descriptor, on_wanted},
    {CONTROL_COMMAND, &postern__command__descriptor, on_command},
    {CONTROL_BODY_REQUEST, &postern__body_request__descriptor, on_body},
    {CONTROL_BODY_GIVEN, &postern__body_given__descriptor, on_given},
    {CONTROL_BODIES_HELD, &postern__bodies_held__descriptor, on_held},
    {CONTROL_ANNOUNCE, &postern__config_report__descriptor, on_announcement},
};

static void receive(void *context, const char *key, enum control_type type, const uint8_t *data,
                    size_t size)
{
    (void)key; // the server's, which CURVE has proven
    struct door *door = context;
    door->heard_ms = loop_now_ms(door->uplink->loop);
    for (size_t i = 0; i < ARRAY_LENGTH(routes); i++) {
        if (routes[i].type != type || !role_may_send(ROLE_MASTER, ROLE_WORKER, type))
            continue;
        ProtobufCMessage *message =
            protobuf_c_message_unpack(routes[i].descriptor, &unpack_allocator, size, data);
        if (message)
            routes[i].call(door, message);
        else
            log_warning("uplink.malformed", "type=%d", (int)type);
        protobuf_c_message_free_unpacked(message, NULL);
        return;
    }
    log_warning("uplink.unexpected", "type=%d", (int)type);
}

// -- life

static int open_door(struct uplink *self, unsigned number)
{
    struct door *door = &self->doors[number];
    const struct master_address *master = &self->conf->masters[number];
    const struct curve_keys *keys = &self->keys;
    *door = (struct door){.uplink = self, .number = number, .address = *master};
    door->hello = timer_new(self->loop, say_hello, door);
    door->control = control_connect(self->loop, master->control, keys, master->key, receive, door);
    if (!door->control)
        return -1;
    door->publish = stream_publish(self->loop, 0, master->events, keys, master->key);
    door->announced =
        stream_subscribe(self->loop, 0, master->publish, keys, master->key, topics, receive, door);
    control_on_session(door->control, say_hello, door);
    return door->publish && door->announced ? 0 : -1;
}

static void close_door(struct door *door)
{
    timer_destroy(&door->hello);
    control_destroy(&door->control);
    stream_destroy(&door->publish);
    stream_destroy(&door->announced);
}

static int is_open(const struct door *door, const struct master_address *address)
{
    return door->announced && memcmp(&door->address, address, sizeof(*address)) == 0;
}

void uplink_follow(struct uplink *self)
{
    const struct nodeconf *conf = self->conf;
    for (unsigned i = 0; i < self->count; i++)
        if (i >= conf->master_count || !is_open(&self->doors[i], &conf->masters[i]))
            close_door(&self->doors[i]);
    self->count = 0;
    for (unsigned i = 0; i < conf->master_count; i++) {
        if (!is_open(&self->doors[i], &conf->masters[i]) && open_door(self, i) < 0) {
            log_error("uplink.follow", "master=%s error=\"%s\"", conf->masters[i].name,
                      strerror(errno));
            close_door(&self->doors[i]);
            return;
        }
        self->count++;
    }
}

void uplink_rekey(struct uplink *self, const struct curve_keys *keys)
{
    self->keys = *keys;
    for (unsigned i = 0; i < self->count; i++)
        close_door(&self->doors[i]);
    uplink_follow(self);
}

struct uplink *uplink_new(struct loop *loop, const struct nodeconf *conf,
                          const struct curve_keys *keys, struct outbox *outbox,
                          const struct uplink_ops *ops)
{
    static const char *const kinds[] = {"result", "quarantine", "node"};
    struct uplink *self = allocate(sizeof(*self));
    self->loop = loop;
    self->conf = conf;
    self->keys = *keys;
    self->outbox = outbox;
    self->ops = *ops;
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        snprintf(self->topic[i], sizeof(self->topic[i]), "%s.%s", kinds[i], conf->name);
    for (unsigned i = 0; i < conf->master_count; i++) {
        self->count++;
        if (open_door(self, i) == 0)
            continue;
        int kept = errno;
        uplink_destroy(&self);
        errno = kept;
        return NULL;
    }
    return self;
}

void uplink_destroy(struct uplink **self)
{
    if (!*self)
        return;
    for (unsigned i = 0; i < (*self)->count; i++)
        close_door(&(*self)->doors[i]);
    curve_keys_wipe(&(*self)->keys);
    free(*self);
    *self = NULL;
}

// -- what we say

void uplink_publish(struct uplink *self, enum topic topic, const Postern__Publication *publication)
{
    for (unsigned i = 0; i < self->count; i++)
        stream_send(self->doors[i].publish, self->topic[topic], CONTROL_PUBLICATION,
                    &publication->base);
}

// PUB may lose everything, heartbeats too. A master that for a whole second has not come on, though
// it lacks what was there then, hears of it on its own line.
static void watch_progress(struct door *door)
{
    const struct producer *producer = outbox_producer(door->uplink->outbox);
    const struct producer_master *master = &producer->masters[door->number];
    uint64_t upto = master->epoch == producer->epoch ? master->upto : 0;
    int stalled = upto == door->upto_beat && upto < door->last_beat;
    door->upto_beat = upto;
    door->last_beat = producer->last;
    if (stalled && !timer_active(door->hello) && uplink_heard(door->uplink, door->number))
        say_hello(door);
}

void uplink_heartbeat(struct uplink *self, const char *status)
{
    const struct producer *producer = outbox_producer(self->outbox);
    Postern__Heartbeat beat = POSTERN__HEARTBEAT__INIT;
    Postern__ConfigReport running = POSTERN__CONFIG_REPORT__INIT;
    if (!outbox_settled(self->outbox))
        return;
    beat.node = bytes_of(self->conf->name);
    beat.epoch = producer->epoch;
    beat.first_kept = producer_first_kept(producer);
    beat.last = producer->last;
    beat.clock_ms = clock_wall_ms();
    self->ops.running(self->ops.context, &running);
    beat.revision = running.revision;
    beat.tree = running.tree;
    beat.version = bytes_of(POSTERN_VERSION);
    beat.status = bytes_of(status);
    int listening = 0;
    for (unsigned i = 0; i < self->count; i++) {
        stream_send(self->doors[i].publish, self->topic[TOPIC_NODE], CONTROL_HEARTBEAT, &beat.base);
        listening |= uplink_heard(self, i);
        watch_progress(&self->doors[i]);
    }
    outbox_hurry(self->outbox, listening);
    names_packed_free(&running.holds, running.n_holds);
}

void uplink_hello(struct uplink *self)
{
    for (unsigned i = 0; i < self->count; i++)
        say_hello(&self->doors[i]);
}

int uplink_send(struct uplink *self, unsigned master, enum control_type type,
                const ProtobufCMessage *message)
{
    if (master >= self->count) { // it left meanwhile
        errno = EAGAIN;
        return -1;
    }
    return control_send(self->doors[master].control, NULL, type, message);
}

int uplink_heard(const struct uplink *self, unsigned master)
{
    int64_t heard_ms = self->doors[master].heard_ms;
    return heard_ms && loop_now_ms(self->loop) - heard_ms < HEARD_MS;
}

unsigned uplink_count(const struct uplink *self)
{
    return self->count;
}
