// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/base/ulid.h"
#include "master/api_internal.h"
#include "master/commands.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Questions about the retry queues: asked of every worker (or of one), answered by all of them
// together: {"rows": [...], "errors": [{"node", "error"}]}. A list comes page by page, since a
// worker's answer is bounded.
enum { TIMEOUT_MS = 10000, LIST_ROWS = 100, PAGE = 100, ROWS_MOST = 100000 };

struct gathering {
    struct call *call;
    size_t waiting;
    json_t *page, *rows, *errors;
    size_t limit; // of a list, 0: it is none
};

static void ask_all(struct gathering *self);

static const char *id_of(const json_t *row)
{
    const char *id = json_string_value(json_object_get(row, "id"));
    return id ? id : "";
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(id_of(*(json_t *const *)b), id_of(*(json_t *const *)a));
}

static json_t *sorted(const json_t *rows)
{
    size_t count = json_array_size(rows);
    json_t **list = allocate((count + 1) * sizeof(json_t *)), *result = json_array();
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(rows, i);
    qsort(list, count, sizeof(json_t *), newest_first);
    for (size_t i = 0; i < count; i++)
        json_array_append(result, list[i]);
    free(list);
    return result;
}

// Takes what is complete of a page. 1 when another page follows. Two deliveries may hold the same
// mail, so rows with the last id of a full page wait for the next.
static int take_page(struct gathering *self)
{
    json_t *page = sorted(self->page);
    size_t count = json_array_size(page);
    int full = self->limit > 0 && count >= PAGE;
    if (full) {
        const char *last = id_of(json_array_get(page, PAGE - 1));
        count = PAGE;
        while (count > 0 && strcmp(id_of(json_array_get(page, count - 1)), last) == 0)
            count--;
        count = count ? count : PAGE;
    }
    for (size_t i = 0; i < count && (!self->limit || json_array_size(self->rows) < self->limit);
         i++)
        json_array_append(self->rows, json_array_get(page, i));
    json_decref(page);
    return full && json_array_size(self->rows) < self->limit;
}

static void finish(struct gathering *self)
{
    if (take_page(self)) {
        const json_t *last = json_array_get(self->rows, json_array_size(self->rows) - 1);
        json_t *body = json_object_get(self->call->arguments, "body");
        json_object_set(body, "before", json_object_get(last, "id"));
        json_array_clear(self->page);
        json_array_clear(self->errors); // they come again
        ask_all(self);
        return;
    }
    call_answer(self->call, 200,
                json_pack("{s:o, s:o}", "rows", self->rows, "errors", self->errors));
    json_decref(self->page);
    free(self);
}

// A node answers with {"queue": [rows]}, or with one row: {"count": how many it did it to}.
static void add_rows(struct gathering *self, const struct member *member, json_t *reply)
{
    json_t *queue = json_object_get(reply, "queue"), *row;
    json_t *list = queue ? json_incref(queue) : json_pack("[O]", reply);
    size_t i;
    json_array_foreach(list, i, row)
    {
        if (!json_is_object(row))
            continue;
        json_object_set_new(row, "node", json_string(member->name));
        json_array_append(self->page, row);
    }
    json_decref(list);
}

static void on_reply(void *context, const struct member *member, json_t *reply, const char *error)
{
    struct gathering *self = context;
    if (reply && member)
        add_rows(self, member, reply);
    else
        json_array_append_new(self->errors,
                              json_pack("{s:s, s:s}", "node", member ? member->name : "", "error",
                                        error ? error : "the node is no member any more"));
    if (--self->waiting == 0)
        finish(self);
}

static void ask_all(struct gathering *self)
{
    struct master *master = self->call->api->master;
    const char *node = call_text(self->call, "node");
    self->waiting = 1; // replies may come within the calls
    for (size_t i = 0; i < master->members.count; i++) {
        const struct member *member = master->members.list[i];
        if (member->role != ROLE_WORKER || (*node && strcmp(node, member->name) != 0))
            continue;
        self->waiting++;
        commands_send(master->commands, member, json_object_get(self->call->arguments, "body"),
                      TIMEOUT_MS, on_reply, self);
    }
    if (--self->waiting == 0)
        finish(self);
}

static void start_gathering(struct call *call)
{
    const char *node = call_text(call, "node");
    if (*node && !members_by_name(&call->api->master->members, node)) {
        call_refuse(call, 404, "there is no node of that name; see `postern node list`");
        return;
    }
    struct gathering *self = allocate(sizeof(*self));
    self->call = call;
    self->page = json_array();
    self->rows = json_array();
    self->errors = json_array();
    self->limit = (size_t)json_integer_value(json_object_get(call->arguments, "limit"));
    ask_all(self);
}

static void ask(struct api *self, struct request *request, json_t *body, size_t limit)
{
    const char *node = request_argument(request, "node");
    json_t *arguments = json_pack("{s:o, s:s, s:I}", "body", body, "node", node ? node : "",
                                  "limit", (json_int_t)limit);
    if (arguments)
        api_call(self, request, start_gathering, arguments);
    else
        request_refuse(request, 400, "the id or the node is no text");
}

static int is_id(struct request *request, const char *text)
{
    struct ulid id;
    if (ulid_parse(text, strlen(text), &id) == 0)
        return 1;
    request_refuse(request, 404, "%.40s is no id; `postern queue list` shows them", text);
    return 0;
}

void get_queue(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    int64_t limit;
    if (argument_number(request, "limit", LIST_ROWS, &limit) < 0)
        return;
    ask(self, request, json_pack("{s:s, s:i}", "command", "queue.list", "limit", (int)PAGE),
        limit == 0 || limit > ROWS_MOST ? ROWS_MOST : (size_t)limit);
}

void get_queued(struct api *self, struct request *request, const char *rest)
{
    if (is_id(request, rest))
        ask(self, request, json_pack("{s:s, s:s}", "command", "queue.show", "id", rest), 0);
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
    if (is_id(request, id))
        ask(self, request, json_pack("{s:s, s:s}", "command", command, "id", id), 0);
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
        ask(self, request, json_pack("{s:s}", "command", "queue.retry"), 0);
    else
        request_refuse(request, 400, "action: only \"retry\" can be done to the whole queue");
    json_decref(body);
}
