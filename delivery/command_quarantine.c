// SPDX-License-Identifier: Apache-2.0
// What a worker's own console asks of the quarantine: what lies here, and orders clicked here.
#include "core/base/table.h"
#include "delivery/command_internal.h"
#include "delivery/quarantine_internal.h"

#include <stdio.h>
#include <string.h>

static const char *const states[] = {
    [QUARANTINE_HELD] = "held",         [QUARANTINE_RELEASING] = "held",
    [QUARANTINE_RELEASED] = "released", [QUARANTINE_FAILED] = "held",
    [QUARANTINE_DELETED] = "deleted",   [QUARANTINE_UNSURE] = "held",
};

// "" while it is not known.
static const char *const outcomes[] = {
    [QUARANTINE_HELD] = "",
    [QUARANTINE_RELEASING] = "",
    [QUARANTINE_RELEASED] = "delivered",
    [QUARANTINE_FAILED] = "failed",
    [QUARANTINE_DELETED] = "deleted",
    [QUARANTINE_UNSURE] = "unsure",
};

static void order_key(char *ret, size_t size, const char *id,
                      const struct quarantined_recipient *recipient, int deletes, unsigned round)
{
    if (deletes)
        snprintf(ret, size, "%s|%u|delete", id, recipient->index);
    else
        snprintf(ret, size, "%s|%u|%u", id, recipient->index, round);
}

static json_t *state_json(const struct quarantined *entry,
                          const struct quarantined_recipient *recipient)
{
    return json_pack("{s:i, s:o, s:s, s:s}", "recipient", (int)recipient->index, "address",
                     command_text(recipient->address, strlen(recipient->address)), "state",
                     states[recipient->state], "day", entry->day);
}

// The last order about the recipient, as its state tells it; NULL: there was none.
static json_t *order_json(const char *id, const struct quarantined_recipient *recipient)
{
    int deletes = recipient->state == QUARANTINE_DELETED;
    const char *reply = recipient->reply ? recipient->reply : "";
    char key[64];
    if (!deletes && recipient->round == 0)
        return NULL;
    order_key(key, sizeof(key), id, recipient, deletes, recipient->round);
    return json_pack("{s:s, s:o, s:s, s:i, s:s, s:s, s:o}", "order", key, "address",
                     command_text(recipient->address, strlen(recipient->address)), "kind",
                     deletes ? "delete" : "release", "round", (int)recipient->round, "author", "",
                     "outcome", outcomes[recipient->state], "reply",
                     command_text(reply, strlen(reply)));
}

static json_t *entry_json(const struct quarantined *entry)
{
    json_t *of_recipients = json_array(), *orders = json_array();
    char id[ULID_TEXT];
    ulid_format(&entry->id, id);
    for (size_t i = 0; i < entry->count; i++) {
        json_t *order = order_json(id, &entry->recipients[i]);
        json_array_append_new(of_recipients, state_json(entry, &entry->recipients[i]));
        if (order)
            json_array_append_new(orders, order);
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "id", id, "day", entry->day, "states", of_recipients,
                     "orders", orders);
}

// -- the newest that hold somebody, below an id

struct page {
    struct ulid before;
    int has_before;
    const struct quarantined *entries[COMMAND_PAGE];
    size_t count, most;
};

static int is_held(const struct quarantined *entry)
{
    for (size_t i = 0; i < entry->count; i++)
        if (strcmp(states[entry->recipients[i].state], "held") == 0)
            return 1;
    return 0;
}

static int select_entry(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size;
    struct page *self = context;
    const struct quarantined *entry = value;
    if (!is_held(entry) ||
        (self->has_before && memcmp(entry->id.bytes, self->before.bytes, ULID_SIZE) >= 0))
        return 0;
    size_t at = self->count;
    while (at > 0 && memcmp(self->entries[at - 1]->id.bytes, entry->id.bytes, ULID_SIZE) < 0)
        at--;
    if (at == self->most)
        return 0;
    self->count += self->count < self->most;
    memmove(&self->entries[at + 1], &self->entries[at],
            (self->count - at - 1) * sizeof(self->entries[0]));
    self->entries[at] = entry;
    return 0;
}

json_t *command_quarantine_list(struct command *self)
{
    json_int_t limit = json_integer_value(json_object_get(self->body, "limit"));
    const json_t *before = json_object_get(self->body, "before");
    struct page page = {.most = limit > 0 && limit < COMMAND_PAGE ? (size_t)limit : COMMAND_PAGE};
    json_t *list = json_array();
    page.has_before =
        json_is_string(before) &&
        ulid_parse(json_string_value(before), json_string_length(before), &page.before) == 0;
    for (size_t i = 0; i < self->count; i++)
        table_each(self->queues[i]->quarantine, select_entry, &page);
    for (size_t i = 0; i < page.count; i++)
        json_array_append_new(list, entry_json(page.entries[i]));
    return json_pack("{s:o}", "queue", list);
}

json_t *command_quarantine_show(struct command *self)
{
    json_t *list = json_array();
    for (size_t i = 0; i < self->count; i++) {
        const struct quarantined *entry = quarantine_find(self->queues[i], &self->id);
        if (entry)
            json_array_append_new(list, entry_json(entry));
    }
    return json_pack("{s:o}", "queue", list);
}

// -- orders clicked here: the click fixes the round

static json_t *order_one(struct queue *queue, const struct quarantined *entry, size_t at,
                         int deletes, int again)
{
    const struct quarantined_recipient *recipient = &entry->recipients[at];
    struct span address = span_of(recipient->address);
    unsigned round = recipient->round == 0 ? 1 : recipient->round + (again != 0);
    char id[ULID_TEXT], key[64];
    ulid_format(&entry->id, id);
    order_key(key, sizeof(key), id, recipient, deletes, round);
    struct quarantine_order order = {.id = entry->id,
                                     .key = span_of(key),
                                     .addresses = &address,
                                     .address_count = 1,
                                     .round = round};
    const char *outcome =
        deletes ? quarantine_delete(queue, &order) : quarantine_release(queue, &order);
    if (strcmp(outcome, "pending") == 0)
        outcome = "";
    else if (strcmp(outcome, "released") == 0)
        outcome = "delivered";
    return json_pack("{s:s, s:o, s:s}", "order", key, "address",
                     command_text(address.data, address.size), "outcome", outcome);
}

json_t *command_quarantine_order(struct command *self)
{
    const char *recipient = json_string_value(json_object_get(self->body, "recipient"));
    int deletes = json_is_true(json_object_get(self->body, "deletes"));
    int again = json_is_true(json_object_get(self->body, "again"));
    json_t *orders = json_array();
    char id[ULID_TEXT];
    for (size_t i = 0; i < self->count; i++) {
        const struct quarantined *entry = quarantine_find(self->queues[i], &self->id);
        for (size_t k = 0; entry && k < entry->count; k++)
            if (!recipient ||
                span_equal_nocase(span_of(recipient), span_of(entry->recipients[k].address)))
                json_array_append_new(orders, order_one(self->queues[i], entry, k, deletes, again));
    }
    ulid_format(&self->id, id);
    return json_pack("{s:[{s:s, s:o}]}", "queue", "id", id, "orders", orders);
}
