// SPDX-License-Identifier: Apache-2.0
#include "node/node.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/unpack.h"
#include "node/masters.h"
#include "node/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECOND_MS = 1000, BRISK_MS = 100, BRISK_BEATS = 5, FLUSH_MS = 3000, FLUSH_CHECK_MS = 20 };

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void note(struct node *self, const char *alarm, const char *detail, int clear)
{
    const char *revision = apply_revision(self->apply);
    Postern__Event event = POSTERN__EVENT__INIT;
    event.kind = POSTERN__KIND__KIND_NODE;
    event.time_ms = clock_wall_ms();
    event.alarm = bytes_of(alarm);
    event.detail = bytes_of(detail);
    event.clear = clear;
    event.revision = bytes_of(revision);
    outbox_note(self->outbox, &event);
}

// -- from the stages: one row for each type that they may send

static void on_taking(struct node *self, const ProtobufCMessage *message)
{
    const Postern__Taking *taking = (const Postern__Taking *)message;
    outbox_take(self->outbox, taking);
    for (size_t i = 0; i < taking->n_records; i++)
        shelving_event(self->shelving, taking->records[i]->event.data,
                       taking->records[i]->event.len);
}

static void on_status(struct node *self, const ProtobufCMessage *message)
{
    stages_status(&self->stages, (const Postern__StageStatus *)message);
}

static void on_reloaded(struct node *self, const ProtobufCMessage *message)
{
    apply_reloaded(self->apply, (const Postern__StageReloaded *)message);
}

static void on_reply(struct node *self, const ProtobufCMessage *message)
{
    commands_reply(self->commands, (const Postern__StageReply *)message);
}

static const struct route {
    enum bus_type type;
    const ProtobufCMessageDescriptor *descriptor;
    void (*call)(struct node *self, const ProtobufCMessage *message);
} routes[] = {
    {BUS_TAKING, &postern__taking__descriptor, on_taking},
    {BUS_STATUS, &postern__stage_status__descriptor, on_status},
    {BUS_RELOADED, &postern__stage_reloaded__descriptor, on_reloaded},
    {BUS_REPLY, &postern__stage_reply__descriptor, on_reply},
};

static void receive(void *context, enum bus_type type, const uint8_t *data, size_t size)
{
    struct node *self = context;
    for (size_t i = 0; i < ARRAY_LENGTH(routes); i++) {
        if (routes[i].type != type)
            continue;
        ProtobufCMessage *message =
            protobuf_c_message_unpack(routes[i].descriptor, &unpack_allocator, size, data);
        if (message)
            routes[i].call(self, message);
        protobuf_c_message_free_unpacked(message, NULL);
        return;
    }
    log_warning("bus.unexpected", "type=%d", (int)type);
}

static void send_reload(struct node *self, enum stage stage, unsigned slot, const char *revision)
{
    Postern__ReloadConfig reload = POSTERN__RELOAD_CONFIG__INIT;
    reload.revision = bytes_of(revision);
    if (bus_send(self->bus, stage, slot, BUS_RELOAD, &reload.base) < 0)
        log_debug("reload.unsent", "stage=%s slot=%u", stage_name(stage), slot);
}

// One that connects may have read the file just before it was renewed.
static void peer_seen(void *context, enum stage stage, unsigned slot, int present)
{
    struct node *self = context;
    stages_connected(&self->stages, stage, slot, present);
    if (present)
        send_reload(self, stage, slot, apply_revision(self->apply));
    else
        apply_stage_gone(self->apply, stage, slot);
}

// -- to the masters

static void publish(void *context, enum topic topic, const Postern__Publication *publication)
{
    struct node *self = context;
    uplink_publish(self->uplink, topic, publication);
}

static void taken(void *context, unsigned stage, unsigned slot, const Postern__Taken *message)
{
    struct node *self = context;
    // One that is lost with its pipe is asked for again.
    if (stage >= STAGE_INGRESS && stage < STAGE_NODE && slot < SLOT_MOST &&
        bus_send(self->bus, (enum stage)stage, slot, BUS_TAKEN, &message->base) < 0)
        log_debug("taken.unsent", "stage=%u slot=%u", stage, slot);
}

static void epoch_changed(void *context)
{
    struct node *self = context;
    uplink_hello(self->uplink);
}

static int send_replay(void *context, unsigned master, const Postern__Publication *publication)
{
    struct node *self = context;
    return uplink_send(self->uplink, master, CONTROL_REPLAYED, &publication->base);
}

static void send_body(void *context, unsigned master, const Postern__BodyChunk *chunk)
{
    struct node *self = context;
    if (uplink_send(self->uplink, master, CONTROL_BODY, &chunk->base) < 0)
        log_debug("body.unsent", "master=%u errno=%d", master, errno);
}

// -- from the masters

static void on_replay(void *context, unsigned master, const Postern__ReplayRequest *request)
{
    struct node *self = context;
    replay_request(self->replay, master, request);
}

// No master leads: what each has is merged here.
static void on_holds(void *context, unsigned master, Postern__ConfigNames *const *holds,
                     size_t count, struct span sign)
{
    struct node *self = context;
    apply_master_holds(self->apply, master, holds, count, sign);
}

static void on_config(void *context, unsigned master, const Postern__ConfigRevisions *message)
{
    struct node *self = context;
    apply_revisions(self->apply, master, message);
}

static void on_wanted(void *context, unsigned master, const Postern__ConfigRequest *request)
{
    struct node *self = context;
    apply_wanted(self->apply, master, request);
}

// Every other command is a delivery's.
static int is_rotation(const Postern__Command *command)
{
    json_t *body = json_loadb((const char *)command->body.data, command->body.len,
                              JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(body, "command"));
    int is = name && strcmp(name, "rotate-key") == 0;
    json_decref(body);
    return is;
}

static void on_command(void *context, unsigned master, const Postern__Command *command)
{
    struct node *self = context;
    if (is_rotation(command))
        rotate_asked(self->rotate, master, command->number);
    else
        commands_run(self->commands, master, command);
}

static void on_body(void *context, unsigned master, const Postern__BodyRequest *request)
{
    struct node *self = context;
    bodies_request(self->bodies, master, request);
}

static void on_given(void *context, unsigned master, const Postern__BodyGiven *given)
{
    struct node *self = context;
    bodies_given(self->bodies, master, given);
}

static void on_held(void *context, unsigned master, const Postern__BodiesHeld *held)
{
    struct node *self = context;
    shelving_held(self->shelving, master, held);
}

static int ask_bodies(void *context, unsigned master, const Postern__BodiesQuestion *question)
{
    struct node *self = context;
    return uplink_send(self->uplink, master, CONTROL_BODIES_QUESTION, &question->base);
}

static void running(void *context, Postern__ConfigReport *ret)
{
    struct node *self = context;
    ret->revision = bytes_of(apply_revision(self->apply));
    ret->tree = bytes_of(apply_tree(self->apply));
    ret->n_holds = apply_holds(self->apply)->count;
    ret->holds = names_pack(apply_holds(self->apply));
}

// -- configuration

static int run_work(void *context, journal_work_fn *work, journal_worked_fn *done, void *subject)
{
    struct node *self = context;
    return journal_run(outbox_journal(self->outbox), work, done, subject);
}

static void reload_all(void *context, const char *revision, uint64_t ret_told[STAGE_NODE])
{
    struct node *self = context;
    for (unsigned stage = STAGE_INGRESS; stage < STAGE_NODE; stage++) {
        ret_told[stage] = 0;
        for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
            if (!bus_present(self->bus, (enum stage)stage, slot))
                continue;
            send_reload(self, (enum stage)stage, slot, revision);
            ret_told[stage] |= 1ull << slot;
        }
    }
}

static void request_config(void *context, unsigned master, const struct names *holds)
{
    struct node *self = context;
    Postern__ConfigRequest request = POSTERN__CONFIG_REQUEST__INIT;
    request.n_holds = holds->count;
    request.holds = names_pack(holds);
    if (uplink_send(self->uplink, master, CONTROL_CONFIG_REQUEST, &request.base) < 0)
        log_debug("config.unasked", "master=%u errno=%d", master, errno);
    names_packed_free(&request.holds, request.n_holds);
}

static int give_back(void *context, unsigned master, const Postern__ConfigRevisions *message)
{
    struct node *self = context;
    return uplink_send(self->uplink, master, CONTROL_CONFIG_RETURNED, &message->base);
}

static void report_config(void *context, const char *revision, const char *reason)
{
    struct node *self = context;
    Postern__ConfigReport report = POSTERN__CONFIG_REPORT__INIT;
    running(self, &report);
    report.revision = bytes_of(revision);
    report.refused = reason != NULL;
    report.reason = bytes_of(reason ? reason : "");
    for (unsigned i = 0; i < uplink_count(self->uplink); i++)
        if (uplink_send(self->uplink, i, CONTROL_CONFIG_REPORT, &report.base) < 0)
            log_debug("config.unreported", "master=%u errno=%d", i, errno);
    names_packed_free(&report.holds, report.n_holds);
    if (reason)
        note(self, "config-refused", reason, 0);
}

static unsigned master_keys(const struct nodeconf *conf, const char *ret[MASTERS_MOST])
{
    for (unsigned i = 0; i < conf->master_count; i++)
        ret[i] = conf->masters[i].key;
    return conf->master_count;
}

static void applied(void *context, const struct settings *settings)
{
    struct node *self = context;
    supervise_settings(self->supervise, settings);
    note(self, "", "configuration applied", 0);
    rotate_follow(self->rotate, settings);
    if (!masters_follow(&self->process.conf, settings))
        return;
    const char *keys[MASTERS_MOST];
    unsigned count = master_keys(&self->process.conf, keys);
    log_info("masters", "count=%u", count);
    outbox_masters(self->outbox, keys, count);
    shelving_masters(self->shelving, count);
    uplink_follow(self->uplink);
}

// -- commands

static uint64_t deliveries(void *context)
{
    struct node *self = context;
    uint64_t found = 0;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        if (bus_present(self->bus, STAGE_DELIVERY, slot))
            found |= 1ull << slot;
    return found;
}

static int send_command(void *context, unsigned slot, const Postern__StageCommand *command)
{
    struct node *self = context;
    return bus_send(self->bus, STAGE_DELIVERY, slot, BUS_COMMAND, &command->base);
}

static int send_reply(void *context, unsigned master, const Postern__CommandReply *reply)
{
    enum { MASTER_MOST = 1 << 20 }; // what control_serve takes
    struct node *self = context;
    if (master == COMMANDS_LOCAL) {
        api_reply(self->api, reply);
        return 0;
    }
    if (postern__command_reply__get_packed_size(reply) < MASTER_MOST)
        return uplink_send(self->uplink, master, CONTROL_REPLY, &reply->base);
    errno = EMSGSIZE;
    return -1;
}

// -- the worker's own console

static void run_local(void *context, const Postern__Command *command)
{
    struct node *self = context;
    commands_run(self->commands, COMMANDS_LOCAL, command);
}

static const char *day_of(void *context, const struct ulid *id)
{
    struct node *self = context;
    return shelf_day(shelving_shelf(self->shelving), id);
}

static char *local_status(void *context);

// -- a new key

static void answer_rotation(void *context, unsigned master, uint64_t number, const char *key,
                            const char *error)
{
    struct node *self = context;
    Postern__CommandReply reply = POSTERN__COMMAND_REPLY__INIT;
    json_t *body = json_pack("{s:s}", key ? "key" : "error", key ? key : error);
    char *text = json_dumps(body, JSON_COMPACT);
    reply.number = number;
    reply.failed = key == NULL;
    reply.body = bytes_of(text);
    if (uplink_send(self->uplink, master, CONTROL_REPLY, &reply.base) < 0)
        log_debug("rotate.unanswered", "master=%u errno=%d", master, errno);
    free(text);
    json_decref(body);
}

static void took_keys(void *context, const struct curve_keys *keys)
{
    struct node *self = context;
    self->keys = *keys;
    uplink_rekey(self->uplink, keys);
}

// -- time

static void raise_alarm(void *context, const char *name, const char *detail, int clear)
{
    struct node *self = context;
    log_write(clear ? LOG_INFO : LOG_ERROR, "alarm", "%s=%s detail=\"%s\"",
              clear ? "cleared" : "raised", name, detail);
    note(self, name, detail, clear);
}

static void on_alarm(void *context, const char *name, const char *detail)
{
    raise_alarm(context, name, detail, 0);
}

static struct status_sources sources_of(const struct node *self)
{
    return (struct status_sources){.stages = &self->stages,
                                   .supervise = self->supervise,
                                   .uplink = self->uplink,
                                   .outbox = self->outbox,
                                   .conf = &self->process.conf,
                                   .watch = &self->watch,
                                   .revision = apply_revision(self->apply),
                                   .unconfigured =
                                       settings_unconfigured(apply_settings(self->apply))};
}

static char *local_status(void *context)
{
    struct status_sources from = sources_of(context);
    return status_json(&from);
}

static void tell_probes(struct node *self, const struct status_sources *from)
{
    struct buffer metrics;
    buffer_init(&metrics);
    status_metrics(from, &metrics);
    probes_tell(self->probes, buffer_bytes(&metrics), buffer_size(&metrics), status_unready(from));
    buffer_free(&metrics);
}

// Each second, so that one that has just started hears it too.
static void tell_room(struct node *self)
{
    Postern__QuarantineRoom room = POSTERN__QUARANTINE_ROOM__INIT;
    room.full = shelving_full(self->shelving);
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        if (bus_present(self->bus, STAGE_INGRESS, slot) &&
            bus_send(self->bus, STAGE_INGRESS, slot, BUS_QUARANTINE_ROOM, &room.base) < 0)
            log_debug("room.unsaid", "slot=%u", slot);
}

static void second(void *context)
{
    struct node *self = context;
    struct status_sources from = sources_of(self);
    timer_start(self->second, SECOND_MS);
    stages_second(&self->stages);
    supervise_second(self->supervise);
    apply_second(self->apply);
    commands_second(self->commands);
    shelving_second(self->shelving, apply_settings(self->apply)->quarantine_percent);
    tell_room(self);
    watch_second(&self->watch, &from, loop_now_ms(self->loop), raise_alarm, self);
    tell_probes(self, &from);
}

static void beat(void *context)
{
    struct node *self = context;
    struct status_sources from = sources_of(self);
    char *status = status_json(&from);
    timer_start(self->beat, self->brisk ? BRISK_MS : SECOND_MS);
    self->brisk -= self->brisk > 0;
    uplink_heartbeat(self->uplink, status);
    free(status);
}

// The masters are to know soon, but the pipe to them may be just connecting.
static void beat_briskly(void *context)
{
    struct node *self = context;
    self->brisk = BRISK_BEATS;
    timer_start(self->beat, BRISK_MS);
}

static void on_session(void *context, unsigned master)
{
    struct node *self = context;
    shelving_session(self->shelving, master);
    beat_briskly(context);
}

// -- life

static int open_outbox(struct node *self)
{
    const struct nodeconf *conf = &self->process.conf;
    const char *masters[MASTERS_MOST];
    const struct outbox_ops ops = {publish, taken, epoch_changed, self};
    master_keys(conf, masters);
    snprintf(self->outbox_folder, sizeof(self->outbox_folder), "%s/journal", self->slot.path);
    self->outbox =
        outbox_new(self->loop, self->outbox_folder, conf->name, masters, conf->master_count, &ops);
    if (!self->outbox)
        return -1;
    self->replay = replay_new(self->outbox, self->outbox_folder, conf->name, send_replay, self);
    const struct shelving_ops shelving_ops = {ask_bodies, self};
    self->shelving = shelving_new(self->loop, outbox_journal(self->outbox), self->process.state,
                                  conf->master_count, &shelving_ops);
    const struct api_ops api_ops = {run_local, day_of, local_status, self};
    self->api = api_new(self->loop, outbox_journal(self->outbox), self->process.run,
                        self->process.state, &api_ops);
    if (!self->api)
        return -1;
    self->bodies = bodies_new(outbox_journal(self->outbox), self->process.state, send_body, self);
    return self->replay ? 0 : -1;
}

static int open_uplink(struct node *self)
{
    const struct uplink_ops ops = {.replay = on_replay,
                                   .holds = on_holds,
                                   .config = on_config,
                                   .wanted = on_wanted,
                                   .command = on_command,
                                   .body = on_body,
                                   .held = on_held,
                                   .given = on_given,
                                   .session = on_session,
                                   .running = running,
                                   .context = self};
    self->uplink = uplink_new(self->loop, &self->process.conf, &self->keys, self->outbox, &ops);
    return self->uplink ? 0 : -1;
}

static int open_bus(struct node *self)
{
    self->bus =
        bus_new(self->loop, self->process.run, STAGE_NODE, self->slot.number, receive, self);
    if (!self->bus)
        return -1;
    for (unsigned stage = STAGE_INGRESS; stage < STAGE_NODE; stage++)
        if (bus_watch(self->bus, (enum stage)stage, peer_seen) < 0)
            return -1;
    return 0;
}

// Does a master that is there lack something of ours?
static int is_owed(const struct node *self)
{
    struct status_sources from = sources_of(self);
    int heard = 0;
    for (unsigned i = 0; i < uplink_count(self->uplink); i++)
        heard |= uplink_heard(self->uplink, i);
    return heard && status_lag(&from) > 0;
}

// What the masters have not taken by then is durable, and told at the next start.
static void flushed(void *context)
{
    struct node *self = context;
    if ((outbox_quiet(self->outbox) && !is_owed(self)) ||
        loop_now_ms(self->loop) >= self->flush_until_ms)
        loop_stop(self->loop);
    else
        timer_start(self->flush, FLUSH_CHECK_MS);
}

static void drained(void *context)
{
    struct node *self = context;
    self->flush_until_ms = loop_now_ms(self->loop) + FLUSH_MS;
    timer_start(self->flush, 0);
}

void node_drain(struct node *self)
{
    supervise_drain(self->supervise);
}

static void open_rest(struct node *self)
{
    const struct apply_ops apply_ops = {
        run_work, reload_all, request_config, give_back, report_config, applied, self};
    const struct commands_ops commands_ops = {deliveries, send_command, send_reply, self};
    const struct supervise_ops supervise_ops = {on_alarm, beat_briskly, drained, self};
    const struct rotate_ops rotate_ops = {run_work, answer_rotation, took_keys, self};
    self->rotate = rotate_new(self->process.conf.keys, &rotate_ops);
    self->apply = apply_new(self->process.state, &apply_ops);
    self->commands = commands_new(self->loop, &commands_ops);
    self->supervise =
        supervise_new(self->loop, &self->process, &self->sockets, &self->stages, &supervise_ops);
    self->second = timer_new(self->loop, second, self);
    self->beat = timer_new(self->loop, beat, self);
    self->flush = timer_new(self->loop, flushed, self);
}

int node_open(struct node *self, char *ret_error, size_t error_size)
{
    const char *failed = NULL, *address = self->process.conf.metrics;
    self->probes = probes_new(address);
    if (!self->probes) {
        snprintf(ret_error, error_size, "cannot listen on %s: %s; change metrics in %s", address,
                 strerror(errno), self->process.config_path);
        return -1;
    }
    open_rest(self);
    if (self->apply)
        masters_follow(&self->process.conf, apply_settings(self->apply));
    if (!self->apply)
        failed = "state/config";
    else if (open_outbox(self) < 0)
        failed = "the outbox";
    else if (open_uplink(self) < 0)
        failed = "the sockets to the masters";
    else if (open_bus(self) < 0)
        failed = self->process.run;
    if (failed) {
        snprintf(ret_error, error_size, "%s cannot be opened: %s", failed, strerror(errno));
        return -1;
    }
    note(self, "", "started", 0);
    supervise_settings(self->supervise, apply_settings(self->apply));
    rotate_follow(self->rotate, apply_settings(self->apply));
    timer_start(self->second, 0);
    timer_start(self->beat, 0);
    return 0;
}

void node_close(struct node *self)
{
    timer_destroy(&self->second);
    timer_destroy(&self->beat);
    timer_destroy(&self->flush);
    bus_destroy(&self->bus);
    commands_destroy(&self->commands);
    outbox_destroy(&self->outbox); // its disk thread works for those that follow
    api_destroy(&self->api);
    replay_destroy(&self->replay);
    bodies_destroy(&self->bodies);
    shelving_destroy(&self->shelving);
    uplink_destroy(&self->uplink);
    supervise_destroy(&self->supervise);
    apply_destroy(&self->apply);
    rotate_destroy(&self->rotate);
    probes_destroy(&self->probes);
    stages_free(&self->stages);
    sockets_close(&self->sockets);
}
