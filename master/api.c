// SPDX-License-Identifier: Apache-2.0
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "mail/schema.h"
#include "master/api_internal.h"
#include "master/store/database.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS_MOST = 256 };

static const char prefix[] = "/api/v1";

const struct route api_routes[] = {
    {"GET", "/status", get_status},
    {"GET", "/messages", get_messages},
    {"GET", "/messages/", get_message},
    {"GET", "/events", get_events},
    {"GET", "/quarantine", get_quarantine},
    {"GET", "/quarantine/", get_quarantined},
    {"POST", "/quarantine/", post_quarantined},
    {"POST", "/takeovers", post_takeover},
    {"GET", "/config", get_config},
    {"GET", "/config/documents/", get_document},
    {"PUT", "/config/documents/", put_document},
    {"DELETE", "/config/documents/", delete_document},
    {"POST", "/config/apply", post_apply},
    {"POST", "/config/rollback", post_rollback},
    {"GET", "/config/history", get_history},
    {"GET", "/config/diff", get_difference},
    {"POST", "/verify", post_verify},
    {"GET", "/config/conflicts", get_conflicts},
    {"POST", "/config/resolve", post_resolve},
    {"GET", "/nodes", get_nodes},
    {"POST", "/nodes", post_node},
    {"GET", "/nodes/", get_node},
    {"POST", "/nodes/", post_node_change},
    {"DELETE", "/nodes/", delete_node},
    {"POST", "/tokens", post_token},
    {"GET", "/queue", get_queue},
    {"GET", "/queue/", get_queued},
    {"POST", "/queue", post_queue},
    {"POST", "/queue/", post_queued},
};
const size_t api_route_count = ARRAY_LENGTH(api_routes);

static const char *match(const char *path, const char *pattern)
{
    size_t length = strlen(pattern);
    if (strncmp(path, pattern, length) != 0)
        return NULL;
    const char *rest = path + length;
    int open_end = pattern[length - 1] == '/';
    return open_end == (*rest != 0) ? rest : NULL;
}

static void on_request(void *context, struct request *request)
{
    const char *path = request_path(request);
    int known = 0;
    if (strncmp(path, prefix, strlen(prefix)) == 0) {
        path += strlen(prefix);
        for (size_t i = 0; i < api_route_count; i++) {
            const char *rest = match(path, api_routes[i].path);
            known |= rest != NULL;
            if (rest && strcmp(request_method(request), api_routes[i].method) == 0) {
                api_routes[i].fn(context, request, rest);
                return;
            }
        }
    }
    request_refuse(request, known ? 405 : 404, "%s",
                   known ? "no such method here" : "no such path");
}

static void on_call(void *context, void *item)
{
    (void)context;
    struct call *call = item;
    call->fn(call);
}

static void on_suspicion(void *context, const char *file)
{
    struct api *self = context;
    writer_suspect(self->master->writer, file);
}

struct api *api_new(struct master *master, char *ret_error, size_t error_size)
{
    const struct nodeconf *conf = master->conf;
    struct api *self = allocate(sizeof(*self));
    char path[256];
    self->master = master;
    api_turned(self);
    self->calls = mailbox_new(CALLS_MOST);
    mailbox_attach(self->calls, master->loop, on_call, self);
    snprintf(path, sizeof(path), "%s/master/messages", conf->state);
    self->reader = store_reader_open(path);
    store_reader_on_damage(self->reader, on_suspicion, self);
    snprintf(path, sizeof(path), "%s/master/cluster.db", conf->state);
    self->cluster = database_open(path, 0, NULL, ret_error, error_size);
    if (!self->cluster) {
        api_destroy(&self);
        return NULL;
    }
    snprintf(path, sizeof(path), "%s/api.sock", conf->run);
    self->http = http_serve_unix(path, on_request, self);
    if (!self->http)
        snprintf(ret_error, error_size, "%s: %s", path, strerror(errno));
    else if (*conf->metrics && !(self->probes = http_serve_tcp(conf->metrics, probes_answer, self)))
        snprintf(ret_error, error_size, "metrics %s: %s", conf->metrics, strerror(errno));
    if (!self->http || (*conf->metrics && !self->probes))
        api_destroy(&self);
    return self;
}

void api_destroy(struct api **self_p)
{
    struct api *self = *self_p;
    if (!self)
        return;
    verify_cancel(self);
    for (struct call *call; (call = mailbox_wait(self->calls, 0));)
        call_refuse(call, 503, "the master is stopping");
    mailbox_close(self->calls); // what comes now is refused where it comes from
    for (struct call *call; (call = mailbox_wait(self->calls, 0));)
        call_refuse(call, 503, "the master is stopping");
    http_destroy(&self->probes);
    http_destroy(&self->http);
    mailbox_destroy(&self->calls);
    store_reader_close(&self->reader);
    database_close(&self->cluster);
    free(self);
    *self_p = NULL;
}

void api_turned(struct api *self)
{
    atomic_store(&self->turned_ms, clock_monotonic_ms());
    atomic_store(&self->ready, self->master->ready);
}

void api_committed(struct api *self)
{
    http_wake(self->http);
}

void api_call(struct api *self, struct request *request, call_fn *fn, json_t *arguments)
{
    struct call *call = allocate(sizeof(*call));
    *call = (struct call){self, request, fn, arguments};
    json_object_set_new(arguments, "author", json_string(request_author(request)));
    request_put_off(request);
    if (mailbox_put(self->calls, call) < 0)
        call_refuse(call, 503, "too many requests at once");
}

static void call_end(struct call *call)
{
    json_decref(call->arguments);
    free(call);
}

void call_answer(struct call *call, unsigned status, json_t *value)
{
    request_answer_json(call->request, status, value);
    call_end(call);
}

void call_answer_bytes(struct call *call, const char *type, const void *bytes, size_t size)
{
    request_answer(call->request, 200, type, bytes, size);
    call_end(call);
}

void call_refuse(struct call *call, unsigned status, const char *error)
{
    request_refuse(call->request, status, "%s", error);
    call_end(call);
}

const char *call_text(const struct call *call, const char *key)
{
    const char *text = json_string_value(json_object_get(call->arguments, key));
    return text ? text : "";
}

int argument_number(struct request *request, const char *name, int64_t fallback, int64_t *ret)
{
    const char *text = request_argument(request, name);
    char *end;
    *ret = fallback;
    if (!text)
        return 0;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (!*text || *end || errno || value < 0) {
        request_refuse(request, 400, "%s: give a whole number", name);
        return -1;
    }
    *ret = value;
    return 0;
}

json_t *body_object(struct request *request, int optional)
{
    struct span body = request_body(request);
    char error[256];
    if (body.size == 0 && optional)
        return json_object();
    json_t *value = schema_read(body.data, body.size, error, sizeof(error));
    if (value && json_is_object(value))
        return value;
    request_refuse(request, 400, "%s", value ? "give an object" : error);
    json_decref(value);
    return NULL;
}
