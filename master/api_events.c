// SPDX-License-Identifier: Apache-2.0
// GET /api/v1/events: the committed events after a place, as JSON lines or as server-sent events,
// once or for as long as the client stays.
#include "core/base/clock.h"
#include "master/api_internal.h"
#include "master/store/public.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_ROWS = 100, LOOK_AT = 500, KEEP_ALIVE_MS = 15000, FILTER_MOST = 320 };

struct following {
    struct store_reader *reader;
    int64_t after;
    uint64_t left; // events
    int follow, sent_events;
    int64_t wrote_ms;
    struct public_filter filter;
    char texts[4][FILTER_MOST]; // what it points to
    struct buffer *out;         // of the piece that is being made
};

static int add_event(void *context, const Postern__PublicEvent *event)
{
    struct following *self = context;
    if (self->sent_events)
        buffer_printf(self->out, "id: %llu\nevent: %s\ndata: ", (unsigned long long)event->commit,
                      event->kind);
    public_json(event, self->out);
    if (self->sent_events)
        buffer_add_text(self->out, "\n");
    return --self->left == 0;
}

static enum http_more more_events(void *context, struct buffer *out)
{
    struct following *self = context;
    int64_t now = clock_monotonic_ms(), before = self->after;
    self->out = out;
    self->after = store_events(self->reader, before, LOOK_AT, &self->filter, add_event, self);
    int moved = self->after != before;
    if (self->left == 0 || (!moved && !self->follow))
        return HTTP_END;
    // A line now and then shows a client that left.
    if (buffer_size(out) == 0 && now - self->wrote_ms >= KEEP_ALIVE_MS)
        buffer_add_text(out, self->sent_events ? ":\n\n" : "\n");
    if (buffer_size(out) > 0)
        self->wrote_ms = now;
    return moved || buffer_size(out) > 0 ? HTTP_MORE : HTTP_WAIT;
}

static int take_filter(struct request *request, struct following *self)
{
    static const char *const names[] = {"kind", "node", "sender", "recipient"};
    const char **fields[] = {&self->filter.kind, &self->filter.node, &self->filter.sender,
                             &self->filter.recipient};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        const char *text = request_argument(request, names[i]);
        if (!text)
            continue;
        if (!*text || strlen(text) >= FILTER_MOST) {
            request_refuse(request, 400, "%s: give 1 to %d bytes", names[i], FILTER_MOST - 1);
            return -1;
        }
        snprintf(self->texts[i], FILTER_MOST, "%s", text);
        *fields[i] = self->texts[i];
    }
    return 0;
}

static int wants_sent_events(struct request *request)
{
    const char *format = request_argument(request, "format");
    const char *accept = request_header(request, "Accept");
    return format ? strcmp(format, "sse") == 0
                  : accept && strstr(accept, "text/event-stream") != NULL;
}

// A browser that lost its connection says by Last-Event-ID how far it had come.
static int take_place(struct api *api, struct request *request, struct following *self)
{
    const char *last = request_header(request, "Last-Event-ID");
    int64_t newest = store_last_commit(api->reader), oldest = store_first_commit(api->reader);
    // Who follows without a place begins with what comes now; who asks once gets the last ones.
    int64_t fallback = self->follow ? newest : newest - LIST_ROWS;
    if (fallback < oldest - 1 || fallback < 0)
        fallback = oldest > 0 ? oldest - 1 : 0;
    if (last && *last && strspn(last, "0123456789") == strlen(last))
        fallback = strtoll(last, NULL, 10);
    if (argument_number(request, "after", fallback, &self->after) < 0)
        return -1;
    if (self->after == 0 || self->after >= oldest - 1)
        return 0;
    request_refuse(request, 410, "events up to %lld are not kept any more; begin there",
                   (long long)oldest - 1);
    return -1;
}

static void release_following(void *context)
{
    free(context);
}

void get_events(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    struct following *context = allocate(sizeof(*context));
    const char *follow = request_argument(request, "follow");
    int64_t limit;
    context->reader = self->reader;
    context->sent_events = wants_sent_events(request);
    context->follow = follow ? strcmp(follow, "0") != 0 : context->sent_events;
    context->wrote_ms = clock_monotonic_ms();
    if (take_filter(request, context) < 0 || argument_number(request, "limit", 0, &limit) < 0 ||
        take_place(self, request, context) < 0) {
        free(context);
        return;
    }
    context->left = limit ? (uint64_t)limit : UINT64_MAX;
    request_stream(request, context->sent_events ? "text/event-stream" : "application/jsonl",
                   more_events, release_following, context);
}
