// SPDX-License-Identifier: Apache-2.0
#include "delivery/command_internal.h"

#include "delivery/quarantine.h"
#include "delivery/queued.h"
#include "mail/address.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// A reply has at most 1 MiB: a list shows the first recipients of each mail, and the master asks
// for one page after the other.
enum { PAGE_MOST = COMMAND_PAGE, ADDRESSES_MOST = 1000, LISTED_RECIPIENTS = 10, TEXT_MOST = 320 };

// What is not UTF-8 is shown by question marks.
json_t *command_text(const void *data, size_t size)
{
    size = size < TEXT_MOST ? size : TEXT_MOST;
    if (utf8_valid(data, size))
        return json_stringn(data, size);
    char *copy = duplicate_bytes(data, size);
    for (size_t i = 0; i < size; i++)
        if (copy[i] & 0x80)
            copy[i] = '?';
    json_t *text = json_stringn(copy, size);
    free(copy);
    return text;
}

static json_t *bytes_text(const ProtobufCBinaryData *bytes)
{
    return command_text(bytes->data ? (const char *)bytes->data : "", bytes->len);
}

static json_t *recipients_json(const struct queued *mail, size_t most)
{
    json_t *list = json_array();
    for (size_t i = 0; i < mail->count && i < most; i++) {
        const struct queued_recipient *recipient = &mail->recipients[i];
        const char *reply = recipient->reply ? recipient->reply : "";
        json_array_append_new(
            list, json_pack("{s:o, s:b, s:o}", "address",
                            bytes_text(&mail->envelope->recipients[recipient->index]->address),
                            "open", recipient->state != QUEUED_ENDED, "reply",
                            command_text(reply, strlen(reply))));
    }
    return list;
}

static json_t *mail_json(const struct queued *mail, size_t recipients)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "id", mail->name,
                     "sender", bytes_text(&mail->envelope->reverse_path), "message_id",
                     bytes_text(&mail->head->message_id), "recipients",
                     recipients_json(mail, recipients), "recipient_count", (json_int_t)mail->count,
                     "size", (json_int_t)mail->envelope->size, "attempts",
                     (json_int_t)mail->attempts, "received_ms",
                     (json_int_t)mail->envelope->received_ms, "next_ms", (json_int_t)mail->next_ms,
                     "held", mail->frozen, "own", mail->head->own);
}

// The newest of the mails with an id lower than `before` (of all where it is ""), sorted.
struct selection {
    const char *before;
    const struct queued *mails[PAGE_MOST];
    size_t count, most;
};

static void select_mail(void *context, const struct queued *mail)
{
    struct selection *self = context;
    if (*self->before && strcmp(mail->name, self->before) >= 0)
        return;
    size_t at = self->count;
    while (at > 0 && strcmp(self->mails[at - 1]->name, mail->name) < 0)
        at--;
    if (at == self->most)
        return;
    self->count += self->count < self->most;
    memmove(&self->mails[at + 1], &self->mails[at],
            (self->count - at - 1) * sizeof(self->mails[0]));
    self->mails[at] = mail;
}

static json_t *list_mails(struct command *self, const char *before, size_t most, size_t recipients)
{
    struct selection selection = {.before = before, .most = most};
    json_t *list = json_array();
    for (size_t i = 0; i < self->count; i++)
        queue_each(self->queues[i], self->has_id ? &self->id : NULL, SIZE_MAX, select_mail,
                   &selection);
    for (size_t i = 0; i < selection.count; i++)
        json_array_append_new(list, mail_json(selection.mails[i], recipients));
    return json_pack("{s:o}", "queue", list);
}

// A page, newest first: `limit` mails before the id `before`.
static json_t *run_list(struct command *self)
{
    json_int_t limit = json_integer_value(json_object_get(self->body, "limit"));
    const char *before = json_string_value(json_object_get(self->body, "before"));
    size_t most = limit > 0 && limit < PAGE_MOST ? (size_t)limit : PAGE_MOST;
    self->has_id = 0;
    return list_mails(self, before ? before : "", most, LISTED_RECIPIENTS);
}

static json_t *run_show(struct command *self)
{
    return list_mails(self, "", PAGE_MOST, SIZE_MAX);
}

typedef size_t touch_fn(struct queue *queue, const struct ulid *id);

static json_t *touch(struct command *self, touch_fn *fn)
{
    size_t touched = 0;
    for (size_t i = 0; i < self->count; i++)
        touched += fn(self->queues[i], self->has_id ? &self->id : NULL);
    return json_pack("{s:I}", "count", (json_int_t)touched);
}

static json_t *run_retry(struct command *self)
{
    return touch(self, queue_retry);
}

static json_t *run_hold(struct command *self)
{
    return touch(self, queue_freeze);
}

static json_t *run_delete(struct command *self)
{
    return touch(self, queue_discard);
}

// -- the quarantine

typedef const char *order_fn(struct queue *queue, const struct quarantine_order *order);

static int read_addresses(const struct command *self, struct span *ret, size_t *ret_count)
{
    json_t *list = json_object_get(self->body, "recipients");
    if (json_array_size(list) > ADDRESSES_MOST)
        return -1;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        if (!json_is_string(item))
            return -1;
        ret[i] = (struct span){json_string_value(item), json_string_length(item)};
    }
    *ret_count = json_array_size(list);
    return 0;
}

static struct span text_at(const struct command *self, const char *key)
{
    const json_t *value = json_object_get(self->body, key);
    return (struct span){json_string_value(value), json_string_length(value)};
}

// Who takes the mail over from this worker, or that this one does from another.
static void read_takeover(const struct command *self, struct quarantine_order *order)
{
    json_int_t recipient = json_integer_value(json_object_get(self->body, "recipient"));
    order->fence = text_at(self, "fence");
    order->day = text_at(self, "day");
    order->adopts = json_is_true(json_object_get(self->body, "adopt")) && recipient >= 0 &&
                    recipient < UINT32_MAX;
    order->recipient = (uint32_t)recipient;
}

static json_t *run_order(struct command *self, order_fn *fn)
{
    struct span *addresses = allocate(ADDRESSES_MOST * sizeof(*addresses));
    json_t *key = json_object_get(self->body, "order"),
           *round = json_object_get(self->body, "round");
    struct quarantine_order order = {.id = self->id, .addresses = addresses, .round = 1};
    const char *outcome = "unknown";
    read_takeover(self, &order);
    if (json_is_string(key))
        order.key = (struct span){json_string_value(key), json_string_length(key)};
    if (json_is_integer(round) && json_integer_value(round) > 0 &&
        json_integer_value(round) <= UINT32_MAX)
        order.round = (uint32_t)json_integer_value(round);
    if (order.key.size == 0 || read_addresses(self, addresses, &order.address_count) < 0) {
        self->error = "order (text) and recipients (list of addresses) are needed";
    } else {
        for (size_t i = 0; i < self->count && strcmp(outcome, "unknown") == 0; i++)
            outcome = fn(self->queues[i], &order);
    }
    free(addresses);
    return json_pack("{s:s}", "outcome", outcome);
}

static json_t *run_release(struct command *self)
{
    return run_order(self, quarantine_release);
}

static json_t *run_quarantine_delete(struct command *self)
{
    return run_order(self, quarantine_delete);
}

// -- all of them

static const struct {
    const char *name;
    int needs_id; // "all" counts as none where it is not needed
    json_t *(*run)(struct command *self);
} commands[] = {
    {"queue.list", 0, run_list},
    {"queue.show", 1, run_show},
    {"queue.retry", 0, run_retry},
    {"queue.hold", 1, run_hold},
    {"queue.delete", 1, run_delete},
    {"quarantine.release", 1, run_release},
    {"quarantine.delete", 1, run_quarantine_delete},
    {"quarantine.list", 0, command_quarantine_list},
    {"quarantine.show", 1, command_quarantine_show},
    {"quarantine.order", 1, command_quarantine_order},
};

static int read_id(struct command *self)
{
    json_t *id = json_object_get(self->body, "id");
    if (!json_is_string(id) || strcmp(json_string_value(id), "all") == 0)
        return 0;
    self->has_id = 1;
    return ulid_parse(json_string_value(id), json_string_length(id), &self->id);
}

static json_t *dispatch(struct command *self)
{
    const char *name = json_string_value(json_object_get(self->body, "command"));
    for (size_t i = 0; name && i < ARRAY_LENGTH(commands); i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (read_id(self) < 0 || (commands[i].needs_id && !self->has_id)) {
            self->error = "id is not one";
            return NULL;
        }
        return commands[i].run(self);
    }
    self->error = "no such command";
    return NULL;
}

char *command_run(struct queue *const *queues, size_t count, const void *body, size_t size,
                  int *ret_failed)
{
    struct command command = {.queues = queues, .count = count};
    command.body = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    json_t *answer = command.body ? dispatch(&command) : NULL;
    if (!command.body)
        command.error = "not JSON";
    *ret_failed = command.error != NULL;
    if (command.error) {
        json_decref(answer);
        answer = json_pack("{s:s}", "error", command.error);
    }
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    json_decref(command.body);
    return text;
}
