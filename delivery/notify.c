// SPDX-License-Identifier: Apache-2.0
#include "delivery/notify.h"

#include "core/journal/record.h"
#include <stdlib.h>
#include <string.h>

static size_t wanted(const struct queued *mail, enum dsn_kind kind, const unsigned *at,
                     size_t count, struct dsn_recipient *ret)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct queued_recipient *from = &mail->recipients[at[i]];
        const Postern__Recipient *recipient = mail->envelope->recipients[from->index];
        // A hop that took over the DSN parameters reports for itself.
        if (!dsn_wanted(kind, mail->envelope, recipient) || (kind == DSN_RELAYED && from->notified))
            continue;
        ret[found++] = (struct dsn_recipient){.recipient = recipient,
                                              .status = from->status[0] ? from->status : "4.0.0",
                                              .reply = from->reply,
                                              .hop = from->hop};
    }
    return found;
}

static void write_message(const struct queued *mail, enum dsn_kind kind,
                          const struct dsn_recipient *recipients, size_t count,
                          const struct ulid *id, struct buffer *out)
{
    const struct queue *self = mail->queue;
    char text[ULID_TEXT];
    ulid_format(id, text);
    struct dsn dsn = {
        .kind = kind,
        .hostname = self->hostname,
        .id = text,
        .envelope = mail->envelope,
        .recipients = recipients,
        .count = count,
        .now_ms = self->ops->now_ms(self->io),
        .expires_ms = mail->envelope->received_ms + self->schedule.expire_ms,
        .body = mail->body.count > 0 ? &mail->body : NULL,
    };
    buffer_init(out);
    dsn_write(&dsn, out);
}

static int eight_bit(const struct buffer *bytes)
{
    for (size_t i = 0; i < buffer_size(bytes); i++)
        if (buffer_bytes(bytes)[i] & 0x80)
            return 1;
    return 0;
}

int notify(struct queued *mail, enum dsn_kind kind, const unsigned *at, size_t count,
           const void *tells, size_t tells_size, notice_fn *fn, void *context)
{
    struct queue *self = mail->queue;
    if (mail->envelope->reverse_path.len == 0 || (mail->head && mail->head->order.len > 0))
        return 0; // a released mail was quarantined: its sender, likely forged, is not told
    struct dsn_recipient *recipients = allocate((count + 1) * sizeof(*recipients));
    size_t found = wanted(mail, kind, at, count, recipients);
    int64_t now = self->ops->now_ms(self->io);
    struct ulid id = ulid_new(now);
    struct buffer message;
    if (found > 0)
        write_message(mail, kind, recipients, found, &id, &message);
    free(recipients);
    if (found == 0)
        return 0;
    Postern__Recipient to = POSTERN__RECIPIENT__INIT, *list[] = {&to};
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    Postern__Held head = POSTERN__HELD__INIT;
    uint32_t first = 0;
    to.address = mail->envelope->reverse_path;
    to.notify = 1; // NEVER: no notification about a notification
    envelope.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
    envelope.recipients = list;
    envelope.n_recipients = 1;
    envelope.received_ms = now;
    envelope.size = buffer_size(&message);
    envelope.body_8bit = eight_bit(&message);
    head.envelope = &envelope;
    head.recipients = &first;
    head.n_recipients = 1;
    head.own = 1;
    head.next_ms = now;
    head.tells = (ProtobufCBinaryData){tells_size, (uint8_t *)(uintptr_t)tells};
    queue_own(self, &head, &message, fn, context);
    return 1;
}

// Should its record be written anew, it has nothing to tell any more.
void notice_forget(struct queued *notice)
{
    free(notice->head->tells.data);
    notice->head->tells = (ProtobufCBinaryData){0, NULL};
}

struct telling {
    struct keeping *told, *notice;
};

static void mark_written(void *context, struct position where)
{
    struct telling *telling = context;
    keeping_end(telling->notice, where);
    keeping_done(telling->notice);
    if (telling->told)
        keeping_done(telling->told);
    free(telling);
}

void notice_told(struct queued *notice, struct keeping *told)
{
    struct telling *telling = allocate(sizeof(*telling));
    Postern__Void mark = POSTERN__VOID__INIT;
    telling->told = told;
    telling->notice = notice->keeping;
    if (told)
        keeping_wait(told);
    keeping_wait(notice->keeping);
    mark.id = (ProtobufCBinaryData){ULID_SIZE, notice->id.bytes};
    mark.told = 1;
    size_t size;
    void *packed = pack(&mark.base, &size);
    queue_write(notice->queue, RECORD_ACKED, packed, size, NULL, mark_written, telling);
    notice_forget(notice);
    queued_schedule(notice, notice->next_ms);
}
