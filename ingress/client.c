// SPDX-License-Identifier: Apache-2.0
#include "ingress/client.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/net/connection.h"
#include "core/net/tls.h"
#include "ingress/limits.h"
#include "ingress/listener_state.h"
#include "mail/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void link_client(struct client *self)
{
    struct listener *listener = self->listener;
    self->next = listener->first;
    if (self->next)
        self->next->previous = self;
    listener->first = self;
    listener->count++;
    metric_add(listener->opened, 1);
    metric_add(listener->open, 1);
}

static void unlink_client(struct client *self)
{
    struct listener *listener = self->listener;
    if (self->next)
        self->next->previous = self->previous;
    if (self->previous)
        self->previous->next = self->next;
    else
        listener->first = self->next;
    listener->count--;
    metric_add(listener->open, -1);
}

void client_end(struct client *self, const char *why, int linger)
{
    struct listener *listener = self->listener;
    if (self->session)
        session_log_end(self->session, why);
    else
        log_info("disconnect", "client=%s why=%s", self->address, why);
    unlink_client(self);
    if (self->limited)
        limits_close(listener->shared.limits, self->address);
    session_destroy(&self->session);
    connection_close(&self->connection, linger);
    free(self);
    listener_check_drained(listener);
}

// Lets the session take what has arrived and sends its replies, until neither goes on.
static enum session_want converse(struct client *self)
{
    struct buffer *input = connection_input(self->connection);
    int64_t now_ms = loop_now_ms(self->listener->loop);
    for (;;) {
        size_t before = buffer_size(input);
        enum session_want want = session_feed(self->session, input, now_ms);
        connection_flush(self->connection);
        if (want != SESSION_INPUT || connection_unsent(self->connection) ||
            buffer_size(input) == before || !buffer_size(input))
            return want;
    }
}

// Does what the session wants next. May free the client.
static void pump(struct client *self)
{
    switch (converse(self)) {
    case SESSION_INPUT:
        if (self->ended && !connection_unsent(self->connection)) {
            client_end(self, "client-left", 0);
            return;
        }
        // A client that does not read its replies is not read either.
        connection_reading(self->connection, !connection_unsent(self->connection));
        break;
    case SESSION_ANSWER:
        break;
    case SESSION_TLS:
        connection_secure(self->connection, self->listener->tls, NULL, 0);
        break;
    case SESSION_CLOSE:
        if (session_said_goodbye(self->session))
            client_end(self, "quit", 0);
        else
            client_end(self, "closed", 1);
        return;
    }
    connection_deadline(self->connection, session_deadline(self->session));
}

static void on_wake(void *context)
{
    pump(context);
}

static void begin_session(struct client *self, const char *tls, int early)
{
    struct session_options options = {
        .shared = &self->listener->shared,
        .client = self->address,
        .tls = tls,
        .out = connection_output(self->connection),
        .wake = on_wake,
        .context = self,
        .now_ms = loop_now_ms(self->listener->loop),
    };
    self->session = session_new(&options);
    session_greet(self->session, early);
}

static void on_secure(struct client *self)
{
    const char *cipher = connection_tls(self->connection);
    if (self->session)
        session_secured(self->session, cipher);
    else
        begin_session(self, cipher, 0);
    pump(self);
}

static void on_event(void *context, enum connection_event event)
{
    struct client *self = context;
    switch (event) {
    case CONNECTION_OPEN: // accepted connections are open
        break;
    case CONNECTION_SECURE:
        on_secure(self);
        break;
    case CONNECTION_DATA:
    case CONNECTION_SENT:
        pump(self);
        break;
    case CONNECTION_END: // its last commands, and a message that waits, still get their replies
        self->ended = 1;
        pump(self);
        break;
    case CONNECTION_FAILED:
        client_end(self, "broken", 0);
        break;
    case CONNECTION_LATE:
        if (self->session)
            session_late(self->session);
        client_end(self, "timeout", 0);
        break;
    }
}

// A client that speaks before the banner is no mail server.
static int speaks_early(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void client_new(struct listener *listener, int fd, const char *address, int limited, int tls)
{
    struct client *self = allocate(sizeof(*self));
    int early = !tls && speaks_early(fd);
    self->listener = listener;
    self->limited = limited;
    snprintf(self->address, sizeof(self->address), "%s", address);
    self->connection = connection_accepted(listener->loop, fd, on_event, self);
    link_client(self);
    if (!tls) {
        begin_session(self, "", early);
        pump(self);
        return;
    }
    connection_secure(self->connection, listener->tls, NULL, 0);
    connection_deadline(self->connection,
                        loop_now_ms(listener->loop) +
                            (int64_t)listener->shared.settings->command_timeout_s * 1000);
}

void client_drain(struct client *self)
{
    if (!self->session) {
        client_end(self, "drain", 0);
        return;
    }
    session_drain(self->session);
    pump(self);
}
