// SPDX-License-Identifier: Apache-2.0
#include "master/store/public.h"
#include "core/base/buffer.h"
#include "core/base/ulid.h"
#include "core/base/unpack.h"
#include "master/store/merge.h"
#include "master/store/render.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RECIPIENTS_MOST = 100, FINDINGS_MOST = 50, TEXT_MOST = 1000, ADDRESS_MOST = 400 };

static ProtobufCBinaryData cut(ProtobufCBinaryData data, size_t most)
{
    data.len = data.len < most ? data.len : most;
    return data;
}

// The rows of one event, for as long as it is being packed.
struct rows {
    Postern__PublicRecipient recipients[RECIPIENTS_MOST];
    Postern__PublicRecipient *pointers[RECIPIENTS_MOST];
    ProtobufCBinaryData findings[FINDINGS_MOST];
};

static void add_recipients(Postern__PublicEvent *self, const Postern__Event *event,
                           struct rows *rows)
{
    self->recipients = rows->pointers;
    for (size_t i = 0; i < event->n_recipients && i < RECIPIENTS_MOST; i++) {
        const Postern__EventRecipient *from = event->recipients[i];
        Postern__PublicRecipient *row = &rows->recipients[i];
        postern__public_recipient__init(row);
        row->address = cut(from->address, ADDRESS_MOST);
        row->disposition = (char *)disposition_name(from->disposition);
        row->reply = cut(from->reply, TEXT_MOST);
        rows->pointers[self->n_recipients++] = row;
    }
}

static void add_findings(Postern__PublicEvent *self, const Postern__Event *event, struct rows *rows)
{
    self->findings = rows->findings;
    for (size_t i = 0; i < event->n_findings && i < FINDINGS_MOST; i++)
        rows->findings[self->n_findings++] = cut(event->findings[i]->name, ADDRESS_MOST);
}

void public_pack(const struct store_event *at, const struct ulid *id, const char *message_id,
                 struct buffer *out)
{
    const Postern__Event *event = at->event;
    Postern__PublicEvent made = POSTERN__PUBLIC_EVENT__INIT;
    struct rows *rows = allocate(sizeof(*rows));
    char text[ULID_TEXT] = "";
    if (id)
        ulid_format(id, text);
    made.node = (char *)at->node;
    made.epoch = at->epoch;
    made.sequence = at->sequence;
    made.time_ms = event->time_ms;
    made.kind = (char *)kind_name(event->kind);
    made.id = text;
    made.message_id = cut(event->message_id, TEXT_MOST);
    if (!event->message_id.len)
        made.message_id = (ProtobufCBinaryData){strlen(message_id), (uint8_t *)message_id};
    made.sender = cut(event->sender, ADDRESS_MOST);
    made.client_address = cut(event->client_address, ADDRESS_MOST);
    made.score = event->score;
    made.detail = cut(event->detail, TEXT_MOST);
    made.alarm = cut(event->alarm, ADDRESS_MOST);
    made.clear = event->clear;
    add_recipients(&made, event, rows);
    add_findings(&made, event, rows);
    size_t size = postern__public_event__get_packed_size(&made);
    postern__public_event__pack(&made, (uint8_t *)buffer_reserve(out, size));
    buffer_added(out, size);
    free(rows);
}

Postern__PublicEvent *public_read(const void *packed, size_t size, uint64_t commit)
{
    Postern__PublicEvent *event = postern__public_event__unpack(&unpack_allocator, size, packed);
    if (event)
        event->commit = commit;
    return event;
}

static void set_bytes(json_t *object, const char *key, const ProtobufCBinaryData *data)
{
    if (data->len)
        json_object_set_new(object, key, render_bytes(data));
}

static json_t *recipients_json(const Postern__PublicEvent *event)
{
    json_t *list = json_array();
    for (size_t i = 0; i < event->n_recipients; i++) {
        const Postern__PublicRecipient *row = event->recipients[i];
        json_t *value = json_pack("{s:o, s:s}", "address", render_bytes(&row->address),
                                  "disposition", row->disposition);
        set_bytes(value, "reply", &row->reply);
        json_array_append_new(list, value);
    }
    return list;
}

static void set_findings(json_t *object, const Postern__PublicEvent *event)
{
    json_t *list = json_array();
    for (size_t i = 0; i < event->n_findings; i++)
        json_array_append_new(list, render_bytes(&event->findings[i]));
    json_object_set_new(object, "score", json_real(event->score));
    json_object_set_new(object, "findings", list);
}

void public_json(const Postern__PublicEvent *event, struct buffer *out)
{
    char epoch[17];
    snprintf(epoch, sizeof(epoch), "%016" PRIx64, event->epoch);
    json_t *value =
        json_pack("{s:I, s:s, s:s, s:I, s:o, s:s, s:s, s:o}", "commit", (json_int_t)event->commit,
                  "node", event->node, "epoch", epoch, "sequence", (json_int_t)event->sequence,
                  "time", render_time(event->time_ms), "kind", event->kind, "id", event->id,
                  "message_id", render_bytes(&event->message_id));
    set_bytes(value, "sender", &event->sender);
    set_bytes(value, "client", &event->client_address);
    if (event->n_recipients)
        json_object_set_new(value, "recipients", recipients_json(event));
    if (event->n_findings)
        set_findings(value, event);
    set_bytes(value, "detail", &event->detail);
    set_bytes(value, "alarm", &event->alarm);
    if (event->alarm.len)
        json_object_set_new(value, "clear", json_boolean(event->clear));
    char *text = json_dumps(value, JSON_COMPACT);
    buffer_add_text(out, text);
    buffer_add(out, "\n", 1);
    free(text);
    json_decref(value);
}

// "@domain" stands for every address there.
static int address_matches(const ProtobufCBinaryData *address, const char *wanted)
{
    size_t size = strlen(wanted);
    if (wanted[0] != '@')
        return address->len == size && strncasecmp((const char *)address->data, wanted, size) == 0;
    return address->len > size &&
           strncasecmp((const char *)address->data + address->len - size, wanted, size) == 0;
}

static int any_recipient(const Postern__PublicEvent *event, const char *wanted)
{
    for (size_t i = 0; i < event->n_recipients; i++)
        if (address_matches(&event->recipients[i]->address, wanted))
            return 1;
    return 0;
}

int public_matches(const Postern__PublicEvent *event, const struct public_filter *filter)
{
    return (!filter->kind || strcasecmp(event->kind, filter->kind) == 0) &&
           (!filter->node || strcasecmp(event->node, filter->node) == 0) &&
           (!filter->sender || address_matches(&event->sender, filter->sender)) &&
           (!filter->recipient || any_recipient(event, filter->recipient));
}
