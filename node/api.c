// SPDX-License-Identifier: Apache-2.0
#include "node/api.h"

#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "core/base/ulid.h"
#include "core/net/http.h"
#include "node/api_mail.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS_MOST = 64, LIMIT_MOST = 100 };

struct api {
    struct http *http;
    struct journal *journal;
    struct mailbox *calls; // from the HTTP thread to the loop
    struct api_ops ops;
    char state[128];
    struct call *asked; // deliveries were, the answer is to come
    uint64_t number;
};

enum what { CALL_STATUS, CALL_LIST, CALL_SHOW, CALL_BODY, CALL_ORDER };

struct call {
    struct call *next; // in api.asked
    struct api *api;
    struct request *request;
    enum what what;
    json_t *command; // for the deliveries, or {"id"}
    uint64_t number;
    struct api_mail mail; // read on the disk thread
    json_t *rows;
};

static void free_call(struct call *call)
{
    json_decref(call->command);
    json_decref(call->rows);
    api_mail_free(&call->mail);
    free(call);
}

static void refuse(struct call *call, unsigned status, const char *text)
{
    request_refuse(call->request, status, "%s", text);
    free_call(call);
}

static void answer_json(struct call *call, unsigned status, json_t *value)
{
    request_answer_json(call->request, status, value);
    free_call(call);
}

static const char *id_of(const struct call *call)
{
    return json_string_value(json_object_get(call->command, "id"));
}

// -- the files: bytes of one, or what the envelopes say of those in a list

static int read_mails(void *context)
{
    struct call *call = context;
    if (call->what == CALL_BODY)
        return api_mail_read(&call->mail, call->api->state);
    // A list is of what lies here; one mail is shown also when its bytes do not any more.
    for (size_t i = json_array_size(call->rows); i-- > 0;)
        if (api_mail_describe(json_array_get(call->rows, i), call->api->state) < 0 &&
            call->what == CALL_LIST)
            json_array_remove(call->rows, i);
    return 0;
}

static void mails_read(void *context, int result)
{
    struct call *call = context;
    if (call->what == CALL_BODY && result != 0) {
        refuse(call, result == ENOENT ? 410 : 500, "its bytes do not lie here any more");
    } else if (call->what == CALL_BODY) {
        struct span bytes = api_mail_bytes(&call->mail);
        request_answer(call->request, 200, "message/rfc822", bytes.data, bytes.size);
        free_call(call);
    } else if (call->what == CALL_SHOW) {
        answer_json(call, 200, json_incref(json_array_get(call->rows, 0)));
    } else {
        answer_json(call, 200, json_incref(call->rows));
    }
}

static void read_files(struct call *call)
{
    if (journal_run(call->api->journal, read_mails, mails_read, call) < 0)
        refuse(call, 503, "the disk is busy; try again");
}

static void start_body(struct call *call)
{
    struct api *self = call->api;
    struct ulid id;
    const char *text = id_of(call);
    const char *day =
        ulid_parse(text, strlen(text), &id) == 0 ? self->ops.day(self->ops.context, &id) : NULL;
    if (!day) {
        refuse(call, 404, "no such mail lies on this worker");
        return;
    }
    snprintf(call->mail.id, sizeof(call->mail.id), "%s", text);
    snprintf(call->mail.day, sizeof(call->mail.day), "%s", day);
    read_files(call);
}

// -- the deliveries

static void ask_deliveries(struct call *call)
{
    struct api *self = call->api;
    Postern__Command command = POSTERN__COMMAND__INIT;
    char *text = json_dumps(call->command, JSON_COMPACT);
    command.number = call->number = ++self->number;
    command.body = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    call->next = self->asked;
    self->asked = call;
    self->ops.command(self->ops.context, &command); // may answer at once
    free(text);
}

static void take_rows(struct call *call, json_t *body)
{
    call->rows = api_mail_merge(json_object_get(body, "queue"));
    const json_t *first = json_array_get(call->rows, 0);
    if (call->what == CALL_LIST)
        read_files(call);
    else if (!first ||
             (call->what == CALL_ORDER && json_array_size(json_object_get(first, "orders")) == 0))
        refuse(call, 404, "no such mail, or recipient of it, lies on this worker");
    else if (call->what == CALL_ORDER)
        answer_json(call, 202, json_pack("{s:O}", "orders", json_object_get(first, "orders")));
    else
        read_files(call);
}

void api_reply(struct api *self, const Postern__CommandReply *reply)
{
    struct call **at = &self->asked;
    while (*at && (*at)->number != reply->number)
        at = &(*at)->next;
    struct call *call = *at;
    if (!call)
        return;
    *at = call->next;
    json_t *body = json_loadb((const char *)reply->body.data, reply->body.len, 0, NULL);
    const char *error = json_string_value(json_object_get(body, "error"));
    if (reply->failed || !body)
        refuse(call, 502, error ? error : "no delivery runs on this worker");
    else
        take_rows(call, body);
    json_decref(body);
}

static void on_call(void *context, void *item)
{
    struct api *self = context;
    struct call *call = item;
    if (call->what == CALL_STATUS) {
        char *status = self->ops.status(self->ops.context);
        request_answer(call->request, 200, "application/json", status, strlen(status));
        free(status);
        free_call(call);
    } else if (call->what == CALL_BODY) {
        start_body(call);
    } else {
        ask_deliveries(call);
    }
}

// -- on the HTTP thread

// Takes the command.
static void put_off(struct api *self, struct request *request, enum what what, json_t *command)
{
    struct call *call = allocate(sizeof(*call));
    call->api = self;
    call->request = request;
    call->what = what;
    call->command = command;
    request_put_off(request);
    if (mailbox_put(self->calls, call) < 0)
        refuse(call, 503, "too many requests at once");
}

static void get_list(struct api *self, struct request *request)
{
    const char *limit = request_argument(request, "limit");
    const char *before = request_argument(request, "before");
    long count = limit ? strtol(limit, NULL, 10) : LIMIT_MOST;
    if (count < 1 || count > LIMIT_MOST)
        count = LIMIT_MOST;
    put_off(self, request, CALL_LIST,
            json_pack("{s:s, s:i, s:s*}", "command", "quarantine.list", "limit", (int)count,
                      "before", before));
}

static void post_order(struct api *self, struct request *request, const char *id, int deletes)
{
    struct span bytes = request_body(request);
    json_t *body = bytes.size ? json_loadb(bytes.data, bytes.size, JSON_REJECT_DUPLICATES, NULL)
                              : json_object();
    const char *recipient = json_string_value(json_object_get(body, "recipient"));
    if (json_is_object(body))
        put_off(self, request, CALL_ORDER,
                json_pack("{s:s, s:s, s:b, s:b, s:s*}", "command", "quarantine.order", "id", id,
                          "deletes", deletes, "again", json_is_true(json_object_get(body, "again")),
                          "recipient", recipient));
    else
        request_refuse(request, 400, "give an object");
    json_decref(body);
}

static void on_mail(struct api *self, struct request *request, const char *rest)
{
    struct ulid parsed;
    char id[ULID_TEXT];
    size_t length = strcspn(rest, "/");
    const char *action = rest[length] ? rest + length + 1 : "";
    int gets = strcmp(request_method(request), "GET") == 0;
    if (ulid_parse(rest, length, &parsed) < 0) {
        request_refuse(request, 404, "no quarantined mail has the id %.40s", rest);
        return;
    }
    ulid_format(&parsed, id);
    if (gets && !*action)
        put_off(self, request, CALL_SHOW,
                json_pack("{s:s, s:s}", "command", "quarantine.show", "id", id));
    else if (gets && strcmp(action, "body") == 0)
        put_off(self, request, CALL_BODY, json_pack("{s:s}", "id", id));
    else if (!gets && (strcmp(action, "release") == 0 || strcmp(action, "delete") == 0))
        post_order(self, request, id, *action == 'd');
    else
        request_refuse(request, 404, "no such path");
}

static void on_request(void *context, struct request *request)
{
    static const char mails[] = "/api/v1/quarantine/";
    struct api *self = context;
    const char *path = request_path(request);
    int gets = strcmp(request_method(request), "GET") == 0;
    if (gets && strcmp(path, "/api/v1/status") == 0)
        put_off(self, request, CALL_STATUS, json_object());
    else if (gets && strcmp(path, "/api/v1/quarantine") == 0)
        get_list(self, request);
    else if (strncmp(path, mails, sizeof(mails) - 1) == 0)
        on_mail(self, request, path + sizeof(mails) - 1);
    else
        request_refuse(request, 404, "no such path on a worker");
}

// -- life

struct api *api_new(struct loop *loop, struct journal *journal, const char *run, const char *state,
                    const struct api_ops *ops)
{
    struct api *self = allocate(sizeof(*self));
    char path[128];
    self->journal = journal;
    self->ops = *ops;
    snprintf(self->state, sizeof(self->state), "%s", state);
    self->calls = mailbox_new(CALLS_MOST);
    mailbox_attach(self->calls, loop, on_call, self);
    snprintf(path, sizeof(path), "%s/api.sock", run);
    self->http = http_serve_unix(path, on_request, self);
    if (!self->http) {
        int error = errno;
        api_destroy(&self);
        errno = error;
    }
    return self;
}

void api_destroy(struct api **self_p)
{
    struct api *self = *self_p;
    if (!self)
        return;
    mailbox_close(self->calls); // what comes now is refused where it comes from
    for (struct call *call; (call = mailbox_wait(self->calls, 0));)
        refuse(call, 503, "the node is stopping");
    for (struct call *call; (call = self->asked);) {
        self->asked = call->next;
        refuse(call, 503, "the node is stopping");
    }
    http_destroy(&self->http);
    mailbox_destroy(&self->calls);
    free(self);
    *self_p = NULL;
}
