// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/bus/control.h"
#include "core/bus/zap.h"
#include "mail/nodes.h"
#include "mail/schema.h"
#include "master/alarms.h"
#include "master/api_internal.h"
#include "master/bodies.h"
#include "master/damage.h"
#include "master/orders.h"
#include "master/peer.h"
#include "master/repair.h"
#include "master/replicate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The site that the configuration gives a node, else what the node says.
static const char *site_of(const json_t *documents, const char *name, const char *said)
{
    char document[80];
    snprintf(document, sizeof(document), "node/%s", name);
    const char *site = schema_text(json_object_get(documents, document), "site");
    return site && *site ? site : said;
}

// A count that a node tells as a number, or as an object with the number under `messages`.
static json_int_t amount_of(const json_t *status, const char *key)
{
    const json_t *value = json_object_get(status, key);
    return json_integer_value(json_is_object(value) ? json_object_get(value, "messages") : value);
}

// How its mail flows, from what it said last.
static void add_flow(json_t *row, const json_t *status)
{
    static const struct {
        const char *name, *object, *key;
    } rows[] = {
        {"queue_oldest_ms", "queue", "oldest_ms"},
        {"analysis_wait_ms", "spool", "analysis_wait_ms"},
        {"accepted_per_minute", "mail_per_minute", "accepted"},
        {"rejected_per_minute", "mail_per_minute", "rejected"},
        {"delivered_per_minute", "mail_per_minute", "delivered"},
        {"quarantined_per_minute", "mail_per_minute", "quarantined"},
        {"disk_free_percent", "disk", "free_percent"},
        {"redis", "redis", "role"},
        {"redis_round_trip_ms", "redis", "round_trip_ms"},
    };
    if (!status)
        return;
    json_object_set_new(row, "spool", json_integer(amount_of(status, "spool")));
    json_object_set_new(row, "queue", json_integer(amount_of(status, "queue")));
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        json_t *value = json_object_get(json_object_get(status, rows[i].object), rows[i].key);
        if (json_is_number(value) || json_is_string(value))
            json_object_set(row, rows[i].name, value);
    }
}

static json_t *node_row(const struct master *master, const struct member *member,
                        const json_t *documents)
{
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "name", member->name,
                            "role", role_name(member->role), "state",
                            member_shown_state(member, loop_now_ms(master->loop)), "site",
                            site_of(documents, member->name, member->site), "revision",
                            member->revision, "version", member->version, "key", member->key,
                            "lag_events", (json_int_t)tracker_lag(&member->tracker));
    json_object_set_new(row, "lag_seconds", json_real((double)member->lag_ms / 1000));
    add_flow(row, member->status);
    const char *tree = json_string_value(json_object_get(master->tree, "tree"));
    if (member->tree[0] && tree)
        json_object_set_new(row, "drift", json_boolean(strcmp(member->tree, tree) != 0));
    if (member->refused[0]) {
        json_object_set_new(row, "refused_revision", json_string(member->refused));
        json_object_set_new(row, "reason", json_string(member->reason));
    }
    return row;
}

// Those whose document still stands: they were revoked, not removed.
static void add_revoked(json_t *list, const json_t *documents)
{
    size_t count;
    struct settings_node *nodes = nodes_read(documents, 1, &count);
    for (size_t i = 0; i < count; i++)
        if (nodes[i].is_revoked)
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name",
                                                  nodes[i].name, "role", role_name(nodes[i].role),
                                                  "state", "revoked", "site",
                                                  nodes[i].site ? nodes[i].site : "", "revision",
                                                  "", "version", "", "key", nodes[i].key));
    nodes_free(nodes, count);
}

static json_t *node_rows(const struct master *master)
{
    const json_t *documents = json_object_get(master->tree, "documents");
    json_t *list = json_array();
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name",
                                    master->conf->name, "role", "master", "state", "up", "site",
                                    site_of(documents, master->conf->name, master->conf->site),
                                    "revision", master->revision, "version", POSTERN_VERSION, "key",
                                    master->keys.public_key));
    for (size_t i = 0; i < master->members.count; i++)
        json_array_append_new(list, node_row(master, master->members.list[i], documents));
    add_revoked(list, documents);
    return list;
}

static void answer_nodes(struct call *call)
{
    call_answer(call, 200, node_rows(call->api->master));
}

void get_nodes(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    api_call(self, request, answer_nodes, json_object());
}

static void answer_node(struct call *call)
{
    const struct master *master = call->api->master;
    const char *name = call_text(call, "name");
    json_t *list = node_rows(master), *row, *found = NULL;
    const struct member *member = members_by_name(&master->members, name);
    size_t i;
    json_array_foreach(list, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            found = json_incref(row);
    }
    json_decref(list);
    if (!found) {
        call_refuse(call, 404, "there is no node of that name; see `postern node list`");
        return;
    }
    char document[80];
    snprintf(document, sizeof(document), "node/%.63s", name);
    json_object_set(found, "document",
                    json_object_get(json_object_get(master->tree, "documents"), document));
    if (member && member->status)
        json_object_set(found, "status", member->status);
    call_answer(call, 200, found);
}

void get_node(struct api *self, struct request *request, const char *rest)
{
    json_t *arguments = json_pack("{s:s}", "name", rest);
    if (arguments)
        api_call(self, request, answer_node, arguments);
    else
        request_refuse(request, 400, "this is no name");
}

static void add_processes(json_t *list, const struct member *member)
{
    json_t *process;
    size_t i;
    json_array_foreach(json_object_get(member->status, "processes"), i, process)
    {
        json_t *copy = json_copy(process);
        json_object_set_new(copy, "node", json_string(member->name));
        json_array_append_new(list, copy);
    }
}

struct sums {
    json_int_t spool, queue, lag;
    uint64_t live, replayed;
};

static json_t *link_of(const struct master *master)
{
    json_t *link = peer_status(master->peer);
    if (json_is_object(link))
        json_object_set_new(link, "repair", repair_status(master->repair));
    return link;
}

static json_t *config_status(const struct master *master)
{
    return json_pack("{s:s, s:O, s:O, s:i}", "revision", master->revision, "tree",
                     json_object_get(master->tree, "tree"), "conflicts",
                     json_object_get(master->tree, "conflicts"), "unreplicated",
                     (int)replicate_lacking(master->replicate));
}

static json_t *status_of(const struct master *master)
{
    struct sums sums = {0};
    json_t *processes = json_array();
    json_array_append_new(processes, json_pack("{s:s, s:i, s:i, s:s}", "name", "master", "slot", 0,
                                               "pid", (int)getpid(), "node", master->conf->name));
    for (size_t i = 0; i < master->members.count; i++) {
        const struct member *member = master->members.list[i];
        add_processes(processes, member);
        sums.spool += amount_of(member->status, "spool");
        sums.queue += amount_of(member->status, "queue");
        sums.lag += (json_int_t)tracker_lag(&member->tracker);
        sums.live += member->tracker.live;
        sums.replayed += member->tracker.replayed;
    }
    uint64_t all = sums.live + sums.replayed;
    json_t *alarms = alarms_json(master->alarms);
    if (master->damaged)
        json_array_append_new(alarms, json_string(DAMAGE_ALARM));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:{s:I}, s:f, s:i, s:o, s:o, s:o}",
                     "name", master->conf->name, "role", "master", "version", POSTERN_VERSION,
                     "revision", master->revision, "config", config_status(master), "processes",
                     processes, "spool", sums.spool, "queue", sums.queue, "lag_events",
                     master->conf->name, sums.lag, "replayed_share",
                     all ? (double)sums.replayed / (double)all : 0.0, "orders_open",
                     (int)orders_open(master->orders), "peer", link_of(master), "nodes",
                     node_rows(master), "alarms", alarms);
}

// Where monitoring tools find us: as our own document says, else as it is bound.
static json_t *public_of(const struct master *master)
{
    char document[80];
    const json_t *documents = json_object_get(master->tree, "documents");
    snprintf(document, sizeof(document), "node/%s", master->conf->name);
    const char *address = schema_text(json_object_get(documents, document), "public");
    return json_pack("{s:s, s:s}", "address", address ? address : master->conf->bind_public, "key",
                     master->keys.public_key);
}

static void answer_status(struct call *call)
{
    const struct master *master = call->api->master;
    json_t *status = status_of(master), *details = json_object();
    json_object_set_new(status, "bodies", bodies_status(master->bodies));
    for (size_t i = 0; i < master->members.count; i++)
        if (master->members.list[i]->status)
            json_object_set(details, master->members.list[i]->name,
                            master->members.list[i]->status);
    json_object_set_new(status, "workers", details);
    json_object_set_new(status, "public", public_of(master));
    json_object_set_new(status, "warnings", members_warnings(&master->members));
    call_answer(call, 200, status);
}

void get_status(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    api_call(self, request, answer_status, json_object());
}
