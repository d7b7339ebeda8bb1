// SPDX-License-Identifier: Apache-2.0
#include "master/commands.h"
#include "core/base/loop.h"
#include "core/base/ulid.h"
#include "core/base/unpack.h"
#include "core/bus/control.h"
#include "proto/control.pb-c.h"
#include "proto/quarantine.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char body_missing[] = "the node does not have it any more";

enum { PENDING_MOST = 4096, PIECE = 256 * 1024, REPLY_MOST = 1024 * 1024 };

struct pending {
    struct pending *next;
    uint64_t number;
    char node[64];
    int64_t deadline_ms;
    command_fn *command;
    body_fn *body;
    struct ulid id; // of a body
    uint64_t offset;
    void *context;
};

struct commands {
    struct master *master;
    struct pending *first;
    size_t count;
    uint64_t number;
};

struct commands *commands_new(struct master *master)
{
    struct commands *self = allocate(sizeof(*self));
    self->master = master;
    return self;
}

static void fail(struct commands *self, struct pending *pending, const char *error)
{
    const struct member *member = members_by_name(&self->master->members, pending->node);
    if (pending->command)
        pending->command(pending->context, member, NULL, error);
    else
        pending->body(pending->context, NULL, 0, 0, error);
    free(pending);
}

static struct pending *unlink_at(struct commands *self, struct pending **at)
{
    struct pending *pending = *at;
    *at = pending->next;
    self->count--;
    return pending;
}

void commands_tick(struct commands *self)
{
    int64_t now = loop_now_ms(self->master->loop);
    struct pending *late = NULL;
    for (struct pending **at = &self->first; *at;) {
        if ((*at)->deadline_ms > now) {
            at = &(*at)->next;
            continue;
        }
        struct pending *pending = unlink_at(self, at);
        pending->next = late;
        late = pending;
    }
    // Only now: who hears of it may send a new one.
    for (struct pending *next; late; late = next) {
        next = late->next;
        fail(self, late, "the node did not answer in time");
    }
}

void commands_destroy(struct commands **self_p)
{
    struct commands *self = *self_p;
    if (!self)
        return;
    while (self->first)
        fail(self, unlink_at(self, &self->first), "the master is stopping");
    free(self);
    *self_p = NULL;
}

static struct pending *pending_new(struct commands *self, const struct member *member,
                                   int64_t timeout_ms, void *context)
{
    struct pending *pending = allocate(sizeof(*pending));
    pending->number = ++self->number;
    pending->deadline_ms = loop_now_ms(self->master->loop) + timeout_ms;
    pending->context = context;
    snprintf(pending->node, sizeof(pending->node), "%s", member->name);
    return pending;
}

// Waits for the answer, or tells at once that the message could not leave.
static void start(struct commands *self, struct pending *pending, const struct member *member,
                  enum control_type type, const ProtobufCMessage *message)
{
    if (self->count == PENDING_MOST) {
        fail(self, pending, "too many commands are under way");
        return;
    }
    if (control_send(self->master->control, member->route, type, message) < 0) {
        fail(self, pending, "the node is not connected");
        return;
    }
    pending->next = self->first;
    self->first = pending;
    self->count++;
}

void commands_send(struct commands *self, const struct member *member, const json_t *body,
                   int64_t timeout_ms, command_fn *fn, void *context)
{
    struct pending *pending = pending_new(self, member, timeout_ms, context);
    Postern__Command command = POSTERN__COMMAND__INIT;
    char *text = json_dumps(body, JSON_COMPACT);
    pending->command = fn;
    command.number = pending->number;
    command.body = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    start(self, pending, member, CONTROL_COMMAND, &command.base);
    free(text);
}

void commands_fetch(struct commands *self, const struct member *member, const char *id,
                    const char *day, uint64_t offset, int64_t timeout_ms, body_fn *fn,
                    void *context)
{
    struct pending *pending = pending_new(self, member, timeout_ms, context);
    Postern__BodyRequest request = POSTERN__BODY_REQUEST__INIT;
    pending->body = fn;
    pending->offset = offset;
    if (ulid_parse(id, strlen(id), &pending->id) < 0) {
        fail(self, pending, "this is no id");
        return;
    }
    request.id = (ProtobufCBinaryData){ULID_SIZE, pending->id.bytes};
    request.day = (ProtobufCBinaryData){strlen(day), (uint8_t *)day};
    request.offset = offset;
    request.length = PIECE;
    start(self, pending, member, CONTROL_BODY_REQUEST, &request.base);
}

void commands_give(struct commands *self, const struct member *member,
                   const struct body_place *place, struct span data, int64_t timeout_ms,
                   body_fn *fn, void *context)
{
    struct pending *pending = pending_new(self, member, timeout_ms, context);
    Postern__BodyGiven given = POSTERN__BODY_GIVEN__INIT;
    pending->body = fn;
    pending->id = *place->id;
    pending->offset = place->offset;
    given.id = (ProtobufCBinaryData){ULID_SIZE, pending->id.bytes};
    given.day = (ProtobufCBinaryData){strlen(place->day), (uint8_t *)(uintptr_t)place->day};
    given.offset = place->offset;
    given.total = place->total;
    given.data = (ProtobufCBinaryData){data.size, (uint8_t *)(uintptr_t)data.data};
    start(self, pending, member, CONTROL_BODY_GIVEN, &given.base);
}

void commands_reply(struct commands *self, const struct member *member, const uint8_t *data,
                    size_t size)
{
    Postern__CommandReply *reply = postern__command_reply__unpack(&unpack_allocator, size, data);
    struct pending **at = &self->first;
    if (!reply)
        return;
    while (*at && !((*at)->command && (*at)->number == reply->number &&
                    strcmp((*at)->node, member->name) == 0))
        at = &(*at)->next;
    if (*at) {
        struct pending *pending = unlink_at(self, at);
        json_t *body = reply->body.len <= REPLY_MOST
                           ? json_loadb((const char *)reply->body.data, reply->body.len,
                                        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL)
                           : NULL;
        const char *error = json_string_value(json_object_get(body, "error"));
        if (reply->failed || !body)
            pending->command(pending->context, member, NULL,
                             error ? error : "the node failed without a reason");
        else
            pending->command(pending->context, member, body, NULL);
        json_decref(body);
        free(pending);
    }
    postern__command_reply__free_unpacked(reply, NULL);
}

void commands_body(struct commands *self, const struct member *member, const uint8_t *data,
                   size_t size)
{
    Postern__BodyChunk *chunk = postern__body_chunk__unpack(&unpack_allocator, size, data);
    struct pending **at = &self->first;
    if (!chunk)
        return;
    while (*at && !((*at)->body && chunk->id.len == ULID_SIZE &&
                    memcmp((*at)->id.bytes, chunk->id.data, ULID_SIZE) == 0 &&
                    (*at)->offset == chunk->offset && strcmp((*at)->node, member->name) == 0))
        at = &(*at)->next;
    if (*at) {
        struct pending *pending = unlink_at(self, at);
        int missing = chunk->missing || chunk->data.len > PIECE;
        pending->body(pending->context, missing ? NULL : chunk->data.data,
                      missing ? 0 : chunk->data.len, chunk->total, missing ? body_missing : NULL);
        free(pending);
    }
    postern__body_chunk__free_unpacked(chunk, NULL);
}
