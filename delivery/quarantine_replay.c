// SPDX-License-Identifier: Apache-2.0
// The quarantine's index out of the journal, and its small records on their way forward.
#include "core/base/clock.h"
#include "core/base/table.h"
#include "core/base/unpack.h"
#include "core/journal/record.h"
#include "delivery/quarantine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int quarantine_day_sound(const char *day, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!((day[i] >= '0' && day[i] <= '9') || day[i] == '-'))
            return 0;
    return size == DAY_SIZE - 1;
}

static int day_sound(const ProtobufCBinaryData *day)
{
    return quarantine_day_sound((const char *)day->data, day->len);
}

int quarantine_replay(struct queue *self, struct position where, const void *payload)
{
    Postern__Event *event = postern__event__unpack(&unpack_allocator, where.length, payload);
    int sound = event && event->id.len == ULID_SIZE && day_sound(&event->quarantine_day);
    if (sound) {
        struct ulid id;
        memcpy(id.bytes, event->id.data, ULID_SIZE);
        struct quarantined *entry = quarantine_make(self, &id, &event->quarantine_day);
        if (!entry->keeping)
            entry->keeping = keeping_new(self);
        keeping_end(entry->keeping, where);
        for (size_t i = 0; i < event->n_recipients; i++) {
            const Postern__EventRecipient *recipient = event->recipients[i];
            quarantine_add(entry, recipient->recipient, &recipient->address);
            if (event->ingress > 0 && event->ingress <= SLOT_MOST)
                claim_outcome(self, event->ingress - 1, &id, recipient->recipient,
                              POSTERN__DISPOSITION__DISPOSITION_QUARANTINED, NULL, NULL,
                              entry->keeping);
        }
    }
    if (event)
        postern__event__free_unpacked(event, NULL);
    return sound ? 0 : -1;
}

static void take_kept(struct quarantined *entry, const Postern__KeptRecipient *kept)
{
    struct quarantined_recipient *recipient =
        quarantine_add(entry, kept->recipient, &kept->address);
    recipient->round = kept->round;
    recipient->tries = kept->tries;
    recipient->state =
        kept->state <= QUARANTINE_UNSURE ? (enum quarantine_state)kept->state : QUARANTINE_HELD;
    // A release under way stands in a record of its own, which says so; one that was never begun is
    // none.
    if (recipient->state == QUARANTINE_RELEASING)
        recipient->state = QUARANTINE_HELD;
    free(recipient->reply);
    recipient->reply = duplicate_bytes(kept->reply.data, kept->reply.len);
}

int quarantine_replay_order(struct queue *self, struct position where, const void *payload)
{
    Postern__KeptQuarantine *kept =
        postern__kept_quarantine__unpack(&unpack_allocator, where.length, payload);
    int sound = kept && kept->id.len == ULID_SIZE && day_sound(&kept->day);
    if (sound) {
        struct ulid id;
        memcpy(id.bytes, kept->id.data, ULID_SIZE);
        struct quarantined *entry = quarantine_make(self, &id, &kept->day);
        if (entry->has_order)
            self->ops->release(self->io, entry->order);
        entry->has_order = 1;
        entry->order = where;
        quarantine_set_fence(entry, kept->fence.data, kept->fence.len);
        for (size_t i = 0; i < kept->n_recipients; i++)
            take_kept(entry, kept->recipients[i]);
    }
    if (kept)
        postern__kept_quarantine__free_unpacked(kept, NULL);
    return sound ? 0 : -1;
}

void quarantine_replay_release(struct queued *mail)
{
    struct quarantined *entry = quarantine_entry_of(mail);
    int news = 0;
    for (size_t i = 0; entry && i < mail->count; i++) {
        struct quarantined_recipient *recipient =
            quarantine_recipient(entry, mail->recipients[i].index);
        if (!recipient || recipient->round > mail->head->round)
            continue;
        int known = recipient->round == mail->head->round && recipient->state != QUARANTINE_HELD;
        if (recipient->round < mail->head->round)
            recipient->tries = 0;
        recipient->round = mail->head->round;
        if (mail->recipients[i].state != QUEUED_ENDED)
            recipient->state = QUARANTINE_RELEASING;
        else if (!known)
            recipient->state = quarantine_state_after(mail->recipients[i].end);
        news |= !known && mail->recipients[i].state == QUEUED_ENDED;
    }
    if (news)
        quarantine_write_outcome(mail, entry);
}

// -- what is not needed any more

static int outlived(const struct queue *self, const struct quarantined *entry)
{
    char folder[512], name[ULID_TEXT], path[560], day[DAY_SIZE];
    struct stat status;
    clock_format_day(self->ops->now_ms(self->io) - self->schedule.orders_ms, day);
    if (strcmp(entry->day, day) >= 0)
        return 0;
    quarantine_path(self, entry->day, &entry->id, folder, name);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return stat(path, &status) < 0;
}

// Orders outlive the body: longer than any node keeps it, so that none is carried out twice.
static int drop_outlived(const void *key, size_t size, void *value, void *context)
{
    struct queue *self = context;
    struct quarantined *entry = value;
    int acknowledged = !entry->keeping || entry->keeping->waits == 1;
    if (!acknowledged || entry->ordered > 0 || !outlived(self, entry))
        return 0;
    table_remove(self->quarantine, key, size);
    if (entry->keeping)
        keeping_done(entry->keeping);
    if (entry->has_order)
        self->ops->release(self->io, entry->order);
    quarantine_entry_free(entry);
    return 0;
}

void quarantine_recovered(struct queue *self)
{
    table_each(self->quarantine, drop_outlived, self);
}

static void copied(void *context)
{
    keeping_done(context);
}

static int in_segment(const struct quarantined *entry, uint64_t segment)
{
    if (entry->has_order && entry->order.segment == segment)
        return 1;
    for (size_t i = 0; entry->keeping && i < entry->keeping->end_count; i++)
        if (entry->keeping->ends[i].segment == segment)
            return 1;
    return 0;
}

static int copy_one(const void *key, size_t size, void *value, void *context)
{
    struct queue *self = context;
    struct quarantined *entry = value;
    (void)key, (void)size;
    int acknowledged = !entry->keeping || entry->keeping->waits == 1;
    if (!acknowledged || entry->ordered > 0 || !in_segment(entry, self->copying_segment))
        return 0;
    struct keeping *keeping = entry->keeping;
    entry->keeping = NULL;
    quarantine_write(self, entry, keeping ? copied : NULL, keeping);
    return 0;
}

void quarantine_copy(struct queue *self, uint64_t segment)
{
    table_each(self->quarantine, drop_outlived, self);
    self->copying_segment = segment;
    table_each(self->quarantine, copy_one, self);
}
