// SPDX-License-Identifier: Apache-2.0
#include "master/api_internal.h"
#include "master/cluster.h"
#include "master/orders.h"
#include "master/peer.h"
#include "master/store/database.h"
#include "master/takeover.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The orders given about a mail, with what became of them.
static json_t *orders_about(sqlite3 *db, const char *id, int has_peer)
{
    sqlite3_stmt *row =
        database_prepare(db, "SELECT key,address,deletes,round,author,outcome,reply,"
                             "EXISTS(SELECT 1 FROM order_copies c WHERE c.key=o.key),node"
                             " FROM orders o WHERE id=?1 ORDER BY created_ms,key");
    json_t *list = json_array();
    if (!row)
        return list;
    sqlite3_bind_text(row, 1, id, -1, SQLITE_STATIC);
    while (statement_row(row) == 1)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:b, s:s}", "order",
                            column_text(row, 0), "address", column_text(row, 1), "kind",
                            sqlite3_column_int(row, 2) ? "delete" : "release", "round",
                            sqlite3_column_int(row, 3), "author", column_text(row, 4), "outcome",
                            column_text(row, 5), "reply", column_text(row, 6), "unreplicated",
                            has_peer && !*column_text(row, 5) && !sqlite3_column_int(row, 7),
                            "node", column_text(row, 8)));
    sqlite3_finalize(row);
    return list;
}

// "ID" or "ID/ACTION". The id goes to ret_id; returns the action, "" for none, NULL when there is
// no id.
static const char *split_rest(const char *rest, char ret_id[32])
{
    size_t length = strcspn(rest, "/");
    if (length >= 32)
        return NULL;
    memcpy(ret_id, rest, length);
    ret_id[length] = 0;
    return rest[length] ? rest + length + 1 : "";
}

// What is open of a node that is away tells what a person can do.
static void answer_quarantined(struct call *call)
{
    json_t *mail = json_incref(json_object_get(call->arguments, "mail")), *order;
    char advice[256];
    size_t i;
    json_array_foreach(json_object_get(mail, "orders"), i, order)
    {
        if (*json_string_value(json_object_get(order, "outcome")))
            continue;
        takeover_advice(call->api->master, json_string_value(json_object_get(order, "node")),
                        advice, sizeof(advice));
        if (*advice)
            json_object_set_new(order, "advice", json_string(advice));
    }
    call_answer(call, 200, mail);
}

void get_quarantined(struct api *self, struct request *request, const char *rest)
{
    char id[32];
    const char *action = split_rest(rest, id);
    json_t *value = action ? store_quarantined(self->reader, id) : NULL;
    if (!value) {
        request_refuse(request, 404, "no quarantined mail has the id %.40s", rest);
    } else if (strcmp(action, "body") == 0) {
        answer_body(self, request, id, json_object_get(value, "states"));
        json_decref(value);
    } else if (*action) {
        request_refuse(request, 404, "no such path");
        json_decref(value);
    } else {
        json_object_set_new(value, "orders",
                            orders_about(self->cluster, id, peer_known(self->master->peer)));
        api_call(self, request, answer_quarantined, json_pack("{s:o}", "mail", value));
    }
}

// Orders become durable on the writer's thread, then they are given to their node.
struct order_job {
    struct writer_job job;
    struct call *call;
    struct order *orders;
    char (*outcomes)[32];
    size_t count;
    int failed;
};

static void run_orders(struct writer_job *job, struct writer_databases *databases)
{
    struct order_job *self = (struct order_job *)job;
    int again = json_is_true(json_object_get(self->call->arguments, "again"));
    for (size_t i = 0; i < self->count && !self->failed; i++)
        self->failed = cluster_order(databases->cluster, &self->orders[i], again, self->outcomes[i],
                                     sizeof(self->outcomes[i])) < 0;
}

static void orders_done(struct writer_job *job)
{
    struct order_job *self = (struct order_job *)job;
    json_t *list = json_array();
    for (size_t i = 0; i < self->count && !self->failed; i++) {
        const struct order *order = &self->orders[i];
        if (!self->outcomes[i][0])
            orders_add(self->call->api->master->orders, order);
        int single = peer_known(self->call->api->master->peer) && !order->copied;
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:b}", "order", order->key, "address",
                                        order->address, "outcome", self->outcomes[i],
                                        "unreplicated", single && !self->outcomes[i][0]));
    }
    if (self->failed)
        call_refuse(self->call, 500, "the order cannot be written; see the master's log");
    else
        call_answer(self->call, 202, json_pack("{s:O}", "orders", list));
    json_decref(list);
    free(self->orders);
    free(self->outcomes);
    free(self);
}

static void fill_order(struct order *order, const struct call *call, const json_t *state)
{
    *order = (struct order){.recipient =
                                (unsigned)json_integer_value(json_object_get(state, "recipient")),
                            .deletes = json_is_true(json_object_get(call->arguments, "deletes"))};
    snprintf(order->id, sizeof(order->id), "%s", call_text(call, "id"));
    snprintf(order->address, sizeof(order->address), "%s",
             json_string_value(json_object_get(state, "address")));
    snprintf(order->node, sizeof(order->node), "%s",
             json_string_value(json_object_get(state, "node")));
    snprintf(order->author, sizeof(order->author), "%s", call_text(call, "author"));
    snprintf(order->day, sizeof(order->day), "%s",
             json_string_value(json_object_get(state, "day")));
}

static void start_orders(struct call *call)
{
    const json_t *states = json_object_get(call->arguments, "states");
    struct order_job *job = allocate(sizeof(*job));
    job->job = (struct writer_job){run_orders, orders_done};
    job->call = call;
    job->count = json_array_size(states);
    job->orders = allocate((job->count + 1) * sizeof(*job->orders));
    job->outcomes = allocate((job->count + 1) * sizeof(*job->outcomes));
    for (size_t i = 0; i < job->count; i++)
        fill_order(&job->orders[i], call, json_array_get(states, i));
    if (writer_put(call->api->master->writer, &job->job) == 0)
        return;
    call_refuse(call, 503, "the master is busy; try again");
    free(job->orders);
    free(job->outcomes);
    free(job);
}

// The recipients that the order is about: one by its address, or all.
static json_t *chosen_states(const json_t *value, const char *recipient)
{
    json_t *chosen = json_array(), *state;
    size_t i;
    json_array_foreach(json_object_get(value, "states"), i, state)
    {
        const char *address = json_string_value(json_object_get(state, "address"));
        if (!recipient || strcasecmp(address, recipient) == 0)
            json_array_append(chosen, state);
    }
    return chosen;
}

void post_quarantined(struct api *self, struct request *request, const char *rest)
{
    char id[32];
    const char *action = split_rest(rest, id);
    int deletes = action && strcmp(action, "delete") == 0;
    if (!action || (!deletes && strcmp(action, "release") != 0)) {
        request_refuse(request, 404, "no such path");
        return;
    }
    json_t *body = body_object(request, 1);
    if (!body)
        return;
    json_t *value = store_quarantined(self->reader, id);
    const char *recipient = json_string_value(json_object_get(body, "recipient"));
    json_t *states = chosen_states(value, recipient);
    if (!value)
        request_refuse(request, 404, "no quarantined mail has the id %.40s", id);
    else if (json_array_size(states) == 0)
        request_refuse(request, 404, "%.320s is not among its recipients", recipient);
    else
        api_call(self, request, start_orders,
                 json_pack("{s:s, s:O, s:b, s:b}", "id", id, "states", states, "deletes", deletes,
                           "again", json_is_true(json_object_get(body, "again"))));
    json_decref(states);
    json_decref(value);
    json_decref(body);
}
