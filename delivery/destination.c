// SPDX-License-Identifier: Apache-2.0
#include "delivery/destination.h"

#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/table.h"
#include "delivery/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONCURRENCY_FIRST = 5,
    CONCURRENCY_MX = 20,
    DEAD_MS = 60 * 1000,    // a target that does not answer
    TARGETS_MS = 60 * 1000, // how long looked-up addresses are used
    PLAIN_MS = 3600 * 1000, // without TLS, after it broke where it only may be
    MINUTE_MS = 60 * 1000,
    WAITING_MOST = 20000,
};

static int64_t now_ms(const struct destination *self)
{
    return loop_now_ms(self->deliverer->loop);
}

const struct settings_route *destination_route(const struct destination *self)
{
    return self->route ? settings_route(self->deliverer->settings, self->route) : NULL;
}

static void wake(void *context)
{
    destination_next(context);
}

struct destination *destination_of(struct deliverer *self, const char *key, const char *route,
                                   const char *domain)
{
    struct destination *destination = table_get(self->destinations, key, strlen(key));
    if (destination)
        return destination;
    destination = allocate(sizeof(*destination));
    destination->deliverer = self;
    destination->key = duplicate(key);
    destination->route = route ? duplicate(route) : NULL;
    destination->domain = domain ? duplicate(domain) : NULL;
    destination->last = &destination->first;
    destination->limit = CONCURRENCY_FIRST;
    destination->wake = timer_new(self->loop, wake, destination);
    table_put(self->destinations, key, strlen(key), destination);
    return destination;
}

static struct shipment *take_first(struct destination *self)
{
    struct shipment *shipment = self->first;
    self->first = shipment->next;
    if (!self->first)
        self->last = &self->first;
    self->waiting--;
    self->deliverer->busy--;
    return shipment;
}

void destination_free(struct destination *self)
{
    while (self->sessions)
        session_destroy(self->sessions);
    while (self->first)
        shipment_discard(take_first(self));
    timer_destroy(&self->wake);
    free(self->key);
    free(self->route);
    free(self->domain);
    free(self);
}

// -- shipments

void shipment_discard(struct shipment *self)
{
    client_recipients_free(self->recipients, self->count);
    free(self->recipients);
    free(self->at);
    free(self);
}

void shipment_end(struct shipment *self, const char *hop)
{
    queue_results(self->mail, self->at, self->recipients, self->count, hop);
    shipment_discard(self);
}

static void settle(struct shipment *shipment, enum result result, const char *status,
                   const char *text, const char *hop)
{
    for (size_t i = 0; i < shipment->count; i++)
        if (shipment->recipients[i].result == RESULT_NONE)
            client_recipient_set(&shipment->recipients[i], result, status, text);
    shipment_end(shipment, hop);
}

// Everything that waits gets the same answer. Results may bring new mail for this destination: it
// comes behind.
static void settle_waiting(struct destination *self, enum result result, const char *status,
                           const char *text)
{
    for (size_t count = self->waiting; count > 0 && self->first; count--)
        settle(take_first(self), result, status, text, self->domain ? self->domain : self->route);
}

void destination_again(struct destination *self, struct shipment *shipment)
{
    shipment->next = self->first;
    self->first = shipment;
    if (!shipment->next)
        self->last = &shipment->next;
    self->waiting++;
    self->deliverer->busy++;
}

void destination_add(struct destination *self, struct shipment *shipment)
{
    self->used_ms = now_ms(self);
    if (now_ms(self) < self->rest_until_ms || self->waiting >= WAITING_MOST) {
        settle(shipment, RESULT_DEFERRED, "4.4.1", self->error,
               self->domain ? self->domain : self->route);
        return;
    }
    *self->last = shipment;
    self->last = &shipment->next;
    self->waiting++;
    self->deliverer->busy++;
    destination_next(self);
}

struct shipment *destination_take(struct destination *self)
{
    const struct settings_route *route = destination_route(self);
    int64_t now = now_ms(self);
    if (!self->first)
        return NULL;
    if (route && route->rate_per_minute > 0) {
        if (now < self->next_start_ms) {
            timer_start(self->wake, self->next_start_ms - now);
            return NULL;
        }
        self->next_start_ms = now + MINUTE_MS / (int64_t)route->rate_per_minute;
    }
    return take_first(self);
}

// -- targets

struct target *destination_target(struct destination *self)
{
    for (size_t i = 0; i < self->targets.count; i++)
        if (self->targets.list[i].dead_until_ms <= now_ms(self))
            return &self->targets.list[i];
    return NULL;
}

static struct target *known(struct targets *targets, const struct target *wanted)
{
    for (size_t i = 0; i < targets->count; i++)
        if (strcmp(targets->list[i].name, wanted->name) == 0)
            return &targets->list[i];
    return NULL;
}

static void rest(struct destination *self, const char *why)
{
    self->failures++;
    self->rest_until_ms = now_ms(self) + schedule_rest_ms(self->failures);
    self->limit = 1;
    snprintf(self->error, sizeof(self->error), "450 4.4.1 %s", why);
    log_info("destination.rests", "destination=%s failures=%u reason=\"%s\"", self->key,
             self->failures, why);
    settle_waiting(self, RESULT_DEFERRED, "4.4.1", self->error);
}

static void targets_found(void *context, const struct targets *found)
{
    struct destination *self = context;
    struct targets targets = *found;
    self->resolving = 0;
    for (size_t i = 0; i < targets.count; i++) {
        const struct target *old = known(&self->targets, &targets.list[i]);
        if (!old)
            continue;
        targets.list[i].dead_until_ms = old->dead_until_ms;
        targets.list[i].plain_until_ms = old->plain_until_ms;
    }
    self->targets = targets;
    self->targets_until_ms = now_ms(self) + TARGETS_MS;
    if (targets.count > 0)
        destination_next(self);
    else if (targets.permanent)
        settle_waiting(self, RESULT_FAILED, targets.status, targets.error);
    else
        rest(self, targets.error);
}

static void find_targets(struct destination *self)
{
    const struct settings_route *route = destination_route(self);
    struct deliverer *deliverer = self->deliverer;
    self->resolving = 1;
    if (self->domain)
        resolver_find_mx(deliverer->resolver, self->domain, deliverer->settings->smtp_port,
                         targets_found, self);
    else if (route)
        resolver_find_hops(deliverer->resolver, route->hops, route->hop_count, targets_found, self);
    else
        targets_found(self, &(struct targets){.error = "The route is gone from the configuration",
                                              .status = "4.3.5"});
}

// -- connections

static unsigned limit_of(const struct destination *self)
{
    const struct settings_route *route = destination_route(self);
    unsigned most = route && route->concurrency > 0 ? route->concurrency : CONCURRENCY_MX;
    return self->limit < most ? self->limit : most;
}

void destination_worked(struct destination *self, const struct target *used)
{
    struct target *target = known(&self->targets, used);
    self->failures = 0;
    self->rest_until_ms = 0;
    if (target)
        target->dead_until_ms = 0;
    if (self->limit < UINT16_MAX)
        self->limit++;
}

void destination_failed(struct destination *self, const struct target *used, const char *why)
{
    struct target *target = known(&self->targets, used);
    log_info("target.failed", "destination=%s target=%s reason=\"%s\"", self->key, used->name, why);
    if (self->open > self->opening) {
        // Others work: it only takes no more connections than these.
        self->limit = (unsigned)(self->open - self->opening);
        return;
    }
    self->limit = self->limit > 2 ? self->limit / 2 : 1;
    if (target)
        target->dead_until_ms = now_ms(self) + DEAD_MS;
    if (destination_target(self)) {
        destination_next(self);
        return;
    }
    // None is left: the next mail after the rest tries them all again.
    for (size_t i = 0; i < self->targets.count; i++)
        self->targets.list[i].dead_until_ms = 0;
    rest(self, why);
}

static int may_open(const struct destination *self)
{
    return self->opening < self->waiting && self->open < limit_of(self) &&
           self->deliverer->sessions < self->deliverer->settings->deliveries_most;
}

static void open_sessions(struct destination *self)
{
    struct target *target = destination_target(self);
    while (target && may_open(self)) {
        if (session_new(self, target))
            continue;
        destination_failed(self, target, "No connection could be made");
        return;
    }
}

void destination_plain(struct destination *self, const struct target *used)
{
    struct target *target = known(&self->targets, used);
    if (target)
        target->plain_until_ms = now_ms(self) + PLAIN_MS;
    destination_next(self);
}

void destination_next(struct destination *self)
{
    struct session *session;
    struct shipment *shipment;
    if (self->resolving)
        return;
    while (self->first && (session = session_idle(self)) && (shipment = destination_take(self)))
        session_send(session, shipment);
    if (!self->first || timer_active(self->wake))
        return;
    if (now_ms(self) >= self->targets_until_ms || self->targets.count == 0) {
        find_targets(self);
        return;
    }
    if (self->deliverer->sessions >= self->deliverer->settings->deliveries_most)
        sessions_close_oldest_idle(self->deliverer);
    open_sessions(self);
}
