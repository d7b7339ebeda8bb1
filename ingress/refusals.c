// SPDX-License-Identifier: Apache-2.0
#include "ingress/refusals.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/table.h"
#include "core/bus/feed.h"
#include "core/journal/record.h"
#include "ingress/holding.h"
#include "ingress/transaction.h"
#include "proto/event.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLUSH_MS = 1000,
    EVENTS_MOST = 500, // in one second; what is beyond is counted, not listed
    RECIPIENTS_MOST = 100,
    KEY_MOST = 1024,
};

// An event on its way to the disk.
struct written {
    struct written *next;
    struct refusals *owner;
    uint8_t *bytes;
    size_t size;
};

struct refusals {
    struct holding *holding;
    struct timer *timer;
    struct table *by_client; // client, helo and sender → Postern__Event, one of `events`
    Postern__Event *events[EVENTS_MOST];
    size_t count;
    uint64_t unlisted;
    struct written *written;
    struct metric *lost;
};

static void flush_later(void *context)
{
    refusals_flush(context);
}

struct refusals *refusals_new(struct loop *loop, struct holding *holding)
{
    struct refusals *self = allocate(sizeof(*self));
    self->holding = holding;
    self->timer = timer_new(loop, flush_later, self);
    self->by_client = table_new();
    self->lost = metric("refusals_untold_total", "");
    return self;
}

static void written_free(struct written *written)
{
    struct written **at = &written->owner->written;
    while (*at != written)
        at = &(*at)->next;
    *at = written->next;
    free(written->bytes);
    free(written);
}

void refusals_destroy(struct refusals **self)
{
    struct refusals *refusals = *self;
    if (!refusals)
        return;
    while (refusals->written)
        written_free(refusals->written);
    for (size_t i = 0; i < refusals->count; i++)
        postern__event__free_unpacked(refusals->events[i], NULL);
    timer_destroy(&refusals->timer);
    table_destroy(&refusals->by_client);
    free(refusals);
    *self = NULL;
}

// -- gathering

static size_t add_part(char key[KEY_MOST], size_t at, struct span part)
{
    size_t size = part.size < KEY_MOST / 3 - 1 ? part.size : KEY_MOST / 3 - 1;
    memcpy(key + at, part.data, size);
    key[at + size] = 0;
    return at + size + 1;
}

static Postern__Event *event_new(const char *client, const char *helo, struct span sender,
                                 const char *reply)
{
    Postern__Event *event = allocate(sizeof(*event));
    postern__event__init(event);
    event->kind = POSTERN__KIND__KIND_REFUSED;
    event->time_ms = event->received_ms = clock_wall_ms();
    bytes_set(&event->client_address, client, strlen(client));
    bytes_set(&event->helo, helo, strlen(helo));
    bytes_set(&event->sender, sender.data, sender.size);
    bytes_set(&event->detail, reply, strlen(reply));
    return event;
}

// The event for this client and sender; NULL when this second has too many.
static Postern__Event *find_event(struct refusals *self, const char *client, const char *helo,
                                  struct span sender, const char *reply)
{
    char key[KEY_MOST];
    size_t size = add_part(key, 0, span_of(client));
    size = add_part(key, size, span_of(helo));
    size = add_part(key, size, sender);
    Postern__Event *event = table_get(self->by_client, key, size);
    if (event && event->n_recipients < RECIPIENTS_MOST)
        return event;
    if (self->count == EVENTS_MOST)
        return NULL;
    event = event_new(client, helo, sender, reply);
    self->events[self->count++] = event;
    (void)table_put(self->by_client, key, size, event);
    return event;
}

static void add_recipient(Postern__Event *event, struct span address, const char *reply)
{
    Postern__EventRecipient *recipient = allocate(sizeof(*recipient));
    postern__event_recipient__init(recipient);
    recipient->recipient = (uint32_t)event->n_recipients;
    recipient->disposition = POSTERN__DISPOSITION__DISPOSITION_REJECTED;
    bytes_set(&recipient->address, address.data, address.size);
    bytes_set(&recipient->reply, reply, strlen(reply));
    event->recipients =
        reallocate(event->recipients, (event->n_recipients + 1) * sizeof(event->recipients[0]));
    event->recipients[event->n_recipients++] = recipient;
}

void refusals_add(void *context, const char *client, const char *helo, struct span sender,
                  struct span recipient, const char *reply)
{
    struct refusals *self = context;
    if (!self->count && !self->unlisted)
        timer_start(self->timer, FLUSH_MS);
    Postern__Event *event = find_event(self, client, helo, sender, reply);
    if (!event)
        self->unlisted++;
    else if (recipient.size)
        add_recipient(event, recipient, reply);
}

// -- writing

static void on_state(void *context, enum journal_state state, struct position where)
{
    struct written *written = context;
    struct refusals *self = written->owner;
    if (state == JOURNAL_WRITTEN)
        return;
    if (state == JOURNAL_DURABLE) {
        feed_committed(self->holding->feed, where, written->bytes, written->size);
        journal_release(self->holding->journal, where); // its segment stays until node has taken it
    } else {
        metric_add(self->lost, 1);
    }
    written_free(written);
}

static void write_event(struct refusals *self, const Postern__Event *event)
{
    struct written *written = allocate(sizeof(*written));
    struct position where;
    written->owner = self;
    written->size = postern__event__get_packed_size(event);
    written->bytes = allocate(written->size);
    postern__event__pack(event, written->bytes);
    written->next = self->written;
    self->written = written;
    struct iovec piece = {written->bytes, written->size};
    if (journal_append(self->holding->journal, RECORD_REFUSED, 0, &piece, 1, on_state, written,
                       &where) == 0)
        return;
    // A full disk is for mail: these can be done without.
    metric_add(self->lost, 1);
    written_free(written);
}

static void write_unlisted(struct refusals *self)
{
    char text[96];
    struct span none = {"", 0};
    snprintf(text, sizeof(text), "%llu further refusals within a second",
             (unsigned long long)self->unlisted);
    Postern__Event *event = event_new("", "", none, text);
    write_event(self, event);
    postern__event__free_unpacked(event, NULL);
    log_warning("refusals.many", "unlisted=%llu", (unsigned long long)self->unlisted);
    self->unlisted = 0;
}

void refusals_flush(struct refusals *self)
{
    for (size_t i = 0; i < self->count; i++) {
        write_event(self, self->events[i]);
        postern__event__free_unpacked(self->events[i], NULL);
    }
    self->count = 0;
    table_destroy(&self->by_client);
    self->by_client = table_new();
    if (self->unlisted)
        write_unlisted(self);
    timer_stop(self->timer);
}
