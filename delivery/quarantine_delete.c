// SPDX-License-Identifier: Apache-2.0
// Orders to delete quarantined mail: recorded, told, then its file goes.
#include "core/base/log.h"
#include "core/journal/record.h"
#include "delivery/pieces_file.h"
#include "delivery/quarantine_internal.h"
#include "mail/spooled.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct deletion {
    struct queue *queue;
    struct ulid id;
    void *event;
    size_t size;
};

// -- the file

struct removal {
    struct queue *queue;
    size_t deleted; // recipients
    char path[560];
};

// Recipients of the mail may be another slot's, or were let through: the file is theirs, too, and
// goes with its day.
static int remove_file(void *context)
{
    const struct removal *removal = context;
    struct spooled mail;
    size_t size, recipients = 0;
    void *bytes = pieces_file_map(removal->path, &size);
    if (!bytes)
        return errno;
    if (spooled_open(&mail, bytes, size, NULL) == 0) {
        recipients = mail.envelope->n_recipients;
        spooled_close(&mail);
    }
    munmap(bytes, size);
    if (recipients == removal->deleted && unlink(removal->path) < 0)
        return errno;
    return 0;
}

static void file_removed(void *context, int result)
{
    struct removal *removal = context;
    removal->queue->working--;
    if (result != 0 && result != ENOENT)
        log_warning("quarantine.undeleted", "file=%s error=%d", removal->path, result);
    free(removal);
}

static void begin_removal(struct queue *self, const struct quarantined *entry)
{
    size_t deleted = 0;
    for (size_t i = 0; i < entry->count; i++)
        deleted += entry->recipients[i].state == QUARANTINE_DELETED;
    if (deleted < entry->count)
        return;
    char folder[512], name[ULID_TEXT];
    struct removal *removal = allocate(sizeof(*removal));
    removal->queue = self;
    removal->deleted = deleted;
    quarantine_path(self, entry->day, &entry->id, folder, name);
    snprintf(removal->path, sizeof(removal->path), "%s/%s", folder, name);
    self->working++;
    if (self->ops->work(self->io, remove_file, file_removed, removal) < 0)
        file_removed(removal, EAGAIN);
}

// -- the order

static void deletion_told(void *context, struct position where)
{
    struct queue *self = context;
    self->ops->release(self->io, where);
}

static void deletion_recorded(void *context)
{
    struct deletion *deletion = context;
    struct queue *self = deletion->queue;
    queue_write(self, RECORD_ENDED, deletion->event, deletion->size, NULL, deletion_told, self);
    begin_removal(self, quarantine_find(self, &deletion->id));
    free(deletion);
}

static void tell_deletion(struct queue *self, struct quarantined *entry,
                          const struct quarantine_order *order)
{
    struct deletion *deletion = allocate(sizeof(*deletion));
    Postern__Event event = POSTERN__EVENT__INIT;
    Postern__EventRecipient *recipients = allocate((entry->count + 1) * sizeof(*recipients));
    Postern__EventRecipient **list = allocate((entry->count + 1) * sizeof(*list));
    event.kind = POSTERN__KIND__KIND_DELETED;
    event.time_ms = self->ops->now_ms(self->io);
    event.id = (ProtobufCBinaryData){ULID_SIZE, entry->id.bytes};
    event.order = (ProtobufCBinaryData){order->key.size, (uint8_t *)(uintptr_t)order->key.data};
    event.recipients = list;
    for (size_t i = 0; i < entry->count; i++) {
        struct quarantined_recipient *from = &entry->recipients[i];
        if (!quarantine_meant(order, from) || from->state == QUARANTINE_DELETED)
            continue;
        from->state = QUARANTINE_DELETED;
        Postern__EventRecipient *to = list[event.n_recipients] = &recipients[event.n_recipients];
        event.n_recipients++;
        postern__event_recipient__init(to);
        to->recipient = from->index;
        to->address = (ProtobufCBinaryData){strlen(from->address), (uint8_t *)from->address};
        to->disposition = POSTERN__DISPOSITION__DISPOSITION_DISCARDED;
    }
    deletion->queue = self;
    deletion->id = entry->id;
    deletion->event = pack(&event.base, &deletion->size);
    quarantine_write(self, entry, deletion_recorded, deletion);
    free(list);
    free(recipients);
}

const char *quarantine_delete(struct queue *self, const struct quarantine_order *order)
{
    const char *adopting = quarantine_adopt(self, order);
    struct quarantined *entry = quarantine_find(self, &order->id);
    if (adopting || !entry)
        return adopting ? adopting : "unknown";
    int fenced = quarantine_fence(self, entry, order);
    // A delete waits for a release that has begun.
    if (quarantine_in_state(entry, order, QUARANTINE_RELEASING) > 0 || entry->ordered > 0)
        return "pending";
    size_t deleted = quarantine_in_state(entry, order, QUARANTINE_DELETED), all = 0;
    for (size_t i = 0; i < entry->count; i++)
        all += (size_t)quarantine_meant(order, &entry->recipients[i]);
    if (all == 0)
        return "unknown";
    if (deleted == all)
        return "deleted";
    if (fenced)
        return entry->fence;
    tell_deletion(self, entry, order);
    return "pending";
}
