// SPDX-License-Identifier: Apache-2.0
// An order is durable on both masters: what is open here is given to the peer until it says that it
// keeps it. Both give it to its node, which carries it out once.
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/table.h"
#include "core/bus/control.h"
#include "master/orders_internal.h"
#include "master/peer.h"
#include "master/store/database.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GIVEN_AT_ONCE = 64, GIVE_AGAIN_MS = 5000 };

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

// -- to the peer

struct giving {
    struct orders *orders;
    Postern__QuarantineOrder orders_given[GIVEN_AT_ONCE], *list[GIVEN_AT_ONCE];
    size_t count;
};

static int add_given(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    struct giving *giving = context;
    struct open_order *open = value;
    const struct order *order = &open->order;
    int64_t now = loop_now_ms(giving->orders->master->loop);
    if (order->copied || (open->given_ms && now - open->given_ms < GIVE_AGAIN_MS))
        return 0;
    Postern__QuarantineOrder *given = &giving->orders_given[giving->count];
    postern__quarantine_order__init(given);
    given->key = bytes_of(order->key);
    given->id = bytes_of(order->id);
    given->recipient = order->recipient;
    given->address = bytes_of(order->address);
    given->deletes = order->deletes;
    given->round = order->round;
    given->node = bytes_of(order->node);
    given->day = bytes_of(order->day);
    given->author = bytes_of(order->author);
    open->given_ms = now;
    giving->list[giving->count++] = given;
    return giving->count == GIVEN_AT_ONCE;
}

void orders_share(struct orders *self)
{
    Postern__OrdersGiven message = POSTERN__ORDERS_GIVEN__INIT;
    if (!self->master->peer || !peer_connected(self->master->peer))
        return; // or the master is only starting
    struct giving *giving = allocate(sizeof(*giving));
    giving->orders = self;
    table_each(self->open, add_given, giving);
    message.orders = giving->list;
    message.n_orders = giving->count;
    if (giving->count > 0 && peer_ask(self->master->peer, CONTROL_PEER_ORDERS, &message.base) < 0)
        log_debug("orders.unshared", "count=%zu", giving->count);
    free(giving);
}

static int forget_copy(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)context;
    struct open_order *open = value;
    open->order.copied = 0;
    open->given_ms = 0;
    return 0;
}

void orders_peer_is_back(struct orders *self)
{
    table_each(self->open, forget_copy, NULL); // it may have been put back to an older state
}

// -- from the peer

struct keeping {
    struct writer_job job;
    struct orders *orders;
    char route[64]; // where the answer goes
    struct order *list;
    char (*outcomes)[32];
    size_t count;
    int failed;
};

// -1: too long, or not what it says it is.
static int copy_text(char *ret, size_t size, const ProtobufCBinaryData *data)
{
    if (data->len >= size || memchr(data->data ? (const char *)data->data : "", 0, data->len))
        return -1;
    memcpy(ret, data->data ? (const char *)data->data : "", data->len);
    ret[data->len] = 0;
    return 0;
}

static int read_order(struct order *ret, const Postern__QuarantineOrder *given)
{
    char key[160];
    *ret = (struct order){
        .recipient = given->recipient, .deletes = given->deletes, .round = given->round};
    if (copy_text(ret->key, sizeof(ret->key), &given->key) < 0 ||
        copy_text(ret->id, sizeof(ret->id), &given->id) < 0 ||
        copy_text(ret->address, sizeof(ret->address), &given->address) < 0 ||
        copy_text(ret->node, sizeof(ret->node), &given->node) < 0 ||
        copy_text(ret->day, sizeof(ret->day), &given->day) < 0 ||
        copy_text(ret->author, sizeof(ret->author), &given->author) < 0)
        return -1;
    if (ret->deletes)
        snprintf(key, sizeof(key), "%s|%u|delete", ret->id, ret->recipient);
    else
        snprintf(key, sizeof(key), "%s|%u|%u", ret->id, ret->recipient, ret->round);
    return strcmp(key, ret->key) == 0 ? 0 : -1;
}

static void run_keeping(struct writer_job *job, struct writer_databases *databases)
{
    struct keeping *self = (struct keeping *)job;
    self->failed = database_execute(databases->cluster, "BEGIN IMMEDIATE") < 0;
    for (size_t i = 0; i < self->count && !self->failed; i++) {
        struct order *order = &self->list[i];
        // It holds what it gives: both copies are known to be there.
        self->failed = cluster_order_keep(databases->cluster, order, self->outcomes[i],
                                          sizeof(self->outcomes[i])) < 0 ||
                       cluster_order_copied(databases->cluster, order->key) < 0;
        order->copied = 1;
    }
    if (database_execute(databases->cluster, self->failed ? "ROLLBACK" : "COMMIT") < 0)
        self->failed = 1;
}

static void free_keeping(struct keeping *self)
{
    free(self->list);
    free(self->outcomes);
    free(self);
}

static void answer_kept(const struct keeping *self)
{
    Postern__OrdersKept kept = POSTERN__ORDERS_KEPT__INIT;
    ProtobufCBinaryData keys[GIVEN_AT_ONCE];
    for (size_t i = 0; i < self->count; i++)
        keys[i] = bytes_of(self->list[i].key);
    kept.keys = keys;
    kept.n_keys = self->count;
    if (control_send(self->orders->master->control, self->route, CONTROL_PEER_ORDERS, &kept.base) <
        0)
        log_debug("orders.unanswered", "count=%zu", self->count);
}

static void keeping_done(struct writer_job *job)
{
    struct keeping *self = (struct keeping *)job;
    for (size_t i = 0; i < self->count && !self->failed; i++)
        if (!self->outcomes[i][0])
            orders_add(self->orders, &self->list[i]);
    if (!self->failed)
        answer_kept(self);
    free_keeping(self);
}

void orders_given(struct orders *self, const char *route, const Postern__OrdersGiven *given)
{
    size_t most = given->n_orders < GIVEN_AT_ONCE ? given->n_orders : GIVEN_AT_ONCE;
    struct keeping *keeping = allocate(sizeof(*keeping));
    keeping->job = (struct writer_job){run_keeping, keeping_done};
    keeping->orders = self;
    snprintf(keeping->route, sizeof(keeping->route), "%s", route);
    keeping->list = allocate((most + 1) * sizeof(*keeping->list));
    keeping->outcomes = allocate((most + 1) * sizeof(*keeping->outcomes));
    for (size_t i = 0; i < most; i++)
        keeping->count += read_order(&keeping->list[keeping->count], given->orders[i]) == 0;
    if (writer_put(self->master->writer, &keeping->job) < 0)
        free_keeping(keeping); // it will be given again
}

// -- the peer's answer

struct copied {
    struct writer_job job;
    struct orders *orders;
    char (*keys)[160];
    size_t count;
    int failed;
};

static void run_copied(struct writer_job *job, struct writer_databases *databases)
{
    struct copied *self = (struct copied *)job;
    for (size_t i = 0; i < self->count && !self->failed; i++)
        self->failed = cluster_order_copied(databases->cluster, self->keys[i]) < 0;
}

static void copied_done(struct writer_job *job)
{
    struct copied *self = (struct copied *)job;
    for (size_t i = 0; i < self->count && !self->failed; i++) {
        struct open_order *open =
            table_get(self->orders->open, self->keys[i], strlen(self->keys[i]));
        if (open)
            open->order.copied = 1;
    }
    free(self->keys);
    free(self);
}

void orders_kept(struct orders *self, const Postern__OrdersKept *kept)
{
    struct copied *copied = allocate(sizeof(*copied));
    size_t most = kept->n_keys < GIVEN_AT_ONCE ? kept->n_keys : GIVEN_AT_ONCE;
    copied->job = (struct writer_job){run_copied, copied_done};
    copied->orders = self;
    copied->keys = allocate((most + 1) * sizeof(*copied->keys));
    for (size_t i = 0; i < most; i++)
        copied->count +=
            copy_text(copied->keys[copied->count], sizeof(copied->keys[0]), &kept->keys[i]) == 0;
    if (writer_put(self->master->writer, &copied->job) == 0)
        return;
    free(copied->keys);
    free(copied);
}
