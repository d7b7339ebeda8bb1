// SPDX-License-Identifier: Apache-2.0
#pragma once

// A store in a temporary folder, and events to put into it.
#include "core/base/buffer.h"
#include "core/base/ulid.h"
#include "master/store/store.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// 2026-11-23T12:00:00Z
#define NOON 1795435200000

struct world {
    char folder[64];
    struct store *store;
    uint64_t sequence;
};

// An event with one recipient.
struct fact {
    struct ulid id;
    Postern__Kind kind;
    Postern__Disposition disposition;
    int64_t time_ms;
    const char *sender, *address, *message_id, *reply, *order;
    unsigned recipient, ingress;
    int moved, nameless;
};

static inline ProtobufCBinaryData fact_bytes(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
}

static inline void store_fact(struct store *store, const struct fact *fact, const char *node,
                              uint64_t epoch, uint64_t sequence)
{
    Postern__Event event = POSTERN__EVENT__INIT;
    Postern__EventRecipient recipient = POSTERN__EVENT_RECIPIENT__INIT, *list[] = {&recipient};
    uint8_t packed[4096];
    event.kind = fact->kind;
    event.time_ms = fact->time_ms;
    if (!fact->nameless)
        event.id = (ProtobufCBinaryData){ULID_SIZE, (uint8_t *)(uintptr_t)fact->id.bytes};
    event.sender = fact_bytes(fact->sender);
    event.message_id = fact_bytes(fact->message_id);
    event.order = fact_bytes(fact->order);
    event.ingress = fact->ingress;
    if (fact->kind == POSTERN__KIND__KIND_DONE)
        event.received_ms = fact->time_ms;
    recipient.recipient = fact->recipient;
    recipient.address = fact_bytes(fact->address);
    recipient.disposition = fact->disposition;
    recipient.reply = fact_bytes(fact->reply);
    recipient.moved = fact->moved;
    event.recipients = list;
    event.n_recipients = 1;
    size_t size = postern__event__get_packed_size(&event);
    assert_true(size <= sizeof(packed));
    postern__event__pack(&event, packed);
    struct store_event at = {node, epoch, sequence, {(const char *)packed, size}, &event};
    assert_int_equal(store_add(store, &at), 0);
}

static inline void world_add(struct world *self, const struct fact *fact)
{
    store_fact(self->store, fact, "worker-1", 1, ++self->sequence);
}

static inline void world_reopen(struct world *self)
{
    char error[256];
    store_close(&self->store);
    self->store = store_open(self->folder, error, sizeof(error));
    if (!self->store)
        fail_msg("%s", error);
}

static inline int world_start(void **state)
{
    struct world *self = allocate(sizeof(*self));
    snprintf(self->folder, sizeof(self->folder), "/tmp/postern-store-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    world_reopen(self);
    *state = self;
    return 0;
}

static inline int world_stop(void **state)
{
    struct world *self = *state;
    char command[128];
    store_close(&self->store);
    snprintf(command, sizeof(command), "rm -rf '%s'", self->folder);
    assert_int_equal(system(command), 0);
    free(self);
    return 0;
}

// All rows of a list; takes it. A new reference.
static inline json_t *rows_of(struct store_list *list)
{
    struct buffer out;
    json_t *rows = json_array();
    buffer_init(&out);
    while (store_list_next(list, &out))
        continue;
    buffer_add(&out, "", 1);
    for (char *line = strtok(out.data + out.start, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *row = json_loads(line, 0, NULL);
        assert_non_null(row);
        json_array_append_new(rows, row);
    }
    buffer_free(&out);
    store_list_close(&list);
    return rows;
}

static inline json_t *messages_of(struct world *self, const struct store_query *query)
{
    struct store_reader *reader = store_reader_open(self->folder);
    json_t *rows = rows_of(store_list_messages(reader, query));
    store_reader_close(&reader);
    return rows;
}
