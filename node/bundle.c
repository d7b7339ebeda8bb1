// SPDX-License-Identifier: Apache-2.0
#include "node/bundle.h"

#include "core/base/random.h"
#include "proto/event.pb-c.h"

#include <stdlib.h>
#include <string.h>

struct bundle *bundle_new(void)
{
    struct bundle *self = allocate(sizeof(*self));
    buffer_init(&self->bytes);
    return self;
}

void bundle_destroy(struct bundle **self)
{
    if (!*self)
        return;
    buffer_free(&(*self)->bytes);
    free((*self)->events);
    free(*self);
    *self = NULL;
}

static enum topic topic_of(int kind)
{
    switch (kind) {
    case POSTERN__KIND__KIND_QUARANTINED:
    case POSTERN__KIND__KIND_RELEASED:
    case POSTERN__KIND__KIND_DELETED:
        return TOPIC_QUARANTINE;
    case POSTERN__KIND__KIND_NODE:
    case POSTERN__KIND__KIND_STREAM_CUT:
        return TOPIC_NODE;
    default:
        return TOPIC_RESULT;
    }
}

void bundle_add(struct bundle *self, int kind, const void *event, size_t size)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 64;
        self->events = reallocate(self->events, self->capacity * sizeof(*self->events));
    }
    self->events[self->count++] =
        (struct bundle_event){buffer_size(&self->bytes), (uint32_t)size, topic_of(kind)};
    buffer_add(&self->bytes, event, size);
}

int bundle_full(const struct bundle *self)
{
    return buffer_size(&self->bytes) >= BUNDLE_FULL;
}

// Points into the bundle.
static ProtobufCBinaryData *list_events(const struct bundle *self)
{
    ProtobufCBinaryData *list = allocate((self->count + 1) * sizeof(*list));
    uint8_t *bytes = (uint8_t *)(uintptr_t)buffer_bytes(&self->bytes);
    for (size_t i = 0; i < self->count; i++)
        list[i] = (ProtobufCBinaryData){self->events[i].size, bytes + self->events[i].offset};
    return list;
}

struct record_parts {
    Postern__OutboxRecord record;
    struct cursors cursors;
    Postern__Cursor cursor[CURSORS_MOST], *cursor_list[CURSORS_MOST];
    Postern__MasterAck ack[PRODUCER_MASTERS_MOST], *ack_list[PRODUCER_MASTERS_MOST];
};

static void list_cursors(struct record_parts *parts, const struct cursors *committed,
                         const struct cursors *changes)
{
    parts->cursors = *committed;
    for (size_t i = 0; i < changes->count; i++)
        cursors_set(&parts->cursors, changes->list[i]);
    for (size_t i = 0; i < parts->cursors.count; i++) {
        postern__cursor__init(&parts->cursor[i]);
        parts->cursor[i].journal = parts->cursors.list[i].journal;
        parts->cursor[i].segment = parts->cursors.list[i].segment;
        parts->cursor[i].offset = parts->cursors.list[i].offset;
        parts->cursor_list[i] = &parts->cursor[i];
    }
    parts->record.n_cursors = parts->cursors.count;
    parts->record.cursors = parts->cursor_list;
}

static void list_acknowledgements(struct record_parts *parts, const struct producer *producer)
{
    for (unsigned i = 0; i < producer->master_count; i++) {
        const struct producer_master *master = &producer->masters[i];
        postern__master_ack__init(&parts->ack[i]);
        parts->ack[i].key =
            (ProtobufCBinaryData){strlen(master->key), (uint8_t *)(uintptr_t)master->key};
        parts->ack[i].incarnation = master->incarnation;
        parts->ack[i].epoch = master->epoch;
        parts->ack[i].upto = master->upto;
        parts->ack_list[i] = &parts->ack[i];
    }
    parts->record.n_acknowledged = producer->master_count;
    parts->record.acknowledged = parts->ack_list;
}

void bundle_pack(struct bundle *self, const struct producer *producer,
                 const struct cursors *committed, struct buffer *ret)
{
    struct record_parts *parts = allocate(sizeof(*parts));
    postern__outbox_record__init(&parts->record);
    parts->record.epoch = producer->epoch;
    parts->record.first = producer->last + 1;
    parts->record.n_events = self->count;
    parts->record.events = list_events(self);
    parts->record.time_s = self->time_s;
    parts->record.mark = self->mark = random_u64();
    parts->record.before = self->before = producer->mark;
    list_cursors(parts, committed, &self->changes);
    list_acknowledgements(parts, producer);
    size_t size = postern__outbox_record__get_packed_size(&parts->record);
    postern__outbox_record__pack(&parts->record, (uint8_t *)buffer_reserve(ret, size));
    buffer_added(ret, size);
    free(parts->record.events);
    free(parts);
}

void bundle_publish(const struct bundle *self, const char *node, uint64_t epoch, uint64_t first,
                    bundle_publish_fn *fn, void *context)
{
    ProtobufCBinaryData *events = list_events(self);
    size_t end;
    for (size_t start = 0; start < self->count; start = end) {
        enum topic topic = self->events[start].topic;
        for (end = start + 1; end < self->count && self->events[end].topic == topic; end++)
            continue;
        Postern__Publication publication = POSTERN__PUBLICATION__INIT;
        publication.node = (ProtobufCBinaryData){strlen(node), (uint8_t *)(uintptr_t)node};
        publication.epoch = epoch;
        publication.first = first + start;
        publication.record_first = first;
        publication.mark = self->mark;
        publication.before = self->before;
        publication.n_events = end - start;
        publication.events = events + start;
        fn(context, topic, &publication);
    }
    free(events);
}
