// SPDX-License-Identifier: Apache-2.0
// Records: made durable whatever it takes, released together when nothing waits for them.
#include "core/base/log.h"
#include "core/base/removal.h"
#include "core/journal/record.h"
#include "delivery/queued.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// -- what is kept

struct keeping *keeping_new(struct queue *self)
{
    struct keeping *keeping = allocate(sizeof(*keeping));
    keeping->queue = self;
    keeping->waits = 1;
    keeping->next = self->keepings;
    if (keeping->next)
        keeping->next->previous = keeping;
    self->keepings = keeping;
    return keeping;
}

void keeping_free(struct keeping *self)
{
    if (self->next)
        self->next->previous = self->previous;
    if (self->previous)
        self->previous->next = self->next;
    else
        self->queue->keepings = self->next;
    free(self->ends);
    free(self->file);
    free(self);
}

void keeping_wait(struct keeping *self)
{
    self->waits++;
}

void keeping_end(struct keeping *self, struct position where)
{
    self->ends = reallocate(self->ends, (self->end_count + 1) * sizeof(*self->ends));
    self->ends[self->end_count++] = where;
}

struct leaving {
    struct queue *queue;
    struct removal removal;
};

static int remove_some(void *context)
{
    struct leaving *leaving = context;
    return removal_step(&leaving->removal);
}

static void removed_some(void *context, int result)
{
    struct leaving *leaving = context;
    struct queue *queue = leaving->queue;
    if (result != 0)
        log_warning("deferred-file.stays", "file=%s error=%d", leaving->removal.path, result);
    if (removal_goes_on(&leaving->removal) &&
        queue->ops->work(queue->io, remove_some, removed_some, leaving) == 0)
        return;
    removal_end(&leaving->removal);
    queue->leaving--;
    free(leaving);
}

static void unlink_later(struct keeping *self)
{
    struct queue *queue = self->queue;
    struct leaving *leaving = allocate(sizeof(*leaving));
    leaving->queue = queue;
    leaving->removal.fd = -1;
    queued_folder(queue, self->file, leaving->removal.path, sizeof(leaving->removal.path));
    queue->leaving++;
    // A file that stays is found by the next start, which unlinks what no record names.
    if (queue->ops->work(queue->io, remove_some, removed_some, leaving) == 0)
        return;
    queue->leaving--;
    free(leaving);
}

void keeping_done(struct keeping *self)
{
    if (--self->waits > 0)
        return;
    const struct queue_ops *ops = self->queue->ops;
    for (size_t i = 0; i < self->end_count; i++) {
        if (!self->has_base)
            ops->release(self->queue->io, self->ends[i]);
        else if (i == 0)
            ops->release_ended(self->queue->io, self->base, self->ends[0]);
        else
            ops->release_after(self->queue->io, self->base, self->ends[i]);
    }
    if (self->has_base && self->end_count == 0)
        ops->release(self->queue->io, self->base);
    if (self->file)
        unlink_later(self);
    keeping_free(self);
}

// -- what is written

struct writing {
    struct writing *next;
    struct queue *queue;
    unsigned type;
    void *packed;
    size_t size;
    const struct body *rest;
    written_fn *fn;
    void *context;
};

static void write_later(struct writing *writing)
{
    writing->next = writing->queue->unwritten;
    writing->queue->unwritten = writing;
}

static void on_state(void *context, enum journal_state state, struct position where)
{
    struct writing *writing = context;
    struct queue *self = writing->queue;
    self->newest_segment = where.segment;
    if (state == JOURNAL_WRITTEN)
        return;
    if (state == JOURNAL_FAILED) {
        self->ops->release(self->io, where);
        write_later(writing);
        return;
    }
    if (record_has_event(writing->type))
        self->ops->committed(self->io, where, writing->packed, writing->size);
    if (writing->fn)
        writing->fn(writing->context, where);
    free(writing->packed);
    free(writing);
}

static int write_now(struct writing *writing)
{
    struct queue *self = writing->queue;
    size_t rest = writing->rest ? writing->rest->count : 0;
    struct iovec *pieces = allocate((rest + 1) * sizeof(*pieces));
    pieces[0] = (struct iovec){writing->packed, writing->size};
    if (rest > 0)
        memcpy(pieces + 1, writing->rest->pieces, rest * sizeof(*pieces));
    struct position where;
    int reserved = writing->type != RECORD_HELD;
    int rc = self->ops->append(self->io, writing->type, reserved, pieces, (int)rest + 1, on_state,
                               writing, &where);
    free(pieces);
    return rc;
}

void queue_write(struct queue *self, unsigned type, void *packed, size_t size,
                 const struct body *rest, written_fn *fn, void *context)
{
    struct writing *writing = allocate(sizeof(*writing));
    *writing = (struct writing){.queue = self,
                                .type = type,
                                .packed = packed,
                                .size = size,
                                .rest = rest,
                                .fn = fn,
                                .context = context};
    if (write_now(writing) < 0)
        write_later(writing);
}

void queue_write_again(struct queue *self)
{
    struct writing *writing = self->unwritten;
    self->unwritten = NULL;
    while (writing) {
        struct writing *next = writing->next;
        if (write_now(writing) < 0)
            write_later(writing);
        writing = next;
    }
}

void queue_unwritten_free(struct queue *self)
{
    while (self->unwritten) {
        struct writing *gone = self->unwritten;
        self->unwritten = gone->next;
        free(gone->packed);
        free(gone);
    }
}

void *pack(const ProtobufCMessage *message, size_t *ret_size)
{
    *ret_size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = allocate(*ret_size + 1);
    protobuf_c_message_pack(message, packed);
    return packed;
}

void *pack_head(const Postern__Held *head, size_t *ret_size)
{
    size_t size = postern__held__get_packed_size(head);
    uint8_t *packed = allocate(size + 4);
    for (unsigned i = 0; i < 4; i++)
        packed[i] = (uint8_t)(size >> 8 * i);
    postern__held__pack(head, packed + 4);
    *ret_size = size + 4;
    return packed;
}

// -- what is told

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
}

void event_init(Postern__Event *event, const struct queued *mail, Postern__Kind kind,
                Postern__Disposition disposition, const unsigned *at, size_t count)
{
    const Postern__Envelope *envelope = mail->envelope;
    const Postern__Held *head = mail->head;
    const Postern__DeliveryJob *job = mail->job;
    postern__event__init(event);
    event->kind = kind;
    event->time_ms = mail->queue->ops->now_ms(mail->queue->io);
    event->id = (ProtobufCBinaryData){ULID_SIZE, (uint8_t *)(uintptr_t)mail->id.bytes};
    event->message_id = job ? job->message_id : head->message_id;
    event->subject = job ? job->subject : head->subject;
    event->from = job ? job->from : head->from;
    event->sender = envelope->reverse_path;
    event->client_address = envelope->client_address;
    event->helo = envelope->helo;
    event->received_ms = envelope->received_ms;
    event->size = envelope->size;
    event->attempts = mail->attempts;
    event->ingress = job ? job->ingress + 1 : head->own ? 0 : head->ingress + 1;
    if (head && head->order.len > 0) {
        // The event is about the quarantined mail; `detail` names the released one.
        event->id = head->released;
        event->order = head->order;
        event->detail = bytes_of(mail->name);
    }
    event->n_recipients = count;
    event->recipients = allocate((count + 1) * sizeof(*event->recipients));
    for (size_t i = 0; i < count; i++) {
        const struct queued_recipient *from = &mail->recipients[at[i]];
        Postern__EventRecipient *to = allocate(sizeof(*to));
        postern__event_recipient__init(to);
        to->recipient = from->index;
        to->address = envelope->recipients[from->index]->address;
        to->disposition = disposition;
        to->reply = bytes_of(from->reply);
        to->hop = bytes_of(from->hop);
        event->recipients[i] = to;
    }
}

void event_free_lists(Postern__Event *event)
{
    for (size_t i = 0; i < event->n_recipients; i++)
        free(event->recipients[i]);
    free(event->recipients);
}

void queue_void(struct queue *self, const struct queued *mail, written_fn *fn, void *context)
{
    Postern__Void gone = POSTERN__VOID__INIT;
    gone.id = (ProtobufCBinaryData){ULID_SIZE, (uint8_t *)(uintptr_t)mail->id.bytes};
    gone.group = mail->head->group;
    gone.generation = mail->head->generation;
    size_t size;
    void *packed = pack(&gone.base, &size);
    queue_write(self, RECORD_ACKED, packed, size, NULL, fn, context);
}
