// SPDX-License-Identifier: Apache-2.0
// How a try ends: delivered, held for another try, or given up.
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"
#include "core/journal/record.h"
#include "delivery/notify.h"
#include "delivery/quarantine.h"
#include "delivery/queued.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Recipients of a mail whose end is being made durable.
struct ending {
    struct queued *mail;
    Postern__Disposition disposition;
    struct queued *notice; // the notification that told of it, NULL: none
    void *event;
    size_t event_size;
    size_t count;
    unsigned at[];
};

static struct ending *ending_new(struct queued *mail, Postern__Disposition disposition,
                                 const unsigned *at, size_t count)
{
    struct ending *ending = allocate(sizeof(*ending) + count * sizeof(*at));
    ending->mail = mail;
    ending->disposition = disposition;
    ending->count = count;
    memcpy(ending->at, at, count * sizeof(*at));
    for (size_t i = 0; i < count; i++)
        mail->recipients[at[i]].state = QUEUED_ENDING;
    mail->writing++;
    return ending;
}

// Every recipient ended, or the mail waits for its next try: what has to follow.
void queued_settle(struct queued *mail)
{
    if (mail->out > 0)
        return;
    if (mail->trying) {
        mail->trying = 0;
        queued_turn_over(mail);
    }
    if (mail->open > 0 || mail->writing > 0)
        return;
    struct keeping *keeping = mail->keeping;
    if (mail->has_tried)
        mail->queue->ops->release(mail->queue->io, mail->tried);
    queued_free(mail);
    if (keeping)
        keeping_done(keeping);
}

static void count_results(Postern__Disposition disposition, size_t count)
{
    static struct metric *delivered, *bounced, *deferred;
    if (!delivered) {
        delivered = metric("delivery_recipients_total", "disposition=\"delivered\"");
        bounced = metric("delivery_recipients_total", "disposition=\"bounced\"");
        deferred = metric("delivery_recipients_total", "disposition=\"deferred\"");
    }
    if (disposition == POSTERN__DISPOSITION__DISPOSITION_DELIVERED)
        metric_add(delivered, (int64_t)count);
    else
        metric_add(disposition == POSTERN__DISPOSITION__DISPOSITION_BOUNCED ? bounced : deferred,
                   (int64_t)count);
}

void queued_log(const struct queued *mail, const char *event, unsigned at)
{
    const struct queued_recipient *recipient = &mail->recipients[at];
    const ProtobufCBinaryData *address = &mail->envelope->recipients[recipient->index]->address;
    char to[300], reply[400];
    log_info(event, "id=%s to=%s hop=%s attempts=%u reply=%s", mail->name,
             log_escape(address->data, address->len, to, sizeof(to)),
             recipient->hop ? recipient->hop : "-", mail->attempts + 1,
             log_escape(recipient->reply ? recipient->reply : "",
                        recipient->reply ? strlen(recipient->reply) : 0, reply, sizeof(reply)));
}

// -- ends that have a record of their own

static void settle_ending(struct ending *ending, struct keeping *keeping)
{
    struct queued *mail = ending->mail;
    for (size_t i = 0; i < ending->count; i++) {
        struct queued_recipient *recipient = &mail->recipients[ending->at[i]];
        if (mail->job)
            claim_outcome(mail->queue, mail->job->ingress, &mail->id, recipient->index,
                          ending->disposition, recipient->reply, recipient->hop, keeping);
        queued_ended(mail, ending->at[i]);
    }
    mail->writing--;
    free(ending->event);
    free(ending);
    queued_settle(mail);
}

// The end is durable. What put the mail into custody, or else the end itself, is kept until the
// outcome is acknowledged; a notification may leave now.
static void end_written(void *context, struct position where)
{
    struct ending *ending = context;
    struct queued *mail = ending->mail;
    struct keeping *keeping = mail->keeping;
    if (keeping)
        keeping_wait(keeping);
    else
        keeping = keeping_new(mail->queue);
    keeping_end(keeping, where);
    if (ending->notice)
        notice_told(ending->notice, keeping);
    if (mail->head && mail->head->order.len > 0)
        quarantine_released(mail, ending->at, ending->count, ending->disposition);
    settle_ending(ending, keeping);
    keeping_done(keeping);
}

static void write_end(struct ending *ending)
{
    void *event = ending->event;
    ending->event = NULL;
    queue_write(ending->mail->queue, RECORD_ENDED, event, ending->event_size, NULL, end_written,
                ending);
}

static void pack_event(struct ending *ending, Postern__Kind kind)
{
    struct queued *mail = ending->mail;
    Postern__Event event;
    if (mail->head && mail->head->order.len > 0)
        kind = POSTERN__KIND__KIND_RELEASED;
    event_init(&event, mail, kind, ending->disposition, ending->at, ending->count);
    ending->event = pack(&event.base, &ending->event_size);
    event_free_lists(&event);
}

static void notice_held(void *context, struct queued *notice)
{
    struct ending *ending = context;
    ending->notice = notice;
    write_end(ending);
}

void queued_bounce(struct queued *mail, const unsigned *at, size_t count)
{
    struct ending *ending = ending_new(mail, POSTERN__DISPOSITION__DISPOSITION_BOUNCED, at, count);
    count_results(ending->disposition, count);
    for (size_t i = 0; i < count; i++)
        queued_log(mail, "bounced", at[i]);
    pack_event(ending, POSTERN__KIND__KIND_BOUNCED);
    // The notification's record is the commit point: it carries the event, so neither is lost
    // without the other.
    if (!notify(mail, DSN_FAILED, at, count, ending->event, ending->event_size, notice_held,
                ending))
        write_end(ending);
}

void queued_discarded(struct queued *mail, const unsigned *at, size_t count)
{
    struct ending *ending =
        ending_new(mail, POSTERN__DISPOSITION__DISPOSITION_DISCARDED, at, count);
    for (size_t i = 0; i < count; i++)
        queued_log(mail, "discarded", at[i]);
    pack_event(ending, POSTERN__KIND__KIND_DISCARDED);
    write_end(ending);
}

void queued_unsure(struct queued *mail, const unsigned *at, size_t count)
{
    struct ending *ending = ending_new(mail, POSTERN__DISPOSITION__DISPOSITION_UNSURE, at, count);
    for (size_t i = 0; i < count; i++)
        queued_log(mail, "unsure", at[i]);
    pack_event(ending, POSTERN__KIND__KIND_RELEASED);
    write_end(ending);
}

void queued_delivered(struct queued *mail, const unsigned *at, size_t count)
{
    count_results(POSTERN__DISPOSITION__DISPOSITION_DELIVERED, count);
    for (size_t i = 0; i < count; i++)
        queued_log(mail, "delivered", at[i]);
    notify(mail, DSN_RELAYED, at, count, NULL, 0, NULL, NULL);
    if (mail->head) {
        struct ending *ending =
            ending_new(mail, POSTERN__DISPOSITION__DISPOSITION_DELIVERED, at, count);
        pack_event(ending, POSTERN__KIND__KIND_DELIVERED);
        write_end(ending);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct queued_recipient *recipient = &mail->recipients[at[i]];
        claim_outcome(mail->queue, mail->job->ingress, &mail->id, recipient->index,
                      POSTERN__DISPOSITION__DISPOSITION_DELIVERED, recipient->reply, recipient->hop,
                      NULL);
        queued_ended(mail, at[i]);
    }
}

// -- a replayed notification whose event was lost

struct retelling {
    struct queue *queue;
    struct queued *notice;
    Postern__Event *event;
};

static void retold(void *context, struct position where)
{
    struct retelling *retelling = context;
    const Postern__Event *event = retelling->event;
    struct keeping *keeping = keeping_new(retelling->queue);
    struct ulid id;
    memcpy(id.bytes, event->id.data, ULID_SIZE);
    keeping_end(keeping, where);
    for (size_t i = 0; event->ingress > 0 && event->ingress <= SLOT_MOST && i < event->n_recipients;
         i++)
        claim_outcome(retelling->queue, event->ingress - 1, &id, event->recipients[i]->recipient,
                      POSTERN__DISPOSITION__DISPOSITION_BOUNCED, NULL, NULL, keeping);
    notice_told(retelling->notice, keeping);
    keeping_done(keeping);
    postern__event__free_unpacked(retelling->event, NULL);
    free(retelling);
}

static void retell(struct queue *self, const Postern__Event *event, struct queued *notice)
{
    struct retelling *retelling = allocate(sizeof(*retelling));
    size_t size;
    uint8_t *packed = pack(&event->base, &size);
    *retelling =
        (struct retelling){self, notice, postern__event__unpack(&unpack_allocator, size, packed)};
    // The report must say it before it is durable: no other delivery may be given the mail
    // meanwhile.
    struct ulid id;
    memcpy(id.bytes, event->id.data, ULID_SIZE);
    for (size_t i = 0; event->ingress > 0 && event->ingress <= SLOT_MOST && i < event->n_recipients;
         i++) {
        struct claim *claim = claim_make(self, event->ingress - 1, &id);
        if (!claim_recipient(claim, event->recipients[i]->recipient))
            claim_add(claim, event->recipients[i]->recipient);
    }
    queue_write(self, RECORD_ENDED, packed, size, NULL, retold, retelling);
}

void queued_end_told(struct queue *self, struct queued *mail, const Postern__Event *event,
                     struct queued *notice)
{
    if (!mail) {
        retell(self, event, notice);
        return;
    }
    unsigned *at = allocate((mail->count + 1) * sizeof(*at));
    size_t count = 0;
    for (unsigned i = 0; i < mail->count; i++)
        for (size_t j = 0; j < event->n_recipients; j++)
            if (mail->recipients[i].index == event->recipients[j]->recipient &&
                mail->recipients[i].state == QUEUED_OPEN)
                at[count++] = i;
    struct ending *ending = ending_new(mail, POSTERN__DISPOSITION__DISPOSITION_BOUNCED, at, count);
    ending->event = pack(&event->base, &ending->event_size);
    ending->notice = notice;
    write_end(ending);
    free(at);
}

// -- another try

static void tried_written(void *context, struct position where)
{
    struct queued *mail = context;
    if (mail->has_tried)
        mail->queue->ops->release(mail->queue->io, mail->tried);
    mail->has_tried = 1;
    mail->tried = where;
    mail->writing--;
    queued_settle(mail);
}

void queued_write_tried(struct queued *mail)
{
    Postern__Event event;
    unsigned *at = allocate((mail->count + 1) * sizeof(*at));
    size_t count = 0, size;
    for (unsigned i = 0; i < mail->count; i++)
        if (mail->recipients[i].state == QUEUED_OPEN)
            at[count++] = i;
    event_init(&event, mail,
               mail->attempts > 1 ? POSTERN__KIND__KIND_ATTEMPT : POSTERN__KIND__KIND_DEFERRED,
               POSTERN__DISPOSITION__DISPOSITION_DEFERRED, at, count);
    for (size_t i = 0; i < count; i++)
        event.recipients[i]->next_ms = mail->next_ms;
    mail->writing++;
    void *packed = pack(&event.base, &size);
    queue_write(mail->queue, RECORD_TRIED, packed, size, NULL, tried_written, mail);
    event_free_lists(&event);
    free(at);
}

static size_t open_recipients(const struct queued *mail, unsigned *ret_at)
{
    size_t count = 0;
    for (unsigned i = 0; i < mail->count; i++)
        if (mail->recipients[i].state == QUEUED_OPEN)
            ret_at[count++] = i;
    return count;
}

static void expire(struct queued *mail, const unsigned *at, size_t count)
{
    for (size_t i = 0; i < count; i++)
        snprintf(mail->recipients[at[i]].status, STATUS_SIZE, "4.4.7");
    queued_bounce(mail, at, count);
}

// Nothing of a held mail is out any more: who remains is tried later, or given up.
void queued_turn_over(struct queued *mail)
{
    struct queue *self = mail->queue;
    int64_t now = self->ops->now_ms(self->io), last = mail->last_ms;
    unsigned *at = allocate((mail->count + 1) * sizeof(*at));
    size_t count = open_recipients(mail, at);
    mail->attempts++;
    mail->last_ms = now;
    if (count > 0 && schedule_expired(&self->schedule, mail->envelope->received_ms, now)) {
        expire(mail, at, count);
    } else if (count > 0) {
        count_results(POSTERN__DISPOSITION__DISPOSITION_DEFERRED, count);
        for (size_t i = 0; i < count; i++)
            queued_log(mail, "deferred", at[i]);
        if (schedule_notice_due(&self->schedule, mail->envelope->received_ms, last, now))
            notify(mail, DSN_DELAYED, at, count, NULL, 0, NULL, NULL);
        queued_schedule(mail, schedule_next_ms(&self->schedule, mail->attempts,
                                               mail->envelope->received_ms, now,
                                               self->ops->random(self->io)));
        queued_write_tried(mail);
        quarantine_tried(mail);
    }
    free(at);
    queued_unload(mail);
}
