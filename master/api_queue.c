// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "master/api_internal.h"
#include "master/commands.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Questions about the retry queues: asked of every worker that is up (or of one), answered by all
// of them together: {"rows": [...], "errors": [{"node", "error"}]}.
enum { TIMEOUT_MS = 10000 };

struct gathering {
    struct call *call;
    size_t waiting;
    json_t *rows, *errors;
};

static void finish(struct gathering *self)
{
    call_answer(self->call, 200,
                json_pack("{s:o, s:o}", "rows", self->rows, "errors", self->errors));
    free(self);
}

// A node answers with a list of rows, an object that has one under "rows", or one row.
static void add_rows(struct gathering *self, const struct member *member, json_t *reply)
{
    json_t *rows = json_object_get(reply, "rows"), *row;
    json_t *list = json_is_array(reply) ? json_incref(reply) : json_incref(rows);
    size_t i;
    if (!list)
        list = json_pack("[O]", reply);
    json_array_foreach(list, i, row)
    {
        if (!json_is_object(row))
            continue;
        json_object_set_new(row, "node", json_string(member->name));
        json_array_append(self->rows, row);
    }
    json_decref(list);
}

static void on_reply(void *context, const struct member *member, json_t *reply, const char *error)
{
    struct gathering *self = context;
    if (reply)
        add_rows(self, member, reply);
    else
        json_array_append_new(self->errors, json_pack("{s:s, s:s}", "node",
                                                      member ? member->name : "", "error", error));
    if (--self->waiting == 0)
        finish(self);
}

static void ask_all(struct call *call)
{
    struct master *master = call->api->master;
    struct gathering *self = allocate(sizeof(*self));
    const char *node = call_text(call, "node");
    *self = (struct gathering){call, 1, json_array(), json_array()};
    for (size_t i = 0; i < master->members.count; i++) {
        const struct member *member = master->members.list[i];
        if (strcmp(member->role, "worker") != 0 || (*node && strcmp(node, member->name) != 0))
            continue;
        self->waiting++;
        commands_send(master->commands, member, json_object_get(call->arguments, "body"),
                      TIMEOUT_MS, on_reply, self);
    }
    if (--self->waiting == 0)
        finish(self);
}

static void ask(struct api *self, struct request *request, json_t *body)
{
    const char *node = request_argument(request, "node");
    json_t *arguments = json_pack("{s:o, s:s}", "body", body, "node", node ? node : "");
    if (arguments)
        api_call(self, request, ask_all, arguments);
    else
        request_refuse(request, 400, "the id or the node is no text");
}

void get_queue(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    int64_t limit;
    if (argument_number(request, "limit", 100, &limit) == 0)
        ask(self, request,
            json_pack("{s:s, s:I}", "command", "queue.list", "limit", (json_int_t)limit));
}

void get_queued(struct api *self, struct request *request, const char *rest)
{
    ask(self, request, json_pack("{s:s, s:s}", "command", "queue.show", "id", rest));
}

static const char *const actions[] = {"retry", "hold", "delete"};

static const char *command_of(const char *action)
{
    static const char *const commands[] = {"queue.retry", "queue.hold", "queue.delete"};
    for (size_t i = 0; i < ARRAY_LENGTH(actions); i++)
        if (strcmp(actions[i], action) == 0)
            return commands[i];
    return NULL;
}

void post_queued(struct api *self, struct request *request, const char *rest)
{
    const char *slash = strchr(rest, '/');
    const char *command = slash ? command_of(slash + 1) : NULL;
    char id[32];
    if (!command || (size_t)(slash - rest) >= sizeof(id)) {
        request_refuse(request, 404, "no such path");
        return;
    }
    snprintf(id, sizeof(id), "%.*s", (int)(slash - rest), rest);
    ask(self, request, json_pack("{s:s, s:s}", "command", command, "id", id));
}

// {"action": "retry"}: everything that waits.
void post_queue(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *body = body_object(request, 0);
    if (!body)
        return;
    const char *action = json_string_value(json_object_get(body, "action"));
    if (action && strcmp(action, "retry") == 0)
        ask(self, request, json_pack("{s:s, s:b}", "command", "queue.retry", "all", 1));
    else
        request_refuse(request, 400, "action: only \"retry\" can be done to the whole queue");
    json_decref(body);
}
