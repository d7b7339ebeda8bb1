// SPDX-License-Identifier: Apache-2.0
#pragma once

// A destination: a route, or a domain whose MX hosts take its mail. What waits for it, its
// connections, and how it has behaved lately. Internal to delivering.
#include "delivery/client.h"
#include "delivery/queued.h"
#include "delivery/target.h"

struct connection;
struct deliverer;
struct tls;

// Recipients of one mail for one destination: one transaction.
struct shipment {
    struct shipment *next;
    struct destination *destination;
    struct queued *mail;
    unsigned *at; // places in the mail's recipients
    struct client_recipient *recipients;
    size_t count;
    struct client_mail client;
    int retried; // it has been on a connection that the server had given up
};

struct session;

struct destination {
    struct deliverer *deliverer;
    struct destination *next;
    char *key;                      // "route:NAME" or "mx:DOMAIN"
    char *route;                    // NULL: by MX
    char *domain;                   // for MX
    struct shipment *first, **last; // waiting
    size_t waiting;
    struct session *sessions;
    size_t open;    // sessions
    size_t opening; // of them, not ready for mail yet
    unsigned limit; // connections now; grows with success
    struct targets targets;
    int64_t targets_until_ms;
    int resolving;
    unsigned failures; // in a row, of all targets
    int64_t rest_until_ms;
    char error[600];       // why it rests
    int64_t next_start_ms; // rate limit
    struct timer *wake;
    int64_t used_ms;
};

struct deliverer {
    struct loop *loop;
    struct settings *settings;
    char *hostname;
    struct tls *tls;
    struct resolver *resolver;
    struct table *destinations;
    struct session *idle; // of all destinations, latest first
    size_t sessions, busy;
    struct timer *sweep;
};

// destination.c
struct destination *destination_of(struct deliverer *self, const char *key, const char *route,
                                   const char *domain);
void destination_add(struct destination *self, struct shipment *shipment); // takes it
void destination_next(struct destination *self);                           // starts what may start
struct shipment *
destination_take(struct destination *self); // the next to be sent, NULL: none may now
void destination_again(struct destination *self, struct shipment *shipment); // to the front
void destination_worked(struct destination *self, const struct target *used);
// No connection, or no greeting: tries another target; without any left, all that waits is
// deferred.
void destination_failed(struct destination *self, const struct target *used, const char *why);
void destination_plain(struct destination *self,
                       const struct target *used); // its TLS is broken: goes on without
const struct settings_route *destination_route(const struct destination *self);
struct target *destination_target(struct destination *self); // the best that is alive, NULL: none
void destination_free(struct destination *self);
void shipment_discard(struct shipment *self); // frees it untold: the process ends
void shipment_end(struct shipment *self,
                  const char *hop); // its recipients have results: tells them, frees it

// session.c
struct session *session_new(struct destination *destination,
                            const struct target *target); // NULL with errno
void session_destroy(struct session *self);
void session_send(struct session *self, struct shipment *shipment); // takes it
struct session *
session_idle(struct destination *destination); // one that can take a mail, NULL: none
void sessions_close_oldest_idle(struct deliverer *deliverer);
