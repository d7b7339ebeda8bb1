// SPDX-License-Identifier: Apache-2.0
#include "master/master.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/random.h"
#include "core/bus/control.h"
#include "core/bus/zap.h"
#include "master/alarms.h"
#include "master/api.h"
#include "master/bodies.h"
#include "master/cluster.h"
#include "master/commands.h"
#include "master/compare.h"
#include "master/config.h"
#include "master/damage.h"
#include "master/door.h"
#include "master/enrol.h"
#include "master/intake.h"
#include "master/membership.h"
#include "master/orders.h"
#include "master/peer.h"
#include "master/public.h"
#include "master/repair.h"
#include "master/replicate.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 200, SECOND_TICKS = 5, ANNOUNCE_TICKS = 5, REASON = 512 };

struct failure {
    char *text;
    size_t size;
};

static int fail(const struct failure *failure, const char *what, const char *why)
{
    snprintf(failure->text, failure->size, "%s: %s", what, why);
    return -1;
}

static void on_outcome(void *context, const char *order)
{
    struct master *master = context;
    orders_ended(master->orders, order);
}

static void on_committed(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                         uint64_t mark)
{
    struct master *master = context;
    intake_committed(master, node, epoch, sequence, mark);
    if (sequence && master->api)
        api_committed(master->api);
}

static void on_damaged(void *context, const struct store_damage *damage, uint64_t incarnation)
{
    struct master *master = context;
    master->incarnation = incarnation;
    damage_found(master, damage);
    intake_begin_anew(master);
}

static void on_body(void *context, const struct body *body)
{
    struct master *master = context;
    if (body->state == BODY_GONE)
        bodies_forget(master->bodies, &body->id);
    else
        bodies_want(master->bodies, body);
}

static void add_open_order(void *context, const struct order *order)
{
    orders_add(context, order);
}

static int open_store(struct master *master, const struct failure *failure)
{
    char path[256], error[REASON];
    snprintf(path, sizeof(path), "%s/master", master->conf->state);
    master->writer =
        writer_new(master->loop, path, on_committed, on_outcome, master, error, sizeof(error));
    if (!master->writer)
        return fail(failure, "store", error);
    writer_on_damage(master->writer, on_damaged);
    writer_on_public(master->writer, public_stream_tell, master->public);
    writer_on_body(master->writer, on_body);
    struct writer_databases *databases = writer_databases(master->writer);
    damage_look(master);
    databases->configuration = configuration_open(databases->cluster, master->conf->name,
                                                  &master->sign, error, sizeof(error));
    if (!databases->configuration)
        return fail(failure, "configuration", error);
    master->incarnation = store_incarnation(databases->store);
    master->life = random_u64();
    if (cluster_open_orders(databases->cluster, add_open_order, master->orders) < 0)
        return fail(failure, "orders", "cluster.db cannot be read");
    master->bodies = bodies_new(master);
    if (!master->bodies)
        return fail(failure, "bodies", "cluster.db cannot be read");
    // Last: it puts the writer's first job, and from then on the databases are the writer's alone.
    return enrol_open(master, error, sizeof(error)) < 0 ? fail(failure, "members", error) : 0;
}

static int open_sockets(struct master *master, const struct failure *failure)
{
    static const char *const topics[] = {"result.", "quarantine.", "node.", NULL};
    const struct nodeconf *conf = master->conf;
    char path[256];
    snprintf(path, sizeof(path), "%s/node.key", conf->keys);
    if (curve_keys_read(path, &master->keys) < 0)
        return fail(failure, path, strerror(errno));
    snprintf(path, sizeof(path), "%s/sign.key", conf->keys);
    if (sign_keys_read(path, &master->sign) < 0 &&
        (errno != ENOENT || sign_keys_make(path, &master->sign) < 0))
        return fail(failure, path, strerror(errno));
    master->zap = zap_new(master->loop);
    if (!master->zap)
        return fail(failure, "zap", strerror(errno));
    master->config = stream_publish(master->loop, 1, conf->bind_publish, &master->keys, NULL);
    if (!master->config)
        return fail(failure, conf->bind_publish, strerror(errno));
    master->control =
        control_serve(master->loop, conf->bind_control, &master->keys, intake_control, master);
    if (!master->control)
        return fail(failure, conf->bind_control, strerror(errno));
    master->events = stream_subscribe(master->loop, 1, conf->bind_events, &master->keys, NULL,
                                      topics, intake_event, master);
    if (!master->events)
        return fail(failure, conf->bind_events, strerror(errno));
    master->public = public_stream_new(master);
    return master->public ? 0 : fail(failure, conf->bind_public, strerror(errno));
}

static void tick(void *context)
{
    struct master *self = context;
    self->ticks++;
    intake_tick(self);
    commands_tick(self->commands);
    peer_tick(self->peer);
    repair_tick(self->repair);
    compare_tick(self);
    replicate_tick(self->replicate);
    bodies_tick(self->bodies);
    if (self->ticks % SECOND_TICKS == 0) {
        orders_tick(self->orders);
        intake_measure(self);
        alarms_second(self->alarms);
        membership_tick(self);
        enrol_tick(self);
        public_stream_tick(self->public);
        door_tick(self->door);
        api_turned(self->api);
        api_committed(self->api);
    }
    if (self->ticks % ANNOUNCE_TICKS == 0)
        intake_announce(self);
    timer_start(self->timer, TICK_MS);
}

int master_open(struct master *self, char *ret_error, size_t error_size)
{
    const struct failure failure = {ret_error, error_size};
    char error[REASON];
    self->commands = commands_new(self);
    self->orders = orders_new(self);
    self->door = door_new(self);
    self->replicate = replicate_new(self);
    self->peer = peer_new(self);
    if (open_sockets(self, &failure) < 0 || open_store(self, &failure) < 0)
        return -1;
    self->repair = repair_new(self);
    self->api = api_new(self, error, sizeof(error));
    if (!self->api)
        return fail(&failure, "api", error);
    self->alarms = alarms_new(self);
    self->timer = timer_new(self->loop, tick, self);
    timer_start(self->timer, TICK_MS);
    if (self->conf->master_count == 0)
        enrol_ready(self);
    return 0;
}

void master_close(struct master *self)
{
    timer_destroy(&self->timer);
    repair_destroy(&self->repair);
    alarms_destroy(&self->alarms);
    writer_destroy(&self->writer); // what it had in hand is answered
    replicate_destroy(&self->replicate);
    commands_destroy(&self->commands);
    bodies_destroy(&self->bodies);
    api_destroy(&self->api);
    peer_destroy(&self->peer);
    public_stream_destroy(&self->public);
    door_destroy(&self->door);
    stream_destroy(&self->events);
    stream_destroy(&self->config);
    control_destroy(&self->control);
    zap_destroy(&self->zap);
    orders_destroy(&self->orders);
    members_clear(&self->members);
    curve_keys_wipe(&self->keys);
    json_decref(self->tree);
    sign_keys_wipe(&self->sign);
    self->tree = NULL;
}
