// SPDX-License-Identifier: Apache-2.0
#include "ingress/listener.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/net/tls.h"
#include "ingress/client.h"
#include "ingress/greylist.h"
#include "ingress/limits.h"
#include "ingress/listener_state.h"
#include "ingress/reputation.h"
#include "ingress/sharing.h"
#include "mail/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 64, // others are to have their turn, too
    STARVED_MS = 200,      // rest when descriptors have run out
    GREYLIST_MOST = 200000,
    REPUTATION_MOST = 100000,
    KEPT_DESCRIPTORS = 500,
};

static void update_watches(struct listener *self)
{
    int accepting = !self->paused && !self->starved && !self->shared.draining;
    for (unsigned i = 0; i < self->port_count; i++) {
        struct port *port = &self->ports[i];
        watch_events(port->watch, accepting && (!port->tls || self->tls) ? LOOP_READ : 0);
    }
}

static void on_fed_again(void *context)
{
    struct listener *self = context;
    self->starved = 0;
    update_watches(self);
}

static void address_text(const struct sockaddr_storage *address, char ret_text[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    if (address->ss_family == AF_INET)
        (void)inet_ntop(AF_INET, &v4->sin_addr, ret_text, INET6_ADDRSTRLEN);
    else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        (void)inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, ret_text, INET6_ADDRSTRLEN);
    else if (address->ss_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, ret_text, INET6_ADDRSTRLEN);
    else
        snprintf(ret_text, INET6_ADDRSTRLEN, "unknown");
}

// NULL when the client is welcome, else the reply. It is counted in at its limits then.
static const char *overload(struct listener *self, const char *address, int *ret_limited)
{
    const struct settings *settings = self->shared.settings;
    *ret_limited = 0;
    if (settings_wish(settings, self->node) != NODE_WISH_UP)
        return "421 4.3.2 This server takes no mail for now, try another";
    if (self->count >= settings->connections_max || self->count >= self->most)
        return "421 4.7.0 Too many connections, try again later";
    if (network_contains(settings->unlimited, settings->unlimited_count, address))
        return NULL;
    if (!limits_open(self->shared.limits, address, settings->connections_per_client))
        return "421 4.7.0 Too many connections from you, try again later";
    *ret_limited = 1;
    return NULL;
}

// Turned away before anything is spent on it: one write, no linger.
static void turn_away(struct listener *self, int fd, int tls, const char *address,
                      const char *reply)
{
    char line[128];
    int size = snprintf(line, sizeof(line), "%s\r\n", reply);
    struct span none = {"", 0};
    if (!tls && send(fd, line, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("refuse.send", "errno=%d", errno);
    close(fd);
    metric_add(self->refused, 1);
    log_info("refused", "client=%s reply=\"%s\"", address, reply);
    if (self->shared.refused)
        self->shared.refused(self->shared.refused_context, address, "", none, none, reply);
}

static void welcome(struct port *port, int fd, const struct sockaddr_storage *from)
{
    struct listener *self = port->listener;
    char address[INET6_ADDRSTRLEN];
    int limited;
    address_text(from, address);
    const char *reply = overload(self, address, &limited);
    if (reply)
        turn_away(self, fd, port->tls, address, reply);
    else
        client_new(self, fd, address, limited, port->tls);
}

static void on_connection(void *context, int events)
{
    (void)events;
    struct port *port = context;
    struct listener *self = port->listener;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof(from);
        int fd = accept4(port->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(port, fd, &from);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warning("accept.starved", "errno=%d connections=%u", errno, self->count);
            self->starved = 1;
            update_watches(self);
            timer_start(self->rest, STARVED_MS);
            return;
        } else if (errno == EAGAIN) {
            return; // another instance was faster, or all are in
        }
    }
}

// -- life

// Journal, pipes and big messages need descriptors when no more connections can be taken, too.
static unsigned connections_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > UINT_MAX)
        return UINT_MAX;
    unsigned all = (unsigned)limit.rlim_cur;
    return all - (all / 4 < KEPT_DESCRIPTORS ? all / 4 : KEPT_DESCRIPTORS);
}

static int load_certificate(struct listener *self, char *ret_error, size_t error_size)
{
    const struct settings *settings = self->shared.settings;
    struct tls *tls = NULL;
    if (settings->tls_certificate && settings->tls_key) {
        tls = tls_server_new(settings->tls_certificate, settings->tls_key, ret_error, error_size);
        if (!tls)
            return -1;
    }
    metric_set(metric("certificate_expires_s", ""), tls ? tls_server_expires_s(tls) : 0);
    tls_release(&self->tls);
    self->tls = tls;
    self->shared.tls = tls != NULL;
    return 0;
}

static void add_ports(struct listener *self, const int *fds, unsigned count, int tls)
{
    for (unsigned i = 0; i < count && self->port_count < LISTENER_FDS_MOST; i++) {
        struct port *port = &self->ports[self->port_count++];
        *port = (struct port){.listener = self, .fd = fds[i], .tls = tls};
        int flags = fcntl(fds[i], F_GETFL);
        (void)fcntl(fds[i], F_SETFL, flags | O_NONBLOCK);
        // Accepted sockets inherit it: no reply waits for the ACK of the one before.
        (void)setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        port->watch = watch_new(self->loop, fds[i], 0, on_connection, port);
    }
}

struct listener *listener_new(const struct listener_options *options, char *ret_error,
                              size_t error_size)
{
    struct listener *self = allocate(sizeof(*self));
    self->loop = options->loop;
    session_shared_init(&self->shared);
    self->shared.settings = settings_retain(options->settings);
    self->node = options->node;
    self->shared.hostname = options->hostname;
    self->shared.spool = options->spool;
    self->most = connections_most();
    self->shared.limits = limits_new();
    self->shared.greylist = greylist_new(GREYLIST_MOST);
    self->shared.reputation = reputation_new(REPUTATION_MOST);
    self->sharing = sharing_new(self->loop, self->shared.greylist, self->shared.limits,
                                self->shared.reputation);
    sharing_settings(self->sharing, self->shared.settings);
    self->shared.refused = options->refused;
    self->shared.refused_context = options->refused_context;
    self->opened = metric("connections_total", "");
    self->open = metric("connections_open", "");
    self->refused = metric("connections_refused_total", "");
    self->rest = timer_new(self->loop, on_fed_again, self);
    if (load_certificate(self, ret_error, error_size) < 0) {
        listener_destroy(&self);
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN);
    add_ports(self, options->fds, options->fd_count, 0);
    add_ports(self, options->tls_fds, options->tls_fd_count, 1);
    update_watches(self);
    return self;
}

void listener_destroy(struct listener **self)
{
    struct listener *listener = *self;
    if (!listener)
        return;
    listener->drained = NULL;
    while (listener->first)
        client_end(listener->first, "shutdown", 0);
    for (unsigned i = 0; i < listener->port_count; i++)
        watch_destroy(&listener->ports[i].watch);
    timer_destroy(&listener->rest);
    sharing_destroy(&listener->sharing);
    limits_destroy(&listener->shared.limits);
    greylist_destroy(&listener->shared.greylist);
    reputation_destroy(&listener->shared.reputation);
    settings_release(&listener->shared.settings);
    tls_release(&listener->tls);
    free(listener);
    *self = NULL;
}

void listener_pause(struct listener *self, int paused)
{
    self->paused = paused;
    update_watches(self);
}

void listener_drain(struct listener *self, void (*done)(void *context), void *context)
{
    struct client *next;
    self->shared.draining = 1;
    update_watches(self);
    for (struct client *client = self->first; client; client = next) {
        next = client->next;
        client_drain(client);
    }
    self->drained = done;
    self->drained_context = context;
    listener_check_drained(self);
}

void listener_check_drained(struct listener *self)
{
    void (*done)(void *context) = self->drained;
    if (!done || self->count)
        return;
    self->drained = NULL;
    done(self->drained_context);
}

int listener_settings(struct listener *self, struct settings *settings, char *ret_error,
                      size_t error_size)
{
    struct settings *old = self->shared.settings;
    self->shared.settings = settings_retain(settings);
    self->shared.generation++;
    settings_release(&old);
    sharing_settings(self->sharing, settings);
    int result = load_certificate(self, ret_error, error_size);
    update_watches(self);
    return result;
}

void listener_judged(struct listener *self, const char *client, int bad)
{
    reputation_note(self->shared.reputation, client, bad);
}

unsigned listener_count(const struct listener *self)
{
    return self->count;
}
