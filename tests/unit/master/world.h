// SPDX-License-Identifier: Apache-2.0
#pragma once

// A master in a temporary folder, and a worker that speaks to it over real CURVE sockets; both on
// one loop.
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/loop.h"
#include "core/base/ulid.h"
#include "core/bus/control.h"
#include "mail/schema.h"
#include "master/change.h"
#include "master/cluster.h"
#include "master/config.h"
#include "master/enrol.h"
#include "master/intake.h"
#include "master/master.h"
#include "master/orders.h"
#include "proto/control.pb-c.h"
#include "tests/unit/core/bus/spin.h"

#include <zmq.h>

enum { WORLD_EVENTS = 4096, WORLD_WAIT_MS = 10000 };

struct worker {
    struct world *world;
    struct curve_keys keys;
    struct control *control;
    struct stream *publish, *announced;
    uint64_t epoch, last, first_kept;
    uint64_t acknowledged, acknowledged_incarnation; // what the master said
    ProtobufCBinaryData events[WORLD_EVENTS];        // [sequence - 1]
    int mute;                                        // publishes nothing: all must come by replay
    int sessions, hellos, replays, announcements, commands;
    char revision[REVISION_NAME_SIZE], command[1024], tree[4096];
    struct config *config; // what it was given, merged
    uint64_t command_number;
    // What it answers to a command, from malloc; NULL: nothing.
    char *(*answer)(void *context, const json_t *command, int *ret_failed);
    void *answer_context;
};

struct world {
    struct loop *loop;
    struct nodeconf conf;
    char folder[64];
    struct master master;
    struct worker worker;
};

static inline ProtobufCBinaryData world_bytes(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static inline void worker_hello(void *context)
{
    struct worker *self = context;
    Postern__NodeHello hello = POSTERN__NODE_HELLO__INIT;
    self->sessions++;
    hello.node = world_bytes("worker-1");
    hello.version = world_bytes("0.1.0");
    hello.site = world_bytes("here");
    hello.revision = world_bytes("0");
    hello.epoch = self->epoch;
    hello.first_kept = self->first_kept;
    hello.last = self->last;
    hello.acknowledged_incarnation = self->acknowledged_incarnation;
    hello.acknowledged_epoch = self->epoch;
    hello.acknowledged = self->acknowledged;
    assert_int_equal(control_send(self->control, NULL, CONTROL_NODE_HELLO, &hello.base), 0);
}

static inline void worker_replay(struct worker *self, const Postern__ReplayRequest *request)
{
    uint64_t end = request->to < self->last ? request->to : self->last;
    if (request->epoch != self->epoch)
        return;
    for (uint64_t at = request->from, frames = 0; at <= end && frames < request->credit; frames++) {
        Postern__Publication frame = POSTERN__PUBLICATION__INIT;
        frame.node = world_bytes("worker-1");
        frame.epoch = self->epoch;
        frame.first = at;
        frame.n_events = end - at + 1 < 100 ? end - at + 1 : 100;
        frame.events = &self->events[at - 1];
        frame.replayed = 1;
        at += frame.n_events;
        self->replays++;
        assert_int_equal(control_send(self->control, NULL, CONTROL_REPLAYED, &frame.base), 0);
    }
}

static inline void worker_hear_hello(struct worker *self, const uint8_t *data, size_t size)
{
    Postern__MasterHello *hello = postern__master_hello__unpack(NULL, size, data);
    assert_non_null(hello);
    self->hellos++;
    if (hello->incarnation != self->acknowledged_incarnation)
        self->acknowledged = 0;
    self->acknowledged_incarnation = hello->incarnation;
    postern__master_hello__free_unpacked(hello, NULL);
}

static inline void worker_hear_ack(struct worker *self, const uint8_t *data, size_t size)
{
    Postern__Ack *ack = postern__ack__unpack(NULL, size, data);
    assert_non_null(ack);
    if (ack->epoch == self->epoch && ack->incarnation == self->acknowledged_incarnation)
        self->acknowledged = ack->upto;
    postern__ack__free_unpacked(ack, NULL);
}

static inline int worker_valid(void *context, const json_t *documents, const char *const *changed,
                               size_t count, char *ret_error, size_t error_size)
{
    (void)context;
    return schema_check_changes(documents, changed, count, ret_error, error_size);
}

// Merges what it is given, as a node does; `tree` is the documents then.
static inline void worker_hear_config(struct worker *self, const uint8_t *data, size_t size)
{
    Postern__ConfigRevisions *message = postern__config_revisions__unpack(NULL, size, data);
    const char *reason;
    assert_non_null(message);
    if (!self->config)
        self->config = config_new(worker_valid, NULL);
    for (size_t i = 0; i < message->n_revisions; i++) {
        struct revision *revision =
            revision_read(message->revisions[i].data, message->revisions[i].len, &reason);
        assert_non_null(revision);
        assert_true(revision_signed_by(revision, self->world->master.sign.public_key));
        (void)!config_add(self->config, &revision);
    }
    config_merge(self->config);
    char *text = json_dumps(config_documents(self->config), JSON_COMPACT | JSON_SORT_KEYS);
    snprintf(self->tree, sizeof(self->tree), "%s", text);
    free(text);
    postern__config_revisions__free_unpacked(message, NULL);
}

static inline void worker_answer(struct worker *self)
{
    json_t *command = json_loads(self->command, 0, NULL);
    int failed = 0;
    char *text = self->answer(self->answer_context, command, &failed);
    json_decref(command);
    if (!text)
        return;
    Postern__CommandReply reply = POSTERN__COMMAND_REPLY__INIT;
    reply.number = self->command_number;
    reply.failed = failed;
    reply.body = world_bytes(text);
    assert_int_equal(control_send(self->control, NULL, CONTROL_REPLY, &reply.base), 0);
    free(text);
}

static inline void worker_hear_command(struct worker *self, const uint8_t *data, size_t size)
{
    Postern__Command *command = postern__command__unpack(NULL, size, data);
    assert_non_null(command);
    self->commands++;
    self->command_number = command->number;
    snprintf(self->command, sizeof(self->command), "%.*s", (int)command->body.len,
             (char *)command->body.data);
    if (self->answer)
        worker_answer(self);
    postern__command__free_unpacked(command, NULL);
}

static inline void worker_hear(void *context, const char *key, enum control_type type,
                               const uint8_t *data, size_t size)
{
    (void)key;
    struct worker *self = context;
    if (type == CONTROL_MASTER_HELLO) {
        worker_hear_hello(self, data, size);
    } else if (type == CONTROL_ACK) {
        worker_hear_ack(self, data, size);
    } else if (type == CONTROL_CONFIG) {
        worker_hear_config(self, data, size);
    } else if (type == CONTROL_COMMAND) {
        worker_hear_command(self, data, size);
    } else if (type == CONTROL_REPLAY) {
        Postern__ReplayRequest *request = postern__replay_request__unpack(NULL, size, data);
        worker_replay(self, request);
        postern__replay_request__free_unpacked(request, NULL);
    } else if (type == CONTROL_ANNOUNCE) {
        Postern__ConfigReport *report = postern__config_report__unpack(NULL, size, data);
        snprintf(self->revision, sizeof(self->revision), "%.*s", (int)report->revision.len,
                 (char *)report->revision.data);
        self->announcements++;
        postern__config_report__free_unpacked(report, NULL);
    }
}

static inline void worker_beat(struct worker *self, const char *status)
{
    Postern__Heartbeat beat = POSTERN__HEARTBEAT__INIT;
    beat.node = world_bytes("worker-1");
    beat.epoch = self->epoch;
    beat.first_kept = self->first_kept;
    beat.last = self->last;
    beat.version = world_bytes("0.1.0");
    beat.revision = world_bytes("0");
    beat.status = world_bytes(status);
    stream_send(self->publish, "node.worker-1", CONTROL_HEARTBEAT, &beat.base);
}

// A frame of events that the worker has, as the live stream brings them.
static inline void worker_publish(struct worker *self, uint64_t first, size_t count)
{
    Postern__Publication frame = POSTERN__PUBLICATION__INIT;
    frame.node = world_bytes("worker-1");
    frame.epoch = self->epoch;
    frame.first = first;
    frame.n_events = count;
    frame.events = &self->events[first - 1];
    stream_send(self->publish, "result.worker-1", CONTROL_PUBLICATION, &frame.base);
}

// A new event in the worker's outbox; it is not published yet. Its sequence.
static inline uint64_t worker_add(struct worker *self, const Postern__Event *event)
{
    assert_true(self->last < WORLD_EVENTS);
    size_t size = postern__event__get_packed_size(event);
    ProtobufCBinaryData *slot = &self->events[self->last++];
    free(slot->data);
    slot->data = allocate(size);
    slot->len = postern__event__pack(event, slot->data);
    return self->last;
}

// A mail that was delivered: one event.
static inline uint64_t worker_add_mail(struct worker *self, const char *message_id)
{
    Postern__Event event = POSTERN__EVENT__INIT;
    Postern__EventRecipient recipient = POSTERN__EVENT_RECIPIENT__INIT, *list[] = {&recipient};
    struct ulid id = ulid_new(clock_wall_ms());
    event.kind = POSTERN__KIND__KIND_DONE;
    event.time_ms = event.received_ms = clock_wall_ms();
    event.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
    event.message_id = world_bytes(message_id);
    event.sender = world_bytes("anna@client.example");
    recipient.address = world_bytes("bert@example.org");
    recipient.disposition = POSTERN__DISPOSITION__DISPOSITION_DELIVERED;
    recipient.reply = world_bytes("250 2.0.0 taken");
    event.recipients = list;
    event.n_recipients = 1;
    return worker_add(self, &event);
}

static inline void worker_new_epoch(struct worker *self, uint64_t epoch)
{
    self->epoch = epoch;
    self->last = self->acknowledged = 0;
    self->first_kept = 1;
}

static inline void worker_connect(struct worker *self)
{
    static const char *const topics[] = {"config", NULL};
    const struct nodeconf *conf = &self->world->conf;
    const char *master = self->world->master.keys.public_key;
    self->control = control_connect(self->world->loop, conf->bind_control, &self->keys, master,
                                    worker_hear, self);
    self->publish = stream_publish(self->world->loop, 0, conf->bind_events, &self->keys, master);
    self->announced = stream_subscribe(self->world->loop, 0, conf->bind_publish, &self->keys,
                                       master, topics, worker_hear, self);
    assert_true(self->control && self->publish && self->announced);
    control_on_session(self->control, worker_hello, self);
}

static inline void worker_disconnect(struct worker *self)
{
    control_destroy(&self->control);
    stream_destroy(&self->publish);
    stream_destroy(&self->announced);
}

// libzmq gives the names of an earlier master free from its own thread, a moment later.
static inline void world_open_master(struct world *self)
{
    char error[1024];
    for (int i = 0; i < 200; i++) {
        memset(&self->master, 0, sizeof(self->master));
        self->master.loop = self->loop;
        self->master.conf = &self->conf;
        if (master_open(&self->master, error, sizeof(error)) == 0)
            return;
        master_close(&self->master);
        spin_for(self->loop, 10);
    }
    fail_msg("%s", error);
}

static inline json_t *world_make(struct change *change, const json_t *documents)
{
    (void)documents;
    return json_incref(change->arguments);
}

static inline void world_changed(struct change *change)
{
    *(unsigned *)change->context = change->status;
}

static inline int world_has_status(void *context)
{
    return *(unsigned *)context != 0;
}

// Changes the configuration, waits until it is followed, and returns the change's status. Takes
// changes.
static inline unsigned world_change(struct world *self, json_t *changes)
{
    unsigned status = 0;
    change_start(change_new(&self->master, changes, world_make, world_changed, &status));
    assert_true(spin_until(self->loop, world_has_status, &status, WORLD_WAIT_MS));
    return status;
}

static inline int world_start(void **state)
{
    struct world *self = allocate(sizeof(*self));
    struct nodeconf *conf = &self->conf;
    struct curve_keys keys;
    char path[256];
    make_folder(self->folder);
    self->loop = loop_new();
    snprintf(conf->name, sizeof(conf->name), "master-a");
    snprintf(conf->role, sizeof(conf->role), "master");
    snprintf(conf->state, sizeof(conf->state), "%s", self->folder);
    snprintf(conf->run, sizeof(conf->run), "%s", self->folder);
    snprintf(conf->keys, sizeof(conf->keys), "%s", self->folder);
    free_endpoint(conf->bind_control);
    free_endpoint(conf->bind_publish);
    free_endpoint(conf->bind_events);
    free_endpoint(conf->bind_public);
    free_endpoint(conf->bind_enrol);
    snprintf(path, sizeof(path), "%s/node.key", self->folder);
    assert_int_equal(curve_keys_make(path, &keys), 0);
    snprintf(path, sizeof(path), "%s/master/messages", self->folder);
    assert_int_equal(file_make_folders(path, 0700), 0);
    self->worker.world = self;
    zmq_curve_keypair(self->worker.keys.public_key, self->worker.keys.secret_key);
    world_open_master(self);
    assert_int_equal(world_change(self, json_pack("{s:{s:s}}", "node/worker-1", "key",
                                                  self->worker.keys.public_key)),
                     200);
    worker_new_epoch(&self->worker, 1);
    *state = self;
    return 0;
}

static inline int world_stop(void **state)
{
    struct world *self = *state;
    worker_disconnect(&self->worker);
    config_destroy(&self->worker.config);
    master_close(&self->master);
    loop_destroy(&self->loop);
    for (size_t i = 0; i < WORLD_EVENTS; i++)
        free(self->worker.events[i].data);
    remove_folder(self->folder);
    free(self);
    return 0;
}

static inline const struct member *member(const struct world *self)
{
    return members_by_name(&self->master.members, "worker-1");
}

static inline int has_session(void *context)
{
    const struct world *self = context;
    return self->worker.hellos > 0 && self->worker.announcements > 0;
}

static inline int all_acknowledged(void *context)
{
    const struct world *self = context;
    return self->worker.acknowledged == self->worker.last;
}

static inline void wait_until(struct world *self, spin_fn *done)
{
    assert_true(spin_until(self->loop, done, self, WORLD_WAIT_MS));
}

// Waits until the doors are open: what is published before is lost, as PUB does.
static inline void await_session(struct world *self)
{
    for (int i = 0; i < 100 && (!has_session(self) || member(self)->status == NULL); i++) {
        worker_beat(&self->worker, "{\"spool\": 3}");
        intake_announce(&self->master);
        spin_for(self->loop, 50);
    }
    assert_true(has_session(self) && member(self)->status);
}

static inline void begin_session(struct world *self)
{
    worker_connect(&self->worker);
    await_session(self);
}
