// SPDX-License-Identifier: Apache-2.0
// postern-master: keeps the record of every message of the cluster, hands out the configuration,
// and directs the nodes.
//
// Sockets: ROUTER control, PUB configuration, SUB events (all CURVE, members only), run/api.sock
// (/api/v1), and plain HTTP for the probes.
// Reads:   node.conf, keys/node.key.
// Writes:  state/master/lock, cluster.db (members, configuration, orders), messages/ (the record).
// Threads: the loop, the store's writer, libmicrohttpd's (one for each of its two sockets), the
// log's.
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/process.h"
#include "core/bus/control.h"
#include "core/bus/socket.h"
#include "core/bus/zap.h"
#include "master/api.h"
#include "master/cluster.h"
#include "master/commands.h"
#include "master/config.h"
#include "master/enrol.h"
#include "master/intake.h"
#include "master/orders.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TICK_MS = 200, SECOND_TICKS = 5, ANNOUNCE_TICKS = 25, LOCK_WAIT_MS = 10000 };

struct ticking {
    struct master *master;
    struct timer *timer;
    unsigned count;
};

static void die(const char *what, const char *why)
{
    log_error("master.start", "failed=%s error=\"%s\"", what, why);
    log_stop();
    exit(1);
}

// One master on a state folder. The lock goes with the process; one that is just dying is waited
// for.
static void take_lock(const struct nodeconf *conf)
{
    char path[256];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf(path, sizeof(path), "%s/master/messages", conf->state);
    if (file_make_folders(path, 0750) < 0 || file_make_folders(conf->run, 0755) < 0)
        die(path, strerror(errno));
    snprintf(path, sizeof(path), "%s/master/lock", conf->state);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        die(path, strerror(errno));
    for (int waited_ms = 0; fcntl(fd, F_OFD_SETLK, &lock) < 0; waited_ms += 100) {
        if (waited_ms >= LOCK_WAIT_MS)
            die(path, "another master runs on this state; stop it, or give another --state");
        usleep(100000);
    }
}

static void on_outcome(void *context, const char *order)
{
    struct master *master = context;
    orders_ended(master->orders, order);
}

static void on_committed(void *context, const char *node, uint64_t epoch, uint64_t sequence)
{
    struct master *master = context;
    intake_committed(master, node, epoch, sequence);
    if (sequence && master->api)
        api_committed(master->api);
}

static void add_open_order(void *context, const struct order *order)
{
    orders_add(context, order);
}

static void open_store(struct master *master)
{
    char path[256], error[512];
    snprintf(path, sizeof(path), "%s/master", master->conf->state);
    master->writer =
        writer_new(master->loop, path, on_committed, on_outcome, master, error, sizeof(error));
    if (!master->writer)
        die("store", error);
    struct writer_databases *databases = writer_databases(master->writer);
    master->incarnation = store_incarnation(databases->store);
    json_t *tree = config_tree(databases->cluster);
    if (!tree)
        die("configuration", "cluster.db cannot be read");
    intake_configure(master, tree);
    if (cluster_open_orders(databases->cluster, add_open_order, master->orders) < 0)
        die("orders", "cluster.db cannot be read");
}

static void open_sockets(struct master *master)
{
    static const char *const topics[] = {"result.", "quarantine.", "node.", NULL};
    const struct nodeconf *conf = master->conf;
    char path[256];
    snprintf(path, sizeof(path), "%s/node.key", conf->keys);
    if (curve_keys_read(path, &master->keys) < 0)
        die(path, strerror(errno));
    master->zap = zap_new(master->loop);
    if (!master->zap)
        die("zap", strerror(errno));
    master->config = stream_publish(master->loop, 1, conf->bind_publish, &master->keys, NULL);
    if (!master->config)
        die(conf->bind_publish, strerror(errno));
    master->control =
        control_serve(master->loop, conf->bind_control, &master->keys, intake_control, master);
    if (!master->control)
        die(conf->bind_control, strerror(errno));
    master->events = stream_subscribe(master->loop, 1, conf->bind_events, &master->keys, NULL,
                                      topics, intake_event, master);
    if (!master->events)
        die(conf->bind_events, strerror(errno));
}

static void tick(void *context)
{
    struct ticking *self = context;
    self->count++;
    intake_tick(self->master);
    commands_tick(self->master->commands);
    if (self->count % SECOND_TICKS == 0) {
        orders_tick(self->master->orders);
        api_committed(self->master->api);
    }
    if (self->count % ANNOUNCE_TICKS == 0)
        intake_announce(self->master);
    timer_start(self->timer, TICK_MS);
}

static void stop(void *context)
{
    loop_stop(context);
}

static void open_everything(struct master *master)
{
    char error[512];
    master->loop = loop_new();
    loop_on_signal(master->loop, SIGTERM, stop, master->loop);
    loop_on_signal(master->loop, SIGINT, stop, master->loop);
    process_watchdog(master->loop);
    master->commands = commands_new(master);
    master->orders = orders_new(master);
    open_sockets(master);
    open_store(master);
    if (enrol_load(master) < 0)
        die("members", "cluster.db cannot be read");
    master->api = api_new(master, error, sizeof(error));
    if (!master->api)
        die("api", error);
}

static void close_everything(struct master *master)
{
    writer_destroy(&master->writer); // what it had in hand is answered
    commands_destroy(&master->commands);
    api_destroy(&master->api);
    stream_destroy(&master->events);
    stream_destroy(&master->config);
    control_destroy(&master->control);
    zap_destroy(&master->zap);
    orders_destroy(&master->orders);
    members_clear(&master->members);
    curve_keys_wipe(&master->keys);
    free(master->tree);
    loop_destroy(&master->loop);
}

int main(int argc, char **argv)
{
    struct process process;
    struct master master = {0};
    struct ticking ticking = {.master = &master};
    process_start(&process, "postern-master", &argc, argv);
    process_limit_descriptors(4096);
    umask(0027);
    master.conf = &process.conf;
    take_lock(master.conf);
    open_everything(&master);
    ticking.timer = timer_new(master.loop, tick, &ticking);
    timer_start(ticking.timer, TICK_MS);
    log_info("master.started", "name=%s members=%zu revision=%s", master.conf->name,
             master.members.count, master.revision);
    loop_run(master.loop);
    log_info("master.stopping", "name=%s", master.conf->name);
    timer_destroy(&ticking.timer);
    close_everything(&master);
    log_stop();
    return 0;
}
