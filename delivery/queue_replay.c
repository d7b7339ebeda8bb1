// SPDX-License-Identifier: Apache-2.0
// Rebuilds the queue out of its journal: records are gathered as they are found, then put together.
#include "core/base/log.h"
#include "core/base/table.h"
#include "core/base/unpack.h"
#include "core/journal/record.h"
#include "delivery/notify.h"
#include "delivery/quarantine.h"
#include "delivery/queued.h"

#include <stdlib.h>
#include <string.h>

struct found_head {
    struct found_head *next;
    Postern__Held *head;
    struct position where;
};

struct found_event {
    struct found_event *next;
    Postern__Event *event;
    struct position where;
    struct keeping *keeping; // of the mail that it ended
    int used;
};

struct found_void {
    struct found_void *next;
    Postern__Void *gone;
    struct position where;
    int used;
};

struct replay {
    struct found_head *heads, **last_head;
    struct found_event *events, **last_event;
    struct found_event *tries; // newest first
    struct found_void *voids;
    struct table *groups; // group key: the newest found_head
    struct table *ends;   // end key: found_event
    struct table *marks;  // notice id, or group key: found_void
    struct table *mails;  // end key: struct queued that holds that recipient
};

struct replay *replay_new(void)
{
    struct replay *self = allocate(sizeof(*self));
    self->last_head = &self->heads;
    self->last_event = &self->events;
    self->groups = table_new();
    self->ends = table_new();
    self->marks = table_new();
    self->mails = table_new();
    return self;
}

void replay_free(struct replay **self_pointer)
{
    struct replay *self = *self_pointer;
    if (!self)
        return;
    while (self->events) {
        struct found_event *gone = self->events;
        self->events = gone->next;
        postern__event__free_unpacked(gone->event, NULL);
        free(gone);
    }
    while (self->voids) {
        struct found_void *gone = self->voids;
        self->voids = gone->next;
        postern__void__free_unpacked(gone->gone, NULL);
        free(gone);
    }
    table_destroy(&self->groups);
    table_destroy(&self->ends);
    table_destroy(&self->marks);
    table_destroy(&self->mails);
    free(self);
    *self_pointer = NULL;
}

// -- keys

struct replay_key {
    uint8_t bytes[ULID_SIZE + 4];
};

static struct replay_key key_of(const uint8_t *id, uint32_t number)
{
    struct replay_key key;
    memcpy(key.bytes, id, ULID_SIZE);
    memcpy(key.bytes + ULID_SIZE, &number, sizeof(number));
    return key;
}

static void *find(const struct table *table, const uint8_t *id, uint32_t number)
{
    struct replay_key key = key_of(id, number);
    return table_get(table, key.bytes, sizeof(key.bytes));
}

static void put(struct table *table, const uint8_t *id, uint32_t number, void *value)
{
    struct replay_key key = key_of(id, number);
    table_put(table, key.bytes, sizeof(key.bytes), value);
}

static const uint8_t *head_id(const Postern__Held *head)
{
    return head->envelope->id.data;
}

// A release's event names the quarantined mail; `detail` names the released one.
static struct ulid event_id(const Postern__Event *event)
{
    struct ulid id;
    if (event->kind == POSTERN__KIND__KIND_RELEASED &&
        ulid_parse((const char *)event->detail.data, event->detail.len, &id) == 0)
        return id;
    memcpy(id.bytes, event->id.data, ULID_SIZE);
    return id;
}

// -- gathering

static int head_sound(const Postern__Held *head)
{
    const Postern__Envelope *envelope = head->envelope;
    if (!envelope || envelope->id.len != ULID_SIZE || head->n_recipients == 0)
        return 0;
    for (size_t i = 0; i < head->n_recipients; i++)
        if (head->recipients[i] >= envelope->n_recipients)
            return 0;
    return head->own || head->ingress < SLOT_MOST;
}

static int gather_head(struct replay *self, struct position where, const uint8_t *payload)
{
    size_t end = held_head_end(payload, where.length);
    Postern__Held *head =
        end > 0 ? postern__held__unpack(&unpack_allocator, end - 4, payload + 4) : NULL;
    if (!head || !head_sound(head)) {
        if (head)
            postern__held__free_unpacked(head, NULL);
        return -1;
    }
    struct found_head *found = allocate(sizeof(*found));
    *found = (struct found_head){.head = head, .where = where};
    *self->last_head = found;
    self->last_head = &found->next;
    struct found_head *other = find(self->groups, head_id(head), head->group);
    if (!other || other->head->generation <= head->generation)
        put(self->groups, head_id(head), head->group, found);
    return 0;
}

static int gather_void(struct replay *self, struct position where, const uint8_t *payload)
{
    Postern__Void *gone = postern__void__unpack(&unpack_allocator, where.length, payload);
    if (!gone || gone->id.len != ULID_SIZE) {
        if (gone)
            postern__void__free_unpacked(gone, NULL);
        return -1;
    }
    struct found_void *found = allocate(sizeof(*found));
    *found = (struct found_void){.next = self->voids, .gone = gone, .where = where};
    self->voids = found;
    return 0;
}

static int gather_event(struct replay *self, unsigned type, struct position where,
                        const uint8_t *payload)
{
    Postern__Event *event = postern__event__unpack(&unpack_allocator, where.length, payload);
    if (!event || event->id.len != ULID_SIZE) {
        if (event)
            postern__event__free_unpacked(event, NULL);
        return -1;
    }
    struct found_event *found = allocate(sizeof(*found));
    *found = (struct found_event){.event = event, .where = where};
    if (type == RECORD_TRIED) {
        found->next = self->tries;
        self->tries = found;
        return 0;
    }
    *self->last_event = found;
    self->last_event = &found->next;
    struct ulid id = event_id(event);
    for (size_t i = 0; i < event->n_recipients; i++)
        put(self->ends, id.bytes, event->recipients[i]->recipient, found);
    return 0;
}

void queue_replay(void *context, unsigned type, struct position where, const void *payload)
{
    struct queue *self = context;
    int rc = -1;
    if (!self->replay)
        self->replay = replay_new();
    switch (type) {
    case RECORD_HELD:
    case RECORD_MOVED:
        rc = gather_head(self->replay, where, payload);
        break;
    case RECORD_ACKED:
        rc = gather_void(self->replay, where, payload);
        break;
    case RECORD_TRIED:
    case RECORD_ENDED:
        rc = gather_event(self->replay, type, where, payload);
        break;
    case RECORD_QUARANTINED:
        rc = quarantine_replay(self, where, payload);
        break;
    case RECORD_ORDER:
        rc = quarantine_replay_order(self, where, payload);
        break;
    default:
        break;
    }
    if (rc < 0) {
        log_error("journal-record.unreadable", "type=%u segment=%llu offset=%u", type,
                  (unsigned long long)where.segment, where.offset);
        self->ops->release(self->io, where);
    }
}

// -- putting together

static void index_voids(struct replay *self)
{
    for (struct found_void *found = self->voids; found; found = found->next) {
        uint32_t number = found->gone->told ? UINT32_MAX : found->gone->group;
        struct found_void *other = find(self->marks, found->gone->id.data, number);
        if (!other || other->gone->generation <= found->gone->generation)
            put(self->marks, found->gone->id.data, number, found);
    }
}

struct late_void {
    struct queue *queue;
    struct position old;
};

static void late_voided(void *context, struct position where)
{
    struct late_void *late = context;
    late->queue->ops->release_ended(late->queue->io, late->old, where);
    free(late);
}

static void void_late(struct queue *self, const struct found_head *found)
{
    struct late_void *late = allocate(sizeof(*late));
    *late = (struct late_void){self, found->where};
    Postern__Void gone = POSTERN__VOID__INIT;
    gone.id = found->head->envelope->id;
    gone.group = found->head->group;
    gone.generation = found->head->generation;
    size_t size;
    void *packed = pack(&gone.base, &size);
    queue_write(self, RECORD_ACKED, packed, size, NULL, late_voided, late);
}

// Was this record replaced by a later one of its mail?
static int superseded(struct queue *self, struct found_head *found)
{
    struct replay *replay = self->replay;
    struct found_void *gone = find(replay->marks, head_id(found->head), found->head->group);
    if (gone && gone->gone->generation >= found->head->generation) {
        self->ops->release_ended(self->io, found->where, gone->where);
        gone->used = 1;
        return 1;
    }
    const struct found_head *newest =
        find(replay->groups, head_id(found->head), found->head->group);
    if (newest == found)
        return 0;
    if (newest->head->generation > found->head->generation)
        void_late(self, found); // the crash came before its successor could say so
    else
        self->ops->release(self->io,
                           found->where); // a second copy, from a write that was reported as failed
    return 1;
}

static Postern__Disposition end_of(const Postern__Event *event, uint32_t index)
{
    for (size_t i = 0; i < event->n_recipients; i++)
        if (event->recipients[i]->recipient == index)
            return event->recipients[i]->disposition;
    return POSTERN__DISPOSITION__DISPOSITION_NONE;
}

static void take_ends(struct queue *self, struct queued *mail)
{
    for (size_t i = 0; i < mail->count; i++) {
        uint32_t index = mail->recipients[i].index;
        struct found_event *end = find(self->replay->ends, mail->id.bytes, index);
        put(self->replay->mails, mail->id.bytes, index, mail);
        if (!mail->head->own)
            claim_outcome(self, mail->head->ingress, &mail->id, index,
                          POSTERN__DISPOSITION__DISPOSITION_DEFERRED, mail->recipients[i].reply,
                          NULL, mail->keeping);
        if (!end)
            continue;
        if (!end->used)
            keeping_end(mail->keeping, end->where);
        end->used = 1;
        end->keeping = mail->keeping;
        mail->recipients[i].end = end_of(end->event, index);
        queued_ended(mail, i);
    }
}

static void take_head(struct queue *self, struct found_head *found)
{
    struct queued *mail = queued_of_head(self, found->head);
    mail->keeping = keeping_new(self);
    mail->keeping->has_base = 1;
    mail->keeping->base = found->where;
    if (found->head->file.len > 0)
        mail->keeping->file = duplicate_bytes(found->head->file.data, found->head->file.len);
    found->head = NULL;
    take_ends(self, mail);
    if (mail->head->order.len > 0)
        quarantine_replay_release(mail);
}

static void take_heads(struct queue *self)
{
    struct found_head *found = self->replay->heads;
    while (found) {
        struct found_head *next = found->next;
        if (!superseded(self, found))
            take_head(self, found);
        if (found->head)
            postern__held__free_unpacked(found->head, NULL);
        free(found);
        found = next;
    }
}

static void take_tries(struct queue *self)
{
    struct found_event *found = self->replay->tries;
    while (found) {
        struct found_event *next = found->next;
        const Postern__Event *event = found->event;
        struct ulid id = event_id(event);
        struct queued *mail = NULL;
        if (event->n_recipients > 0)
            mail = find(self->replay->mails, id.bytes, event->recipients[0]->recipient);
        if (!mail || mail->has_tried) {
            self->ops->release(self->io, found->where); // a later one counts, or the mail is gone
        } else {
            mail->has_tried = 1;
            mail->tried = found->where;
            mail->attempts = event->attempts;
            mail->last_ms = event->time_ms;
            mail->next_ms = event->recipients[0]->next_ms;
        }
        postern__event__free_unpacked(found->event, NULL);
        free(found);
        found = next;
    }
    self->replay->tries = NULL;
}

// Ends without a mail: a job's bounce, or what a mail that is gone left behind. Ingress is told
// once more; it acknowledges whatever it has ended already.
static void take_lone_ends(struct queue *self)
{
    for (struct found_event *found = self->replay->events; found; found = found->next) {
        const Postern__Event *event = found->event;
        if (found->used)
            continue;
        struct keeping *keeping = keeping_new(self);
        keeping_end(keeping, found->where);
        found->keeping = keeping;
        struct ulid id;
        memcpy(id.bytes, event->id.data, ULID_SIZE);
        for (size_t i = 0;
             event->ingress > 0 && event->ingress <= SLOT_MOST && i < event->n_recipients; i++) {
            const Postern__EventRecipient *recipient = event->recipients[i];
            char *reply = duplicate_bytes(recipient->reply.data, recipient->reply.len);
            claim_outcome(self, event->ingress - 1, &id, recipient->recipient,
                          recipient->disposition, reply, NULL, keeping);
            free(reply);
        }
    }
}

// -- notifications whose event may be missing

static void take_notice(struct queue *self, struct queued *mail)
{
    struct found_void *mark = find(self->replay->marks, mail->id.bytes, UINT32_MAX);
    if (mark) {
        mark->used = 1;
        keeping_end(mail->keeping, mark->where);
        notice_forget(mail);
        queued_schedule(mail, mail->next_ms);
        return;
    }
    Postern__Event *event =
        postern__event__unpack(&unpack_allocator, mail->head->tells.len, mail->head->tells.data);
    if (!event || event->id.len != ULID_SIZE || event->n_recipients == 0) {
        queued_schedule(mail, mail->next_ms);
    } else {
        struct found_event *told =
            find(self->replay->ends, event->id.data, event->recipients[0]->recipient);
        if (told)
            notice_told(mail, told->keeping);
        else
            queued_end_told(
                self, find(self->replay->mails, event->id.data, event->recipients[0]->recipient),
                event, mail);
    }
    if (event)
        postern__event__free_unpacked(event, NULL);
}

static void release_lone_voids(struct queue *self)
{
    for (struct found_void *found = self->replay->voids; found; found = found->next)
        if (!found->used)
            self->ops->release(self->io, found->where);
}

void queue_recovered(struct queue *self)
{
    if (!self->replay)
        self->replay = replay_new();
    index_voids(self->replay);
    take_heads(self);
    take_tries(self);
    take_lone_ends(self);
    for (struct queued *mail = self->all; mail; mail = mail->next)
        if (mail->open > 0 && mail->head->tells.len > 0)
            take_notice(self, mail);
        else if (mail->open > 0 && !quarantine_unsure(mail))
            queued_schedule(mail, mail->next_ms);
    struct queued *next;
    for (struct queued *mail = self->all; mail; mail = next) {
        next = mail->next;
        if (mail->open == 0)
            queued_settle(mail);
    }
    release_lone_voids(self);
    for (struct found_event *found = self->replay->events; found; found = found->next)
        if (!found->used)
            keeping_done(found->keeping);
    replay_free(&self->replay);
    quarantine_recovered(self);
    queue_sweep(self);
}
