// SPDX-License-Identifier: Apache-2.0
#include "core/base/clock.h"
#include "core/base/ulid.h"
#include "master/api_internal.h"
#include "master/cluster.h"
#include "master/store/database.h"
#include "master/store/merge.h"
#include "master/store/render.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LIST_ROWS = 100 };

// RFC 3339, a date, or seconds back from now ("3600"). -1: none of these.
static int64_t parse_time(const char *text)
{
    struct tm parts = {0};
    char *end;
    long long seconds = strtoll(text, &end, 10);
    if (*text && !*end)
        return clock_wall_ms() - seconds * 1000;
    const char *rest = strptime(text, "%Y-%m-%d", &parts);
    if (rest && *rest == 0)
        return (int64_t)timegm(&parts) * 1000;
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (!rest)
        return -1;
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    int hours = 0, minutes = 0;
    char sign = 'Z';
    if (strcmp(rest, "Z") != 0 &&
        (sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3 || !strchr("+-", sign)))
        return -1;
    int64_t offset_ms = ((int64_t)hours * 60 + minutes) * 60000;
    return (int64_t)timegm(&parts) * 1000 + (sign == '-' ? offset_ms : -offset_ms);
}

static int argument_time(struct request *request, const char *name, int64_t *ret_ms)
{
    const char *text = request_argument(request, name);
    *ret_ms = text ? parse_time(text) : 0;
    if (*ret_ms >= 0)
        return 0;
    request_refuse(request, 400, "%s: give a date, a time as 2026-11-23T08:00:00Z, or seconds ago",
                   name);
    return -1;
}

static int read_query(struct request *request, struct store_query *ret)
{
    int64_t limit;
    const char *rejected = request_argument(request, "rejected");
    const char *notices = request_argument(request, "notices");
    *ret = (struct store_query){
        .sender = request_argument(request, "sender"),
        .recipient = request_argument(request, "recipient"),
        .message_id = request_argument(request, "message_id"),
        .node = request_argument(request, "node"),
        .disposition = request_argument(request, "disposition"),
        .rejected = rejected && strcmp(rejected, "0") != 0,
        .notices = notices && strcmp(notices, "0") != 0,
    };
    if (argument_time(request, "since", &ret->since_ms) < 0 ||
        argument_time(request, "until", &ret->until_ms) < 0 ||
        argument_number(request, "limit", LIST_ROWS, &limit) < 0)
        return -1;
    if (ret->disposition && disposition_number(ret->disposition) < 0) {
        request_refuse(request, 400,
                       "disposition: there is no \"%.40s\"; give one of: delivered, quarantined, "
                       "rejected, bounced, discarded, deferred",
                       ret->disposition);
        return -1;
    }
    ret->limit = limit > INT32_MAX ? 0 : (unsigned)limit;
    return 0;
}

// A list as one JSON array, page by page.
struct listing {
    struct store_list *list;
    struct buffer page;
    int begun;
};

static enum http_more more_rows(void *context, struct buffer *out)
{
    struct listing *self = context;
    buffer_clear(&self->page);
    int more = store_list_next(self->list, &self->page);
    const char *at = buffer_bytes(&self->page), *end = at + buffer_size(&self->page);
    if (!self->begun && (at < end || !more))
        buffer_add_text(out, "[");
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        buffer_add_text(out, self->begun ? ",\n" : "\n");
        buffer_add(out, at, (size_t)(line_end - at));
        self->begun = 1;
        at = line_end + 1;
    }
    if (!more)
        buffer_add_text(out, "]\n");
    return more ? HTTP_MORE : HTTP_END;
}

static void release_listing(void *context)
{
    struct listing *self = context;
    store_list_close(&self->list);
    buffer_free(&self->page);
    free(self);
}

static void stream_list(struct request *request, struct store_list *list)
{
    struct listing *listing = allocate(sizeof(*listing));
    listing->list = list;
    buffer_init(&listing->page);
    request_stream(request, "application/json", more_rows, release_listing, listing);
}

void get_messages(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    struct store_query query;
    if (read_query(request, &query) == 0)
        stream_list(request, store_list_messages(self->reader, &query));
}

void get_quarantine(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    struct store_query query;
    if (read_query(request, &query) == 0)
        stream_list(request, store_list_quarantine(self->reader, &query));
}

void get_message(struct api *self, struct request *request, const char *rest)
{
    json_t *value = store_message(self->reader, rest);
    if (value)
        request_answer_json(request, 200, value);
    else
        request_refuse(request, 404, "no message has the id %.40s", rest);
}
