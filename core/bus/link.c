// SPDX-License-Identifier: Apache-2.0
#include "core/bus/link.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/bus/keys.h"
#include "core/bus/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BIND_AGAIN_MS = 20, CONNECT_AGAIN_MS = 1000, TOPICS_MOST = 16 };

struct link {
    struct loop *loop;
    struct socket_options options; // its strings and keys are ours
    struct curve_keys keys;
    const char *topics[TOPICS_MOST + 1];
    struct link_handlers handlers;
    void *socket; // NULL between a close and the next making
    struct pump *pump;
    struct monitor *monitor; // of a connecting socket
    struct timer *again;
    int connected;
};

static char *copy(const char *text)
{
    return text ? duplicate(text) : NULL;
}

static void copy_options(struct link *self, const struct socket_options *options)
{
    self->options = *options;
    self->options.endpoint = copy(options->endpoint);
    self->options.server_key = copy(options->server_key);
    self->options.zap_domain = copy(options->zap_domain);
    if (options->keys) {
        self->keys = *options->keys;
        self->options.keys = &self->keys;
    }
    self->options.topics = self->topics;
    for (size_t i = 0; options->topics && options->topics[i] && i < TOPICS_MOST; i++)
        self->topics[i] = duplicate(options->topics[i]);
}

static void free_options(struct link *self)
{
    for (size_t i = 0; self->topics[i]; i++)
        free((char *)self->topics[i]);
    free((char *)self->options.endpoint);
    free((char *)self->options.server_key);
    free((char *)self->options.zap_domain);
    curve_keys_wipe(&self->keys);
}

static void on_stirred(void *context)
{
    struct link *self = context;
    if (self->handlers.stirred)
        self->handlers.stirred(self->handlers.context);
}

static void set_connected(struct link *self, int connected)
{
    if (self->connected == connected)
        return;
    self->connected = connected;
    if (self->handlers.state)
        self->handlers.state(self->handlers.context, connected);
}

static void on_monitor(void *context, enum monitor_event event)
{
    struct link *self = context;
    if (event == MONITOR_REFUSED) {
        // Not all at once: there may be many of us, and the master that refused may be just
        // starting.
        timer_start(self->again, CONNECT_AGAIN_MS + (int64_t)(random_u64() % CONNECT_AGAIN_MS));
        return;
    }
    set_connected(self, event == MONITOR_CONNECTED);
}

static void close_link(struct link *self)
{
    timer_stop(self->again);
    monitor_destroy(&self->monitor);
    pump_destroy(&self->pump);
    close_socket(&self->socket);
}

// The monitor comes before the connection, whose first events it would miss.
static int open_socket(struct link *self)
{
    self->socket = make_socket(&self->options);
    if (!self->socket)
        return -1;
    if (!self->options.bind)
        self->monitor = monitor_new(self->loop, self->socket, on_monitor, self);
    if ((!self->options.bind && !self->monitor) ||
        attach_socket(self->socket, &self->options) < 0) {
        int failure = errno;
        close_link(self);
        errno = failure;
        return -1;
    }
    int receives = self->handlers.received != NULL;
    self->pump = pump_new(self->loop, self->socket, self->handlers.received,
                          receives ? NULL : on_stirred, receives ? self->handlers.context : self);
    return 0;
}

static void try_later(struct link *self)
{
    // libzmq closes from its own thread: the port is free a moment later.
    if (errno != EADDRINUSE)
        log_warning("socket-failed", "endpoint=%s error=%s", self->options.endpoint,
                    zmq_strerror(errno));
    timer_start(self->again, self->options.bind ? BIND_AGAIN_MS : CONNECT_AGAIN_MS);
}

static void reopen(void *context)
{
    struct link *self = context;
    close_link(self);
    if (open_socket(self) < 0)
        try_later(self);
    set_connected(self, 0); // last: the handler may destroy the link
}

// What passes by itself, however the link was asked for.
static int lacks_resources(int failure)
{
    return failure == EMFILE || failure == ENFILE || failure == ENOMEM || failure == ENOBUFS;
}

struct link *link_new(struct loop *loop, const struct socket_options *options,
                      const struct link_handlers *handlers)
{
    struct link *self = allocate(sizeof(*self));
    self->loop = loop;
    self->handlers = *handlers;
    copy_options(self, options);
    self->again = timer_new(loop, reopen, self);
    if (open_socket(self) == 0)
        return self;
    int failure = errno;
    if (!options->bind && lacks_resources(failure)) {
        try_later(self);
        return self;
    }
    link_destroy(&self);
    errno = failure;
    return NULL;
}

void link_destroy(struct link **self)
{
    struct link *link = *self;
    if (!link)
        return;
    close_link(link);
    timer_destroy(&link->again);
    free_options(link);
    free(link);
    *self = NULL;
}

void link_reopen(struct link *self)
{
    reopen(self);
}

static int send_part(void *socket, zmq_msg_t *message, int flags)
{
    int rc;
    do
        rc = zmq_msg_send(message, socket, flags | ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -1 : 0;
}

int link_send(struct link *self, zmq_msg_t *message, int more)
{
    if (!self->socket) {
        errno = EAGAIN;
        return -1;
    }
    int flags = more ? ZMQ_SNDMORE : 0;
    int rc = send_part(self->socket, message, flags);
    // The first answer may be a millisecond old: a send does not always take in the news.
    if (rc < 0 && errno == EAGAIN && pump_writable(self->socket))
        rc = send_part(self->socket, message, flags);
    int failure = errno;
    pump_sent(self->pump);
    errno = failure;
    return rc;
}
