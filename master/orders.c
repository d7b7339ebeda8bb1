// SPDX-License-Identifier: Apache-2.0
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/table.h"
#include "core/base/ulid.h"
#include "master/bodies.h"
#include "master/commands.h"
#include "master/orders_internal.h"
#include "master/takeover.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGAIN_MS = 30000, SOON_MS = 1000, COMMAND_TIMEOUT_MS = 10000, SENT_AT_ONCE = 64 };

struct orders *orders_new(struct master *master)
{
    struct orders *self = allocate(sizeof(*self));
    self->master = master;
    self->open = table_new();
    return self;
}

static int free_order(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    (void)context;
    free(value);
    return 0;
}

void orders_destroy(struct orders **self)
{
    if (!*self)
        return;
    table_each((*self)->open, free_order, NULL);
    table_destroy(&(*self)->open);
    free(*self);
    *self = NULL;
}

// An outcome that the node told in its reply, since its event may lie long back.
struct outcome_job {
    struct writer_job job;
    struct orders *orders;
    char key[160];
    char outcome[32];
};

static void run_outcome(struct writer_job *job, struct writer_databases *databases)
{
    struct outcome_job *self = (struct outcome_job *)job;
    if (cluster_order_settle(databases->cluster, self->key, self->outcome) < 0)
        self->outcome[0] = 0;
}

static void outcome_done(struct writer_job *job)
{
    struct outcome_job *self = (struct outcome_job *)job;
    if (self->outcome[0])
        orders_ended(self->orders, self->key);
    free(self);
}

static void settle(struct orders *self, const char *key, const char *outcome)
{
    struct outcome_job *job = allocate(sizeof(*job));
    job->job = (struct writer_job){run_outcome, outcome_done};
    job->orders = self;
    snprintf(job->key, sizeof(job->key), "%s", key);
    snprintf(job->outcome, sizeof(job->outcome), "%s", outcome);
    if (writer_put(self->master->writer, &job->job) < 0)
        free(job); // it will be told again
}

// What the node says when all is over; anything else means that its event will tell.
static const char *const ends[] = {"released", "failed", "deleted", "deleted before", "unsure"};

struct given {
    struct orders *orders;
    char key[160];
    char node[64]; // who was asked
};

// The worker has let go of the body: it gets it back, then the order again.
static void was_given(void *context, enum body_gift how)
{
    struct given *given = context;
    struct open_order *open = table_get(given->orders->open, given->key, strlen(given->key));
    if (how == BODY_NOWHERE)
        settle(given->orders, given->key, "gone");
    else if (how == BODY_GIVEN && open)
        open->sent_ms = 0;
    free(given);
}

static int give_body(struct given *given)
{
    const struct open_order *open = table_get(given->orders->open, given->key, strlen(given->key));
    struct master *master = given->orders->master;
    struct ulid id;
    if (!open || !master->bodies || ulid_parse(open->order.id, strlen(open->order.id), &id) < 0)
        return 0;
    bodies_give(master->bodies, given->node, &id, open->order.day, was_given, given);
    return 1;
}

// It goes over to another worker: what is to follow soon.
static void follow_takeover(struct orders *self, struct open_order *open, const char *outcome)
{
    static const char fenced[] = "fenced ";
    int64_t soon = loop_now_ms(self->master->loop) - AGAIN_MS + SOON_MS;
    if (strncmp(outcome, fenced, strlen(fenced)) == 0 && !*open->taker) {
        snprintf(open->taker, sizeof(open->taker), "%s", outcome + strlen(fenced));
        open->sent_ms = 0;
    } else if (strcmp(outcome, "adopted") == 0 ||
               (strcmp(outcome, "pending") == 0 &&
                takeover_of(self->master, open->order.node).to)) {
        open->sent_ms = soon;
    }
}

static void heard(void *context, const struct member *member, json_t *reply, const char *error)
{
    struct given *given = context;
    const char *outcome = json_string_value(json_object_get(reply, "outcome"));
    struct open_order *open = table_get(given->orders->open, given->key, strlen(given->key));
    char text[200];
    if (outcome && strcmp(outcome, "no body") == 0 && give_body(given))
        return;
    if (outcome && open)
        follow_takeover(given->orders, open, outcome);
    for (size_t i = 0; outcome && i < ARRAY_LENGTH(ends); i++)
        if (strcmp(outcome, ends[i]) == 0)
            settle(given->orders, given->key, i == 0 ? "delivered" : outcome);
    if (error)
        log_warning("order.undelivered", "node=%s reason=%s", member ? member->name : "gone",
                    log_escape(error, strlen(error), text, sizeof(text)));
    free(given);
}

// Who is to carry it out. The node that quarantined the mail has the first word, as long as it can
// be asked: what it has begun it ends, the rest it leaves behind a fence to one other, for ever.
// Only where a person said so it is passed over.
static const struct member *executor_of(const struct orders *self, const struct open_order *open,
                                        const struct takeover *takeover)
{
    const struct members *members = &self->master->members;
    const struct member *member =
        members_by_name(members, *open->taker ? open->taker : open->order.node);
    if (takeover->to && takeover->force && !takeover_is_up(self->master, member))
        member = members_by_name(members, takeover->to);
    return member;
}

static json_t *command_of(const struct order *order, const struct member *member,
                          const struct takeover *takeover)
{
    json_t *body = json_pack("{s:s, s:s, s:s, s:[s], s:s, s:i}", "command",
                             order->deletes ? "quarantine.delete" : "quarantine.release", "order",
                             order->key, "id", order->id, "recipients", order->address, "day",
                             order->day, "round", (int)order->round);
    if (body && strcmp(member->name, order->node) != 0) {
        json_object_set_new(body, "adopt", json_true());
        json_object_set_new(body, "recipient", json_integer(order->recipient));
    } else if (body && takeover->to) {
        json_object_set_new(body, "fence", json_string(takeover->to));
    }
    return body;
}

static void give(struct orders *self, struct open_order *open)
{
    const struct order *order = &open->order;
    int64_t now = loop_now_ms(self->master->loop);
    if (open->sent_ms && now - open->sent_ms < AGAIN_MS)
        return;
    struct takeover takeover = takeover_of(self->master, order->node);
    const struct member *member = executor_of(self, open, &takeover);
    json_t *body = member && member->heard_ms ? command_of(order, member, &takeover) : NULL;
    if (!body)
        return;
    struct given *given = allocate(sizeof(*given));
    given->orders = self;
    memcpy(given->key, order->key, sizeof(given->key));
    snprintf(given->node, sizeof(given->node), "%s", member->name);
    open->sent_ms = now;
    commands_send(self->master->commands, member, body, COMMAND_TIMEOUT_MS, heard, given);
    json_decref(body);
}

void orders_add(struct orders *self, const struct order *order)
{
    struct open_order *known = table_get(self->open, order->key, strlen(order->key));
    if (known)
        known->order.copied |= order->copied;
    if (known)
        return;
    struct open_order *open = allocate(sizeof(*open));
    open->order = *order;
    table_put(self->open, order->key, strlen(order->key), open);
    give(self, open);
    orders_share(self);
}

void orders_ended(struct orders *self, const char *key)
{
    free(table_remove(self->open, key, strlen(key)));
}

struct of_node {
    const char *name;
    size_t count;
};

static int forget_sent(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    struct open_order *open = value;
    struct of_node *of = context;
    if (strcmp(open->order.node, of->name) != 0 && strcmp(open->taker, of->name) != 0)
        return 0;
    open->sent_ms = 0;
    return 0;
}

void orders_node_is_back(struct orders *self, const struct member *member)
{
    orders_hurry(self, member->name);
}

void orders_hurry(struct orders *self, const char *node)
{
    struct of_node of = {.name = node};
    table_each(self->open, forget_sent, &of);
}

static int count_of(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    const struct open_order *open = value;
    struct of_node *of = context;
    of->count += strcmp(open->order.node, of->name) == 0;
    return 0;
}

size_t orders_open_of(const struct orders *self, const char *node)
{
    struct of_node of = {.name = node};
    table_each(self->open, count_of, &of);
    return of.count;
}

static int give_one(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    struct orders *self = context;
    struct open_order *open = value;
    int64_t before = open->sent_ms;
    give(self, open);
    if (open->sent_ms != before)
        self->room--;
    return self->room == 0;
}

void orders_tick(struct orders *self)
{
    self->room = SENT_AT_ONCE;
    table_each(self->open, give_one, self);
    orders_share(self);
}

size_t orders_open(const struct orders *self)
{
    return table_count(self->open);
}
