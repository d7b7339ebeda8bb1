// SPDX-License-Identifier: Apache-2.0
#include "node/commands.h"

#include "core/base/log.h"
#include "core/base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PENDING_MOST = 256, AGAIN_MS = 2000, GIVE_UP_MS = 8000, REPLY_MOST = 1 << 20 };

struct pending {
    struct pending *next;
    uint64_t number, asked; // ours, and the master's
    unsigned master;
    uint64_t waiting; // deliveries that have not answered
    json_t *replies;
    char *body;
    size_t size, limit;
    int64_t again_ms, give_up_ms;
};

struct commands {
    struct loop *loop;
    struct commands_ops ops;
    struct pending *first;
    size_t count;
    uint64_t number;
};

struct commands *commands_new(struct loop *loop, const struct commands_ops *ops)
{
    struct commands *self = allocate(sizeof(*self));
    self->loop = loop;
    self->ops = *ops;
    return self;
}

static void free_pending(struct pending *pending)
{
    json_decref(pending->replies);
    free(pending->body);
    free(pending);
}

void commands_destroy(struct commands **self)
{
    if (!*self)
        return;
    for (struct pending *next; (*self)->first; (*self)->first = next) {
        next = (*self)->first->next;
        free_pending((*self)->first);
    }
    free(*self);
    *self = NULL;
}

// -- the answer

static int send_answer(struct commands *self, const struct pending *pending, size_t limit)
{
    int failed;
    json_t *whole = commands_merge(pending->replies, limit, &failed);
    char *text = json_dumps(whole, JSON_COMPACT);
    Postern__CommandReply reply = POSTERN__COMMAND_REPLY__INIT;
    reply.number = pending->asked;
    reply.failed = failed;
    reply.body = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    int result = self->ops.reply(self->ops.context, pending->master, &reply);
    int error = errno;
    free(text);
    json_decref(whole);
    errno = error;
    return result;
}

// A list that is too long for one message loses its older half.
static void answer(struct commands *self, const struct pending *pending)
{
    size_t limit = pending->limit;
    while (send_answer(self, pending, limit) < 0) {
        if (errno != EMSGSIZE || limit == 1) {
            log_warning("command.unanswered", "master=%u errno=%d", pending->master, errno);
            return;
        }
        limit = limit > 10000 || limit == 0 ? 10000 : limit / 2;
    }
}

static void finish(struct commands *self, struct pending *pending)
{
    struct pending **at = &self->first;
    while (*at != pending)
        at = &(*at)->next;
    *at = pending->next;
    self->count--;
    answer(self, pending);
    free_pending(pending);
}

static void note_error(struct pending *pending, unsigned slot, const char *error)
{
    json_array_append_new(pending->replies,
                          json_pack("{s:i, s:s}", "slot", (int)slot, "error", error));
}

// -- the question

static void ask(struct commands *self, struct pending *pending)
{
    Postern__StageCommand command = POSTERN__STAGE_COMMAND__INIT;
    command.number = pending->number;
    command.body = (ProtobufCBinaryData){pending->size, (uint8_t *)pending->body};
    pending->again_ms = loop_now_ms(self->loop) + AGAIN_MS;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        if ((pending->waiting >> slot & 1) && self->ops.send(self->ops.context, slot, &command) < 0)
            log_debug("command.unsent", "slot=%u errno=%d", slot, errno);
}

static size_t limit_of(const char *body, size_t size)
{
    json_t *command = json_loadb(body, size, 0, NULL);
    json_int_t limit = json_integer_value(json_object_get(command, "limit"));
    json_decref(command);
    return limit > 0 ? (size_t)limit : 0;
}

static void refuse(struct commands *self, unsigned master, uint64_t number, const char *body)
{
    Postern__CommandReply reply = POSTERN__COMMAND_REPLY__INIT;
    reply.number = number;
    reply.failed = 1;
    reply.body = (ProtobufCBinaryData){strlen(body), (uint8_t *)(uintptr_t)body};
    if (self->ops.reply(self->ops.context, master, &reply) < 0)
        log_debug("command.unanswered", "master=%u errno=%d", master, errno);
}

void commands_run(struct commands *self, unsigned master, const Postern__Command *command)
{
    if (self->count == PENDING_MOST) {
        refuse(self, master, command->number, "{\"error\":\"too many commands are under way\"}");
        return;
    }
    struct pending *pending = allocate(sizeof(*pending));
    pending->number = ++self->number;
    pending->asked = command->number;
    pending->master = master;
    pending->waiting = self->ops.deliveries(self->ops.context);
    pending->replies = json_array();
    pending->body = duplicate_bytes(command->body.data, command->body.len);
    pending->size = command->body.len;
    pending->limit = limit_of(pending->body, pending->size);
    pending->give_up_ms = loop_now_ms(self->loop) + GIVE_UP_MS;
    pending->next = self->first;
    self->first = pending;
    self->count++;
    if (pending->waiting)
        ask(self, pending);
    else
        finish(self, pending);
}

static json_t *body_of(const Postern__StageReply *reply)
{
    if (reply->body.len > REPLY_MOST)
        return NULL;
    return json_loadb((const char *)reply->body.data, reply->body.len, JSON_REJECT_DUPLICATES,
                      NULL);
}

void commands_reply(struct commands *self, const Postern__StageReply *reply)
{
    struct pending *pending = self->first;
    while (pending && pending->number != reply->number)
        pending = pending->next;
    if (!pending || reply->slot >= SLOT_MOST || !(pending->waiting >> reply->slot & 1))
        return; // answered twice, or too late
    json_t *body = body_of(reply);
    const char *error = json_string_value(json_object_get(body, "error"));
    if (reply->failed || !json_is_object(body))
        note_error(pending, reply->slot, error ? error : "it failed without a reason");
    else
        json_array_append_new(pending->replies,
                              json_pack("{s:i, s:O}", "slot", (int)reply->slot, "body", body));
    json_decref(body);
    pending->waiting &= ~(1ull << reply->slot);
    if (!pending->waiting)
        finish(self, pending);
}

static void give_up(struct commands *self, struct pending *pending)
{
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        if (pending->waiting >> slot & 1)
            note_error(pending, slot, "the delivery did not answer in time");
    finish(self, pending);
}

void commands_second(struct commands *self)
{
    int64_t now = loop_now_ms(self->loop);
    for (struct pending *pending = self->first, *next; pending; pending = next) {
        next = pending->next;
        if (now >= pending->give_up_ms)
            give_up(self, pending);
        else if (now >= pending->again_ms)
            ask(self, pending);
    }
}
