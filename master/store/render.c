// SPDX-License-Identifier: Apache-2.0
#include "master/store/render.h"
#include "core/base/base.h"
#include "core/base/clock.h"
#include "core/base/unpack.h"
#include "master/store/merge.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *render_bytes(const ProtobufCBinaryData *data)
{
    json_t *value = NULL;
    if (data->len == 0)
        return json_string("");
    if (!memchr(data->data, 0, data->len))
        value = json_stringn((const char *)data->data, data->len);
    if (value)
        return value;
    char *text = duplicate_bytes(data->data, data->len);
    for (size_t i = 0; i < data->len; i++)
        if (text[i] == 0 || (unsigned char)text[i] > 127)
            text[i] = '?';
    value = json_stringn(text, data->len);
    free(text);
    return value;
}

json_t *render_time(int64_t wall_ms)
{
    char text[40];
    if (wall_ms == 0)
        return json_null();
    clock_format_rfc3339(wall_ms, text);
    return json_string(text);
}

json_t *render_findings(const Postern__Event *event)
{
    json_t *list = json_array();
    for (size_t i = 0; i < event->n_findings; i++) {
        const Postern__Finding *finding = event->findings[i];
        json_array_append_new(list, json_pack("{s:o, s:f, s:o, s:o}", "name",
                                              render_bytes(&finding->name), "score", finding->score,
                                              "sentence", render_bytes(&finding->sentence),
                                              "evidence", render_bytes(&finding->evidence)));
    }
    return list;
}

static void set_bytes(json_t *object, const char *key, const ProtobufCBinaryData *data)
{
    if (data->len)
        json_object_set_new(object, key, render_bytes(data));
}

static json_t *render_recipient(const Postern__EventRecipient *recipient)
{
    json_t *value = json_pack("{s:I, s:s}", "recipient", (json_int_t)recipient->recipient,
                              "disposition", disposition_name(recipient->disposition));
    set_bytes(value, "address", &recipient->address);
    set_bytes(value, "reply", &recipient->reply);
    set_bytes(value, "hop", &recipient->hop);
    if (recipient->moved)
        json_object_set_new(value, "moved", json_true());
    if (recipient->next_ms)
        json_object_set_new(value, "next_try", render_time(recipient->next_ms));
    return value;
}

json_t *render_event(const char *node, uint64_t epoch, uint64_t sequence, const void *packed,
                     size_t size)
{
    Postern__Event *event = postern__event__unpack(&unpack_allocator, size, packed);
    char epoch_text[17];
    if (!event)
        return NULL;
    snprintf(epoch_text, sizeof(epoch_text), "%016" PRIx64, epoch);
    json_t *recipients = json_array();
    for (size_t i = 0; i < event->n_recipients; i++)
        json_array_append_new(recipients, render_recipient(event->recipients[i]));
    json_t *value = json_pack("{s:o, s:s, s:s, s:s, s:I, s:o}", "time", render_time(event->time_ms),
                              "kind", kind_name(event->kind), "node", node, "epoch", epoch_text,
                              "sequence", (json_int_t)sequence, "recipients", recipients);
    set_bytes(value, "detail", &event->detail);
    set_bytes(value, "order", &event->order);
    set_bytes(value, "alarm", &event->alarm);
    if (event->attempts)
        json_object_set_new(value, "attempts", json_integer(event->attempts));
    if (event->kind == POSTERN__KIND__KIND_DONE || event->n_findings) {
        json_object_set_new(value, "score", json_real(event->score));
        json_object_set_new(value, "findings", render_findings(event));
        set_bytes(value, "revision", &event->revision);
    }
    postern__event__free_unpacked(event, NULL);
    return value;
}
