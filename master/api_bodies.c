// SPDX-License-Identifier: Apache-2.0
// The bytes of a quarantined mail: from what this master holds, else from the worker that has it.
#include "master/api_internal.h"
#include "master/bodies.h"
#include "master/commands.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_TIMEOUT_MS = 10000, PIECE = 1024 * 1024, BODY_MOST = 64 * 1024 * 1024 };

// -- what is fetched, piece by piece

struct fetch {
    struct call *call;
    struct buffer bytes;
};

// The file begins with the packed envelope and its length (mail/spooled.h); people want the mail.
static struct span mail_of(const struct buffer *file)
{
    const unsigned char *bytes = (const unsigned char *)buffer_bytes(file);
    size_t size = buffer_size(file), head = 4;
    if (size >= head)
        head += bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (size_t)bytes[3] << 24;
    return head <= size ? (struct span){(const char *)bytes + head, size - head}
                        : (struct span){(const char *)bytes, size};
}

static void end_fetch(struct fetch *self, unsigned status, const char *error)
{
    if (error) {
        call_refuse(self->call, status, error);
    } else {
        struct span mail = mail_of(&self->bytes);
        request_answer(self->call->request, 200, "message/rfc822", mail.data, mail.size);
        json_decref(self->call->arguments);
        free(self->call);
    }
    buffer_free(&self->bytes);
    free(self);
}

static void fetch_next(struct fetch *self);

static void fetched(void *context, const void *data, size_t size, uint64_t total, const char *error)
{
    struct fetch *self = context;
    if (error) {
        end_fetch(self, 502, error);
        return;
    }
    buffer_add(&self->bytes, data, size);
    if (buffer_size(&self->bytes) >= total || size == 0)
        end_fetch(self, 200, NULL);
    else if (buffer_size(&self->bytes) >= BODY_MOST)
        end_fetch(self, 413, "the mail is too big to be shown");
    else
        fetch_next(self);
}

static void fetch_next(struct fetch *self)
{
    struct master *master = self->call->api->master;
    const struct member *member = members_by_name(&master->members, call_text(self->call, "node"));
    if (member)
        commands_fetch(master->commands, member, call_text(self->call, "id"),
                       call_text(self->call, "day"), buffer_size(&self->bytes), BODY_TIMEOUT_MS,
                       fetched, self);
    else
        end_fetch(self, 502, "the node that holds it is no member any more");
}

static void start_fetch(struct call *call)
{
    struct fetch *fetch = allocate(sizeof(*fetch));
    fetch->call = call;
    buffer_init(&fetch->bytes);
    fetch_next(fetch);
}

// -- what is held here

static void start_rotten(struct call *call)
{
    struct api *api = call->api;
    struct body body = {0};
    const char *id = call_text(call, "id"), *sha256 = call_text(call, "sha256");
    for (size_t i = 0; i < SHA256_SIZE; i++)
        body.sha256[i] = (uint8_t)strtoul((char[]){sha256[2 * i], sha256[2 * i + 1], 0}, NULL, 16);
    snprintf(body.node, sizeof(body.node), "%s", call_text(call, "node"));
    snprintf(body.day, sizeof(body.day), "%s", call_text(call, "day"));
    if (ulid_parse(id, strlen(id), &body.id) == 0)
        bodies_rotten(api->master->bodies, &body);
    start_fetch(call);
}

static void tell_rotten(struct api *self, struct request *request, const char *id,
                        const struct body *body)
{
    char sha256[SHA256_TEXT];
    blob_name(body->sha256, sha256);
    api_call(self, request, start_rotten,
             json_pack("{s:s, s:s, s:s, s:s}", "id", id, "sha256", sha256, "node", body->node,
                       "day", body->day));
}

// 0 when it is not held.
static int answer_held(struct api *self, struct request *request, const char *text)
{
    struct ulid id;
    struct body body;
    struct buffer bytes;
    char folder[128];
    int more = 1;
    snprintf(folder, sizeof(folder), "%s/master", self->master->conf->state);
    if (ulid_parse(text, strlen(text), &id) < 0 || bodies_find(self->cluster, &id, &body) != 1)
        return 0;
    if (body.state == BODY_GONE) {
        request_refuse(request, 410, "%s was deleted, or its time is over", text);
        return 1;
    }
    struct blob_reader *reader = blob_reader_new(folder, body.sha256);
    if (!reader)
        return 0;
    buffer_init(&bytes);
    while (more == 1 && buffer_size(&bytes) < BODY_MOST)
        more = blob_reader_next(reader, PIECE, &bytes);
    struct span mail = mail_of(&bytes);
    if (more < 0)
        tell_rotten(self, request, text, &body);
    else if (more > 0)
        request_refuse(request, 413, "the mail is too big to be shown");
    else
        request_answer(request, 200, "message/rfc822", mail.data, mail.size);
    blob_reader_destroy(&reader);
    buffer_free(&bytes);
    return 1;
}

void answer_body(struct api *self, struct request *request, const char *id, const json_t *states)
{
    json_t *state;
    size_t i;
    if (answer_held(self, request, id))
        return;
    json_array_foreach((json_t *)states, i, state)
    {
        const char *text = json_string_value(json_object_get(state, "state"));
        if (strcmp(text, "deleted") == 0)
            continue;
        api_call(self, request, start_fetch,
                 json_pack("{s:s, s:O, s:O}", "id", id, "node", json_object_get(state, "node"),
                           "day", json_object_get(state, "day")));
        return;
    }
    request_refuse(request, 410, "%s was deleted", id);
}
