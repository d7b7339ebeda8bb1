// SPDX-License-Identifier: Apache-2.0
// Orders to release quarantined mail, and the record of what became of orders.
#include "core/base/log.h"
#include "core/base/table.h"
#include "core/journal/record.h"
#include "delivery/pieces_file.h"
#include "delivery/quarantine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// -- the record

struct order_writing {
    struct queue *queue;
    struct ulid id;
    quarantine_written_fn *fn;
    void *context;
};

static void order_written(void *context, struct position where)
{
    struct order_writing *writing = context;
    struct queue *self = writing->queue;
    struct quarantined *entry = quarantine_find(self, &writing->id);
    entry->ordered--;
    if (entry->has_order)
        self->ops->release(self->io, entry->order);
    entry->has_order = 1;
    entry->order = where;
    if (writing->fn)
        writing->fn(writing->context);
    free(writing);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
}

void quarantine_write(struct queue *self, struct quarantined *entry, quarantine_written_fn *fn,
                      void *context)
{
    Postern__KeptQuarantine kept = POSTERN__KEPT_QUARANTINE__INIT;
    Postern__KeptRecipient *recipients = allocate((entry->count + 1) * sizeof(*recipients));
    Postern__KeptRecipient **list = allocate((entry->count + 1) * sizeof(*list));
    for (size_t i = 0; i < entry->count; i++) {
        const struct quarantined_recipient *from = &entry->recipients[i];
        list[i] = &recipients[i];
        postern__kept_recipient__init(list[i]);
        list[i]->recipient = from->index;
        list[i]->address = bytes_of(from->address);
        list[i]->round = from->round;
        list[i]->state = from->state;
        list[i]->reply = bytes_of(from->reply);
        list[i]->tries = from->tries;
    }
    kept.id = (ProtobufCBinaryData){ULID_SIZE, entry->id.bytes};
    kept.day = bytes_of(entry->day);
    struct span fence = quarantine_fence_name(entry);
    kept.fence = (ProtobufCBinaryData){fence.size, (uint8_t *)(uintptr_t)fence.data};
    kept.recipients = list;
    kept.n_recipients = entry->count;
    struct order_writing *writing = allocate(sizeof(*writing));
    *writing = (struct order_writing){.queue = self, .id = entry->id, .fn = fn, .context = context};
    entry->ordered++;
    size_t size;
    void *packed = pack(&kept.base, &size);
    queue_write(self, RECORD_ORDER, packed, size, NULL, order_written, writing);
    free(list);
    free(recipients);
}

// -- whom an order means

int quarantine_meant(const struct quarantine_order *order,
                     const struct quarantined_recipient *recipient)
{
    struct span address = span_of(recipient->address);
    for (size_t i = 0; i < order->address_count; i++)
        if (span_equal_nocase(order->addresses[i], address))
            return 1;
    return order->address_count == 0;
}

// How many of those meant are in a state.
size_t quarantine_in_state(const struct quarantined *entry, const struct quarantine_order *order,
                           enum quarantine_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < entry->count; i++)
        count +=
            quarantine_meant(order, &entry->recipients[i]) && entry->recipients[i].state == state;
    return count;
}

// -- release

struct release {
    struct queue *queue;
    struct ulid id;
    char *path;
    char *key;
    uint32_t round;
    void *bytes;
    size_t size;
    uint32_t *recipients;
    size_t count;
};

static void release_free(struct release *release)
{
    if (release->bytes)
        munmap(release->bytes, release->size);
    free(release->recipients);
    free(release->path);
    free(release->key);
    free(release);
}

static void set_states(struct quarantined *entry, const uint32_t *recipients, size_t count,
                       enum quarantine_state state)
{
    for (size_t i = 0; i < count; i++) {
        struct quarantined_recipient *recipient = quarantine_recipient(entry, recipients[i]);
        if (recipient)
            recipient->state = state;
    }
}

// The release is begun durably: it leaves.
static void begun(void *context, struct queued *mail)
{
    (void)context;
    queued_schedule(mail, mail->next_ms);
}

static void hold_release(const struct release *release, const struct spooled *mail)
{
    struct queue *self = release->queue;
    int64_t now = self->ops->now_ms(self->io);
    struct ulid id = ulid_new(now);
    Postern__Envelope envelope = *mail->envelope;
    Postern__Held head = POSTERN__HELD__INIT;
    envelope.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
    envelope.received_ms = now; // its time in the queue begins here
    head.envelope = &envelope;
    head.recipients = release->recipients;
    head.n_recipients = release->count;
    head.group = release->recipients[0];
    head.own = 1;
    head.next_ms = now;
    head.order = bytes_of(release->key);
    head.released = (ProtobufCBinaryData){ULID_SIZE, (uint8_t *)(uintptr_t)release->id.bytes};
    head.round = release->round;
    struct buffer message;
    buffer_init(&message);
    buffer_add(&message, mail->message, mail->size);
    queue_own(self, &head, &message, begun, NULL);
}

static int read_body(void *context)
{
    struct release *release = context;
    release->bytes = pieces_file_map(release->path, &release->size);
    return release->bytes ? 0 : errno;
}

static int recipients_sound(const struct release *release, const struct spooled *mail)
{
    for (size_t i = 0; i < release->count; i++)
        if (release->recipients[i] >= mail->envelope->n_recipients)
            return 0;
    return 1;
}

static void body_read_done(void *context, int result)
{
    struct release *release = context;
    struct quarantined *entry = quarantine_find(release->queue, &release->id);
    struct spooled mail;
    release->queue->working--;
    if (result == 0 && spooled_open(&mail, release->bytes, release->size, NULL) < 0)
        result = EBADMSG;
    if (result == 0) {
        if (recipients_sound(release, &mail))
            hold_release(release, &mail);
        else
            result = EBADMSG;
        spooled_close(&mail);
    }
    if (result != 0) {
        log_error("release.failed", "file=%s error=%d", release->path, result);
        set_states(entry, release->recipients, release->count, QUARANTINE_HELD);
    }
    release_free(release);
}

static int release_wanted(const struct quarantine_order *order,
                          const struct quarantined_recipient *recipient)
{
    // One that is held in a later round (its release was not begun durably) is not that order's.
    int held = recipient->state == QUARANTINE_HELD && order->round >= recipient->round;
    int wanted = held || order->round > recipient->round;
    return wanted && quarantine_meant(order, recipient) &&
           recipient->state != QUARANTINE_RELEASING && recipient->state != QUARANTINE_DELETED;
}

static void begin_release(struct queue *self, struct quarantined *entry,
                          const struct quarantine_order *order)
{
    struct release *release = allocate(sizeof(*release));
    char folder[512], name[ULID_TEXT], path[560];
    release->queue = self;
    release->id = entry->id;
    release->round = order->round;
    release->key = duplicate_bytes(order->key.data, order->key.size);
    release->recipients = allocate((entry->count + 1) * sizeof(*release->recipients));
    for (size_t i = 0; i < entry->count; i++) {
        struct quarantined_recipient *recipient = &entry->recipients[i];
        if (!release_wanted(order, recipient))
            continue;
        recipient->state = QUARANTINE_RELEASING;
        recipient->round = order->round;
        recipient->tries = 0;
        release->recipients[release->count++] = recipient->index;
    }
    quarantine_path(self, entry->day, &entry->id, folder, name);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    release->path = duplicate(path);
    self->working++;
    if (release->count == 0 || self->ops->work(self->io, read_body, body_read_done, release) < 0) {
        self->working--;
        set_states(entry, release->recipients, release->count, QUARANTINE_HELD);
        release_free(release);
    }
}

static size_t wanted(const struct quarantined *entry, const struct quarantine_order *order)
{
    size_t count = 0;
    for (size_t i = 0; i < entry->count; i++)
        count += (size_t)release_wanted(order, &entry->recipients[i]);
    return count;
}

// What would be released, and its file went with its day.
static int lacks_body(const struct queue *self, const struct quarantined *entry,
                      const struct quarantine_order *order)
{
    char folder[512], name[ULID_TEXT], path[560];
    if (wanted(entry, order) == 0)
        return 0;
    quarantine_path(self, entry->day, &entry->id, folder, name);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) < 0 && errno == ENOENT;
}

static const char *release_outcome(const struct quarantined *entry,
                                   const struct quarantine_order *order)
{
    static const struct {
        enum quarantine_state state;
        const char *outcome;
    } rows[] = {{QUARANTINE_UNSURE, "unsure"},
                {QUARANTINE_FAILED, "failed"},
                {QUARANTINE_RELEASED, "released"},
                {QUARANTINE_DELETED, "deleted before"}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (quarantine_in_state(entry, order, rows[i].state) > 0)
            return rows[i].outcome;
    return "unknown";
}

const char *quarantine_release(struct queue *self, const struct quarantine_order *order)
{
    const char *adopting = quarantine_adopt(self, order);
    struct quarantined *entry = quarantine_find(self, &order->id);
    if (adopting || !entry)
        return adopting ? adopting : "unknown";
    int fenced = quarantine_fence(self, entry, order);
    if (!fenced && lacks_body(self, entry, order))
        return "no body"; // no outcome: a master may have it, and sends it along
    if (!fenced)
        begin_release(self, entry, order);
    if (quarantine_in_state(entry, order, QUARANTINE_RELEASING) > 0 || entry->ordered > 0)
        return "pending";
    if (fenced && wanted(entry, order) > 0)
        return entry->fence;
    if (quarantine_in_state(entry, order, QUARANTINE_HELD) > 0)
        return "pending";
    return release_outcome(entry, order);
}
