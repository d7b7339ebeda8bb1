// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/bus/control.h"
#include "core/bus/zap.h"
#include "mail/schema.h"
#include "master/api_internal.h"
#include "master/cluster.h"
#include "master/damage.h"
#include "master/enrol.h"
#include "master/orders.h"
#include "master/peer.h"
#include <errno.h>
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

static json_t *node_row(const struct master *master, const struct member *member,
                        const json_t *documents)
{
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "name", member->name, "role",
                  member->role, "state", member_state(member, loop_now_ms(master->loop)), "site",
                  site_of(documents, member->name, member->site), "revision", member->revision,
                  "version", member->version, "key", member->key, "lag_events",
                  (json_int_t)tracker_lag(&member->tracker));
    if (member->refused[0]) {
        json_object_set_new(row, "refused_revision", json_string(member->refused));
        json_object_set_new(row, "reason", json_string(member->reason));
    }
    return row;
}

static json_t *node_rows(const struct master *master)
{
    json_t *tree = master->tree ? json_loads(master->tree, 0, NULL) : NULL;
    const json_t *documents = json_object_get(tree, "documents");
    json_t *list = json_array();
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name",
                                    master->conf->name, "role", "master", "state", "up", "site",
                                    site_of(documents, master->conf->name, master->conf->site),
                                    "revision", master->revision, "version", POSTERN_VERSION, "key",
                                    master->keys.public_key));
    for (size_t i = 0; i < master->members.count; i++)
        json_array_append_new(list, node_row(master, master->members.list[i], documents));
    json_decref(tree);
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

// A count that a node tells as a number, or as an object with the number under `messages`.
static json_int_t amount_of(const json_t *status, const char *key)
{
    const json_t *value = json_object_get(status, key);
    return json_integer_value(json_is_object(value) ? json_object_get(value, "messages") : value);
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
    json_t *alarms = json_array();
    if (master->damaged)
        json_array_append_new(alarms, json_string(DAMAGE_ALARM));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:{s:I}, s:f, s:i, s:o, s:o, s:o}", "name",
                     master->conf->name, "role", "master", "version", POSTERN_VERSION, "revision",
                     master->revision, "processes", processes, "spool", sums.spool, "queue",
                     sums.queue, "lag_events", master->conf->name, sums.lag, "replayed_share",
                     all ? (double)sums.replayed / (double)all : 0.0, "orders_open",
                     (int)orders_open(master->orders), "peer", peer_status(master->peer), "nodes",
                     node_rows(master), "alarms", alarms);
}

static void answer_status(struct call *call)
{
    const struct master *master = call->api->master;
    json_t *status = status_of(master), *details = json_object();
    for (size_t i = 0; i < master->members.count; i++)
        if (master->members.list[i]->status)
            json_object_set(details, master->members.list[i]->name,
                            master->members.list[i]->status);
    json_object_set_new(status, "workers", details);
    call_answer(call, 200, status);
}

void get_status(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    api_call(self, request, answer_status, json_object());
}

// Entering or leaving the member list: durable first, then in force.
struct member_job {
    struct writer_job job;
    struct call *call;
    int error; // errno, 0: done
};

static void run_add(struct writer_job *job, struct writer_databases *databases)
{
    struct member_job *self = (struct member_job *)job;
    if (cluster_add_member(databases->cluster, call_text(self->call, "name"),
                           call_text(self->call, "key"), call_text(self->call, "role")) < 0)
        self->error = errno;
}

static void add_done(struct writer_job *job)
{
    struct member_job *self = (struct member_job *)job;
    const char *name = call_text(self->call, "name");
    if (self->error == EEXIST) {
        call_refuse(
            self->call, 409,
            "the name or the key is taken, or the key was revoked; see `postern node list`");
    } else if (self->error) {
        call_refuse(self->call, 500, "the member list cannot be written; see the master's log");
    } else {
        enrol_admit(self->call->api->master, name, call_text(self->call, "key"),
                    call_text(self->call, "role"));
        call_answer(self->call, 201, json_pack("{s:s}", "name", name));
    }
    free(self);
}

static void run_remove(struct writer_job *job, struct writer_databases *databases)
{
    struct member_job *self = (struct member_job *)job;
    if (cluster_remove_member(databases->cluster, call_text(self->call, "name")) < 0)
        self->error = errno;
}

static void remove_done(struct writer_job *job)
{
    struct member_job *self = (struct member_job *)job;
    const char *name = call_text(self->call, "name");
    if (self->error == ENOENT) {
        call_refuse(self->call, 404, "there is no node of that name; see `postern node list`");
    } else if (self->error) {
        call_refuse(self->call, 500, "the member list cannot be written; see the master's log");
    } else {
        enrol_revoke(self->call->api->master, name);
        call_answer(self->call, 200, json_pack("{s:s}", "name", name));
    }
    free(self);
}

static void start_member_job(struct call *call, writer_run_fn *run, writer_done_fn *done)
{
    struct member_job *job = allocate(sizeof(*job));
    job->job = (struct writer_job){run, done};
    job->call = call;
    if (writer_put(call->api->master->writer, &job->job) == 0)
        return;
    call_refuse(call, 503, "the master is busy; try again");
    free(job);
}

static void start_add(struct call *call)
{
    const struct master *master = call->api->master;
    if (master->members.count == MEMBERS_MOST)
        call_refuse(call, 409, "the cluster is full");
    else if (strcmp(call_text(call, "name"), master->conf->name) == 0)
        call_refuse(call, 409, "this is the master's own name; give another");
    else
        start_member_job(call, run_add, add_done);
}

static void start_remove(struct call *call)
{
    start_member_job(call, run_remove, remove_done);
}

void post_node(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *body = body_object(request, 0);
    if (!body)
        return;
    const char *name = json_string_value(json_object_get(body, "name"));
    const char *key = json_string_value(json_object_get(body, "key"));
    const char *role = json_string_value(json_object_get(body, "role"));
    if (!role)
        json_object_set_new(body, "role", json_string("worker"));
    const char *mend = member_mend(name ? name : "", key ? key : "", role ? role : "worker");
    if (!mend) {
        api_call(self, request, start_add, body);
        return;
    }
    request_refuse(request, 422, "%s", mend);
    json_decref(body);
}

void delete_node(struct api *self, struct request *request, const char *rest)
{
    json_t *arguments = json_pack("{s:s}", "name", rest);
    if (arguments)
        api_call(self, request, start_remove, arguments);
    else
        request_refuse(request, 400, "this is no name");
}
