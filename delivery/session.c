// SPDX-License-Identifier: Apache-2.0
// One connection to a next hop: carries transactions one after the other.
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/net/connection.h"
#include "core/net/tls.h"
#include "delivery/destination.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 30 * 1000,
    IDLE_MS = 5000,     // a connection without mail is kept so long
    MAILS_MOST = 1000,  // on one connection
    CHUNK = 256 * 1024, // of a body queued at once
};

enum session_state {
    SESSION_OPENING, // not ready for mail yet
    SESSION_BUSY,
    SESSION_IDLE,
};

struct session {
    struct session *next, *previous;           // of the destination
    struct session *idle_next, *idle_previous; // of all idle ones, while idle
    struct destination *destination;
    struct target target;
    struct connection *connection;
    struct client *client;
    enum session_state state;
    struct shipment *shipment;
    struct body_reader body;
    int sending_body;
    int handshaking;
    unsigned mails;
};

static void on_event(void *context, enum connection_event event);

// -- lists

static void join(struct session *self)
{
    struct destination *destination = self->destination;
    self->next = destination->sessions;
    if (self->next)
        self->next->previous = self;
    destination->sessions = self;
    destination->open++;
    destination->opening++;
    destination->deliverer->sessions++;
}

static void set_state(struct session *self, enum session_state state)
{
    struct deliverer *deliverer = self->destination->deliverer;
    if (self->state == SESSION_OPENING && state != SESSION_OPENING)
        self->destination->opening--;
    if (self->state == SESSION_IDLE) {
        if (self->idle_next)
            self->idle_next->idle_previous = self->idle_previous;
        if (self->idle_previous)
            self->idle_previous->idle_next = self->idle_next;
        else
            deliverer->idle = self->idle_next;
        self->idle_next = self->idle_previous = NULL;
    }
    self->state = state;
    if (state != SESSION_IDLE)
        return;
    self->idle_next = deliverer->idle;
    if (self->idle_next)
        self->idle_next->idle_previous = self;
    deliverer->idle = self;
}

struct session *session_idle(struct destination *destination)
{
    struct session *session = destination->sessions;
    while (session && session->state != SESSION_IDLE)
        session = session->next;
    return session;
}

// -- life

static void leave(struct session *self)
{
    struct destination *destination = self->destination;
    set_state(self, SESSION_BUSY); // out of the list of idle ones
    if (self->next)
        self->next->previous = self->previous;
    if (self->previous)
        self->previous->next = self->next;
    else
        destination->sessions = self->next;
    destination->open--;
    destination->deliverer->sessions--;
    client_destroy(&self->client);
    free(self);
}

void session_destroy(struct session *self)
{
    connection_destroy(&self->connection);
    if (self->shipment) {
        self->destination->deliverer->busy--;
        shipment_discard(self->shipment);
    }
    leave(self);
}

static void quit(struct session *self)
{
    client_quit(self->client, connection_output(self->connection));
    connection_close(&self->connection, 0);
    leave(self);
}

void sessions_close_oldest_idle(struct deliverer *deliverer)
{
    struct session *oldest = deliverer->idle;
    while (oldest && oldest->idle_next)
        oldest = oldest->idle_next;
    if (oldest)
        quit(oldest);
}

static enum tls_policy policy_of(const struct session *self)
{
    const struct settings_route *route = destination_route(self->destination);
    enum tls_policy tls = route ? route->tls : TLS_MAY;
    int broken = self->target.plain_until_ms > loop_now_ms(self->destination->deliverer->loop);
    return tls == TLS_MAY && broken ? TLS_NONE : tls;
}

struct session *session_new(struct destination *destination, const struct target *target)
{
    struct deliverer *deliverer = destination->deliverer;
    struct session *self = allocate(sizeof(*self));
    self->destination = destination;
    self->target = *target;
    self->connection =
        connection_connect(deliverer->loop, (const struct sockaddr *)&target->address,
                           target->address_size, NULL, 0, on_event, self);
    if (!self->connection) {
        free(self);
        return NULL;
    }
    struct client_options options = {.hostname = deliverer->hostname, .tls = policy_of(self)};
    self->client = client_new(&options);
    connection_deadline(self->connection, loop_now_ms(deliverer->loop) + CONNECT_MS);
    join(self);
    return self;
}

// -- transactions

static void wait_for_reply(struct session *self)
{
    int64_t now = loop_now_ms(self->destination->deliverer->loop);
    connection_deadline(self->connection, now + client_timeout_ms(self->client));
}

static void end_shipment(struct session *self)
{
    struct shipment *shipment = self->shipment;
    self->shipment = NULL;
    self->destination->deliverer->busy--;
    shipment_end(shipment, self->target.name);
}

static void act(struct session *self, enum client_action action);

static void send_body(struct session *self)
{
    struct buffer *out = connection_output(self->connection);
    wait_for_reply(self);
    do {
        if (body_read(&self->body, CHUNK, out)) {
            self->sending_body = 0;
            act(self, client_body_sent(self->client, out));
            return;
        }
        connection_flush(self->connection);
    } while (connection_unsent(self->connection) == 0);
}

// Takes what waits for the destination; without any the connection rests a while.
static void take_next(struct session *self)
{
    struct destination *destination = self->destination;
    struct shipment *shipment = NULL;
    if (self->mails >= MAILS_MOST) {
        quit(self);
        destination_next(destination);
        return;
    }
    shipment = destination_take(destination);
    if (shipment) {
        session_send(self, shipment);
        return;
    }
    set_state(self, SESSION_IDLE);
    connection_deadline(self->connection, loop_now_ms(destination->deliverer->loop) + IDLE_MS);
}

void session_send(struct session *self, struct shipment *shipment)
{
    set_state(self, SESSION_BUSY);
    self->shipment = shipment;
    self->destination->deliverer->busy++;
    self->mails++;
    queue_begun(shipment->mail, shipment->at, shipment->count);
    body_reader_init(&self->body, &shipment->mail->body);
    act(self, client_mail(self->client, &shipment->client, connection_output(self->connection)));
}

static void ready(struct session *self)
{
    if (self->state == SESSION_OPENING) {
        set_state(self, SESSION_BUSY);
        destination_worked(self->destination, &self->target);
    }
    if (self->shipment)
        end_shipment(self);
    take_next(self);
}

// A server may close a connection that it thinks idle just when the next mail is sent: that mail
// was not heard, so another connection takes it.
static int unheard(const struct session *self)
{
    return self->shipment && self->mails > 1 && client_untouched(self->client) &&
           !self->shipment->retried;
}

static void forget_results(struct shipment *shipment)
{
    for (size_t i = 0; i < shipment->count; i++) {
        free(shipment->recipients[i].text);
        shipment->recipients[i].text = NULL;
        shipment->recipients[i].result = RESULT_NONE;
    }
}

static void close_broken(struct session *self)
{
    struct destination *destination = self->destination;
    struct shipment *shipment = self->shipment;
    enum session_state state = self->state;
    int again = unheard(self), tls_broke = self->handshaking;
    char why[512];
    struct target target = self->target;
    snprintf(why, sizeof(why), "%s", client_error(self->client));
    enum tls_policy tls = policy_of(self);
    self->shipment = NULL;
    connection_destroy(&self->connection);
    leave(self);
    if (shipment) {
        destination->deliverer->busy--;
        if (again) {
            forget_results(shipment);
            shipment->retried = 1;
            destination_again(destination, shipment);
        } else {
            shipment_end(shipment, target.name);
        }
        destination_next(destination);
    } else if (state == SESSION_OPENING && tls_broke && tls == TLS_MAY) {
        destination_plain(destination, &target);
    } else if (state == SESSION_OPENING) {
        destination_failed(destination, &target, why);
    }
}

static void act(struct session *self, enum client_action action)
{
    struct deliverer *deliverer = self->destination->deliverer;
    const struct settings_route *route = destination_route(self->destination);
    switch (action) {
    case CLIENT_WAIT:
        wait_for_reply(self);
        connection_flush(self->connection);
        break;
    case CLIENT_SECURE:
        self->handshaking = 1;
        wait_for_reply(self);
        connection_secure(self->connection, deliverer->tls, self->target.host,
                          route && route->tls == TLS_VERIFY);
        break;
    case CLIENT_BODY:
        self->sending_body = 1;
        send_body(self);
        break;
    case CLIENT_READY:
        ready(self);
        break;
    case CLIENT_CLOSED:
        close_broken(self);
        break;
    }
}

static void lost(struct session *self, const char *why)
{
    client_lost(self->client, why);
    close_broken(self);
}

static void on_data(struct session *self)
{
    if (self->state == SESSION_IDLE) {
        quit(self); // nothing was asked: 421, most likely
        return;
    }
    act(self, client_feed(self->client, connection_input(self->connection),
                          connection_output(self->connection)));
}

static void on_late(struct session *self)
{
    if (self->state == SESSION_IDLE)
        quit(self);
    else
        lost(self, "The next host did not answer in time");
}

static void on_event(void *context, enum connection_event event)
{
    struct session *self = context;
    switch (event) {
    case CONNECTION_OPEN:
        wait_for_reply(self);
        break;
    case CONNECTION_SECURE:
        self->handshaking = 0;
        act(self, client_secured(self->client, connection_output(self->connection)));
        break;
    case CONNECTION_DATA:
        on_data(self);
        break;
    case CONNECTION_SENT:
        if (self->sending_body)
            send_body(self);
        break;
    case CONNECTION_END:
        lost(self, "The next host closed the connection");
        break;
    case CONNECTION_FAILED:
        lost(self, connection_error(self->connection));
        break;
    case CONNECTION_LATE:
        on_late(self);
        break;
    }
}
