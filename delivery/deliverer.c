// SPDX-License-Identifier: Apache-2.0
#include "delivery/deliverer.h"

#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/table.h"
#include "core/net/tls.h"
#include "delivery/destination.h"
#include "delivery/resolver.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    TRANSACTION_MOST = 100, // recipients: what every server must take (RFC 5321 4.5.3.1.8)
    SWEEP_MS = 500,
    FORGET_MS = 10 * 60 * 1000,
    KEY_SIZE = 300,
    DOMAIN_SIZE = 256,
};

static void sweep(void *context);

static const char *resolver_of(const struct settings *settings)
{
    return settings->resolver ? settings->resolver : "";
}

static struct resolver *make_resolver(struct deliverer *self)
{
    return resolver_new(self->loop, self->settings->resolver);
}

struct deliverer *deliverer_new(struct loop *loop, struct settings *settings, const char *hostname,
                                char *ret_error, size_t error_size)
{
    struct deliverer *self = allocate(sizeof(*self));
    self->loop = loop;
    self->settings = settings_retain(settings);
    self->hostname = duplicate(hostname);
    self->destinations = table_new();
    self->sweep = timer_new(loop, sweep, self);
    self->tls = tls_client_new(NULL, ret_error, error_size);
    self->resolver = make_resolver(self);
    timer_start(self->sweep, SWEEP_MS);
    if (self->tls && !self->resolver)
        snprintf(ret_error, error_size, "libunbound cannot be set up");
    if (!self->tls || !self->resolver)
        deliverer_destroy(&self);
    return self;
}

static int free_destination(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size, (void)context;
    destination_free(value);
    return 0;
}

void deliverer_destroy(struct deliverer **self_pointer)
{
    struct deliverer *self = *self_pointer;
    if (!self)
        return;
    resolver_destroy(&self->resolver);
    table_each(self->destinations, free_destination, NULL);
    table_destroy(&self->destinations);
    timer_destroy(&self->sweep);
    tls_release(&self->tls);
    settings_release(&self->settings);
    free(self->hostname);
    free(self);
    *self_pointer = NULL;
}

static int look_up_again(const void *key, size_t size, void *value, void *context)
{
    struct destination *destination = value;
    (void)key, (void)size, (void)context;
    destination->resolving = 0;
    destination->targets_until_ms = 0;
    return 0;
}

void deliverer_settings(struct deliverer *self, struct settings *settings)
{
    struct settings *old = self->settings;
    self->settings = settings_retain(settings);
    table_each(self->destinations, look_up_again, NULL);
    // Lookups under way are forgotten with their resolver; the sweep asks anew.
    struct resolver *resolver = make_resolver(self);
    if (resolver) {
        resolver_destroy(&self->resolver);
        self->resolver = resolver;
    } else {
        log_error("resolver.refused", "resolver=%s", resolver_of(settings));
    }
    settings_release(&old);
}

// -- time

static int sweep_one(const void *key, size_t size, void *value, void *context)
{
    struct deliverer *self = context;
    struct destination *destination = value;
    int64_t now = loop_now_ms(self->loop);
    if (destination->first) {
        destination_next(destination); // a place under the common limit may be free by now
        return 0;
    }
    if (destination->open > 0 || destination->resolving || now < destination->rest_until_ms ||
        now - destination->used_ms < FORGET_MS)
        return 0;
    table_remove(self->destinations, key, size);
    destination_free(destination);
    return 0;
}

static void sweep(void *context)
{
    struct deliverer *self = context;
    timer_start(self->sweep, SWEEP_MS);
    table_each(self->destinations, sweep_one, self);
}

// -- from mails to shipments

static struct span domain_of(const Postern__Recipient *recipient)
{
    const char *address = (const char *)recipient->address.data;
    const char *at =
        recipient->address.len > 0 ? memrchr(address, '@', recipient->address.len) : NULL;
    if (!at)
        return (struct span){"", 0};
    return (struct span){at + 1, recipient->address.len - (size_t)(at + 1 - address)};
}

// Names the destination of an address: its domain's route, else its MX. NULL: it cannot have one.
static struct destination *destination_for(struct deliverer *self,
                                           const Postern__Recipient *recipient)
{
    char key[KEY_SIZE], domain[DOMAIN_SIZE];
    struct span found = domain_of(recipient);
    if (found.size == 0 || found.size >= sizeof(domain))
        return NULL;
    for (size_t i = 0; i < found.size; i++)
        domain[i] = (char)tolower((unsigned char)found.data[i]);
    domain[found.size] = '\0';
    const struct settings_domain *ours = settings_domain(self->settings, domain, found.size);
    if (ours && ours->route) {
        snprintf(key, sizeof(key), "route:%s", ours->route);
        return destination_of(self, key, ours->route, NULL);
    }
    snprintf(key, sizeof(key), "mx:%s", domain);
    return destination_of(self, key, NULL, domain);
}

static struct shipment *shipment_new(struct queued *mail, size_t room)
{
    struct shipment *shipment = allocate(sizeof(*shipment));
    shipment->mail = mail;
    shipment->at = allocate(room * sizeof(*shipment->at));
    shipment->recipients = allocate(room * sizeof(*shipment->recipients));
    shipment->client = (struct client_mail){
        .envelope = mail->envelope,
        .recipients = shipment->recipients,
        .size = mail->body.size,
        .eight_bit = mail->body.eight_bit,
        .utf8_header = mail->envelope->smtputf8 && body_header_eight_bit(&mail->body),
    };
    return shipment;
}

static void add_recipient(struct shipment *shipment, unsigned at)
{
    const struct queued *mail = shipment->mail;
    shipment->at[shipment->count] = at;
    shipment->recipients[shipment->count].recipient =
        mail->envelope->recipients[mail->recipients[at].index];
    shipment->client.count = ++shipment->count;
}

// Those who go the way of the first of them, which are taken out of `ways`.
static struct shipment *gather(struct queued *mail, struct destination **ways, unsigned first)
{
    struct shipment *shipment = shipment_new(
        mail, mail->count - first < TRANSACTION_MOST ? mail->count - first : TRANSACTION_MOST);
    struct destination *way = ways[first];
    for (unsigned i = first; i < mail->count && shipment->count < TRANSACTION_MOST; i++) {
        if (ways[i] != way || mail->recipients[i].state != QUEUED_OUT)
            continue;
        add_recipient(shipment, i);
        ways[i] = NULL;
    }
    return shipment;
}

static void refuse_address(struct queued *mail, unsigned at)
{
    struct client_recipient result = {0};
    client_recipient_set(&result, RESULT_FAILED, "5.1.3",
                         "553 5.1.3 The address has no usable domain");
    queue_results(mail, &at, &result, 1, "");
    client_recipients_free(&result, 1);
}

// All shipments are made before any is added: a result that comes at once may end the mail.
void deliverer_deliver(struct deliverer *self, struct queued *mail)
{
    struct destination **ways = allocate((mail->count + 1) * sizeof(struct destination *));
    struct shipment *first = NULL, **last = &first;
    unsigned *lost = allocate((mail->count + 1) * sizeof(*lost));
    size_t lost_count = 0;
    for (unsigned i = 0; i < mail->count; i++) {
        if (mail->recipients[i].state != QUEUED_OUT)
            continue;
        ways[i] = destination_for(self, mail->envelope->recipients[mail->recipients[i].index]);
        if (!ways[i])
            lost[lost_count++] = i;
    }
    for (unsigned i = 0; i < mail->count; i++) {
        struct destination *way = ways[i];
        if (!way)
            continue;
        *last = gather(mail, ways, i);
        (*last)->destination = way;
        last = &(*last)->next;
    }
    free(ways);
    for (size_t i = 0; i < lost_count; i++)
        refuse_address(mail, lost[i]);
    free(lost);
    while (first) {
        struct shipment *next = first->next;
        first->next = NULL;
        destination_add(first->destination, first);
        first = next;
    }
}

size_t deliverer_busy(const struct deliverer *self)
{
    return self->busy;
}

size_t deliverer_connections(const struct deliverer *self)
{
    return self->sessions;
}
