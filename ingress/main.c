// SPDX-License-Identifier: Apache-2.0
// postern-ingress: the SMTP server of a worker, and the custodian of what it accepts.
//
// Sockets  SMTP (inherited by --listen-fd, or bound from node.conf); run/ingress/<slot> (PULL),
// pipes to analyzers,
//          deliveries and node; run/ingress/<slot>.fd gives the listening sockets to a restarted
//          node.
// Reads    node.conf, state/config/current.
// Writes   state/ingress/<slot>/journal, big, corrupt.
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/process.h"
#include "core/bus/socket.h"
#include "core/net/listening.h"
#include "ingress/fd_server.h"
#include "ingress/listener.h"
#include "ingress/refusals.h"
#include "ingress/spool_owner.h"
#include "ingress/stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTORS = 20000, DRAIN_MS = 30000, DRAIN_CHECK_MS = 100 };

struct ingress {
    struct process process;
    struct loop *loop;
    struct settings *settings;
    struct stage_of_ingress *stage;
    struct spool *spool;
    struct refusals *refusals;
    struct listener *listener;
    struct fd_server *fd_server;
    struct timer *drain;
    int64_t drain_until_ms; // 0: not draining
    int fds[LISTENER_FDS_MOST];
    unsigned fd_count, plain_count; // the last fd_count - plain_count are for implicit TLS
};

// A worker that was never configured asks every client to come again.
static struct settings *first_settings(const char *state)
{
    static const char none[] = "{\"revision\":\"0\",\"documents\":{}}";
    char error[512];
    struct settings *settings = settings_read(state, error, sizeof(error));
    if (settings)
        return settings;
    log_warning("settings.none", "reason=\"%s\"", error);
    return settings_parse(none, sizeof(none) - 1, error, sizeof(error));
}

static void settings_changed(void *context, struct settings *settings)
{
    struct ingress *self = context;
    char error[512];
    spool_settings(self->spool, settings);
    if (listener_settings(self->listener, settings, error, sizeof(error)) < 0)
        log_error("certificate.refused", "reason=\"%s\"", error);
}

static void judged(void *context, const char *client, int bad)
{
    listener_judged(((struct ingress *)context)->listener, client, bad);
}

static void open_sockets(struct ingress *self)
{
    const struct process *process = &self->process;
    const struct nodeconf *conf = &process->conf;
    self->plain_count = conf->smtp_count;
    for (unsigned i = 0; i < process->inherited_count; i++)
        self->fds[self->fd_count++] = process->inherited_fds[i];
    for (unsigned i = self->fd_count; i < conf->smtp_count + (conf->smtps[0] != 0); i++) {
        const char *address = i < conf->smtp_count ? conf->smtp[i] : conf->smtps;
        int fd = listening_socket(address, 1);
        if (fd < 0) {
            fprintf(stderr, "%s: cannot listen on %s: %s; change smtp in %s\n", process->name,
                    address, strerror(errno), process->config_path);
            exit(1);
        }
        self->fds[self->fd_count++] = fd;
    }
}

static void take_slot(struct ingress *self, struct slot *slot)
{
    if (slot_take(slot, self->process.state, STAGE_INGRESS, self->process.slot,
                  holding_has_records) == 0)
        return;
    fprintf(stderr, "%s: no slot under %s/ingress: %s\n", self->process.name, self->process.state,
            strerror(errno));
    exit(1);
}

static void open_listener(struct ingress *self)
{
    char error[512], path[128];
    struct listener_options options = {
        .loop = self->loop,
        .settings = self->settings,
        .node = self->process.conf.name,
        .hostname = self->process.conf.hostname,
        .spool = self->spool,
        .fds = self->fds,
        .fd_count = self->plain_count,
        .tls_fds = self->fds + self->plain_count,
        .tls_fd_count = self->fd_count - self->plain_count,
        .refused = refusals_add,
        .refused_context = self->refusals,
    };
    self->listener = listener_new(&options, error, sizeof(error));
    if (!self->listener) {
        fprintf(stderr, "%s: %s\n", self->process.name, error);
        exit(1);
    }
    snprintf(path, sizeof(path), "%s/ingress/%u.fd", self->process.run,
             stage_own(self->stage)->slot.number);
    self->fd_server = fd_server_new(self->loop, path, self->fds, self->fd_count);
    if (!self->fd_server)
        log_warning("fd-server.none", "path=%s errno=%d", path, errno);
}

// -- the end: no new sessions, running transactions end, then what is in custody, as far as it goes

static void drain_check(void *context)
{
    struct ingress *self = context;
    int quiet = listener_count(self->listener) == 0 && stage_custody(self->stage) == 0 &&
                !stage_owes_events(self->stage);
    if (quiet || loop_now_ms(self->loop) >= self->drain_until_ms)
        loop_stop(self->loop);
    else
        timer_start(self->drain, DRAIN_CHECK_MS);
}

static void connections_gone(void *context)
{
    (void)context; // drain_check counts them, too
}

static void terminate(void *context)
{
    struct ingress *self = context;
    if (self->drain_until_ms != 0)
        return;
    log_info("drain", "connections=%u custody=%zu", listener_count(self->listener),
             stage_custody(self->stage));
    self->drain_until_ms = loop_now_ms(self->loop) + DRAIN_MS;
    listener_drain(self->listener, connections_gone, self);
    timer_start(self->drain, 0);
}

int main(int argc, char **argv)
{
    struct ingress self = {0};
    struct slot slot;
    process_start(&self.process, "postern-ingress", &argc, argv);
    process_limit_descriptors(DESCRIPTORS);
    self.settings = first_settings(self.process.state);
    take_slot(&self, &slot);
    open_sockets(&self);
    self.loop = loop_new();
    self.drain = timer_new(self.loop, drain_check, &self);
    self.stage = stage_new(self.loop, self.process.state, self.process.run, &slot, self.settings,
                           settings_changed, &self);
    if (!self.stage) {
        fprintf(stderr, "%s: slot %u cannot be opened: %s\n", self.process.name, slot.number,
                strerror(errno));
        return 1;
    }
    struct holding *own = stage_own(self.stage);
    self.spool = spool_new(own->custody, own->journal, self.settings, self.process.conf.hostname,
                           own->big_folder);
    self.refusals = refusals_new(self.loop, own);
    open_listener(&self);
    stage_on_judged(self.stage, judged, &self);
    loop_on_signal(self.loop, SIGTERM, terminate, &self);
    loop_on_signal(self.loop, SIGINT, terminate, &self);
    process_watchdog(self.loop);
    log_info("started", "slot=%u sockets=%u", own->slot.number, self.fd_count);
    loop_run(self.loop);

    stage_on_judged(self.stage, NULL, NULL);
    fd_server_destroy(&self.fd_server);
    listener_destroy(&self.listener);
    refusals_flush(self.refusals);
    stage_destroy(&self.stage);
    refusals_destroy(&self.refusals);
    spool_destroy(&self.spool);
    settings_release(&self.settings);
    timer_destroy(&self.drain);
    socket_context_end();
    loop_destroy(&self.loop);
    log_info("stopped", "slot=%u", slot.number);
    log_stop();
    return 0;
}
