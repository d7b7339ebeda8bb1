// SPDX-License-Identifier: Apache-2.0
// The end of custody: `done` is durable before anybody is told.
#include "core/base/log.h"
#include "core/base/table.h"
#include "core/journal/record.h"
#include "ingress/mail.h"

#include <stdlib.h>
#include <string.h>

// Some recipients on their way to a durable end. Holds the packed event until it is durable: a
// failed sync appends it again, and node gets it.
struct ending {
    struct ending *next; // in custody.unwritten
    struct mail *mail;
    struct peer_name delivery;
    uint8_t *event;
    size_t size;
    size_t count;
    uint32_t recipients[];
};

static int custody_moved(Postern__Disposition disposition)
{
    return disposition == POSTERN__DISPOSITION__DISPOSITION_DEFERRED ||
           disposition == POSTERN__DISPOSITION__DISPOSITION_QUARANTINED ||
           disposition == POSTERN__DISPOSITION__DISPOSITION_BOUNCED;
}

static uint8_t *pack_done(const struct mail *mail, const Postern__RecipientOutcome *outcomes,
                          size_t count, size_t *ret_size)
{
    const Postern__Envelope *envelope = mail->envelope;
    Postern__EventRecipient *rows = allocate(count * (sizeof(*rows) + sizeof(&rows)));
    Postern__EventRecipient **pointers = (void *)(rows + count);
    for (size_t i = 0; i < count; i++) {
        postern__event_recipient__init(&rows[i]);
        rows[i].recipient = outcomes[i].recipient;
        rows[i].address = envelope->recipients[outcomes[i].recipient]->address;
        rows[i].disposition = outcomes[i].disposition;
        rows[i].moved = custody_moved(outcomes[i].disposition);
        rows[i].reply = outcomes[i].reply;
        rows[i].hop = outcomes[i].hop;
        pointers[i] = &rows[i];
    }
    Postern__Event event = POSTERN__EVENT__INIT;
    event.kind = POSTERN__KIND__KIND_DONE;
    event.time_ms = mail->custody->ops->now_ms(mail->custody->io);
    event.id = envelope->id;
    event.sender = envelope->reverse_path;
    event.client_address = envelope->client_address;
    event.helo = envelope->helo;
    event.message_id = envelope->message_id;
    event.subject = envelope->subject;
    event.from = envelope->from;
    event.received_ms = envelope->received_ms;
    event.size = envelope->size;
    event.n_recipients = count;
    event.recipients = pointers;
    if (mail->verdict) {
        event.n_findings = mail->verdict->n_findings;
        event.findings = mail->verdict->findings;
        event.score = mail->verdict->score;
        event.revision = mail->verdict->revision;
    }
    *ret_size = postern__event__get_packed_size(&event);
    uint8_t *packed = allocate(*ret_size + 1);
    postern__event__pack(&event, packed);
    free(rows);
    return packed;
}

static void ending_free(struct ending *self)
{
    free(self->event);
    free(self);
}

void custody_acknowledge(struct custody *self, const ProtobufCBinaryData *id,
                         struct peer_name delivery, uint32_t *recipients, size_t count)
{
    Postern__OutcomeAck ack = POSTERN__OUTCOME_ACK__INIT;
    ack.id = *id;
    ack.delivery = delivery.slot;
    ack.receiver = delivery.incarnation;
    ack.ingress = self->slot;
    ack.n_recipients = count;
    ack.recipients = recipients;
    // One that cannot leave is asked for again: the delivery offers its outcome until it hears
    // this.
    if (self->ops->send(self->io, STAGE_DELIVERY, delivery.slot, BUS_OUTCOME_ACK, &ack.base) < 0)
        log_debug("outcome.ack.late", "delivery=%u", delivery.slot);
}

static void append_done(struct ending *self);

static void ended_durably(struct ending *self, struct position where)
{
    struct mail *mail = self->mail;
    struct custody *custody = mail->custody;
    for (size_t i = 0; i < self->count; i++)
        mail->states[self->recipients[i]] = RECIPIENT_ENDED;
    mail->open -= (unsigned)self->count;
    mail_keep_end(mail, where);
    custody->ops->committed(custody->io, where, self->event, self->size);
    if (self->delivery.incarnation != 0)
        custody_acknowledge(custody, &mail->envelope->id, self->delivery, self->recipients,
                            self->count);
    if (mail->answer && mail->put_off) {
        mail_answer(mail, ANSWER_NO_SPACE, "no room for quarantined mail");
    } else if (mail->answer) { // not accepted before its end: rejected for all
        char text[256] = "the message was refused by policy";
        if (mail->verdict && mail->verdict->n_recipients > 0) {
            const ProtobufCBinaryData *reply = &mail->verdict->recipients[0]->reply;
            if (reply->len > 0 && reply->len < sizeof(text)) {
                memcpy(text, reply->data, reply->len);
                text[reply->len] = 0;
            }
        }
        mail_answer(mail, ANSWER_REJECTED, text);
    }
    ending_free(self);
    if (mail->open == 0)
        mail_ended(mail);
}

static void done_stored(void *context, enum journal_state state, struct position where)
{
    if (state == JOURNAL_DURABLE)
        ended_durably(context, where);
    else if (state == JOURNAL_FAILED)
        append_done(context);
}

static void append_done(struct ending *self)
{
    struct custody *custody = self->mail->custody;
    struct iovec piece = {self->event, self->size};
    struct position where;
    if (custody->ops->append(custody->io, RECORD_DONE, &piece, 1, done_stored, self, &where) == 0)
        return;
    self->next = custody->unwritten;
    custody->unwritten = self;
}

void custody_append_again(struct custody *self)
{
    struct ending *ending = self->unwritten, *next;
    self->unwritten = NULL;
    for (; ending; ending = next) {
        next = ending->next;
        append_done(ending);
    }
}

void custody_forget_unwritten(struct custody *self)
{
    for (struct ending *next; self->unwritten; self->unwritten = next) {
        next = self->unwritten->next;
        ending_free(self->unwritten);
    }
}

void mail_end(struct mail *mail, const Postern__RecipientOutcome *outcomes, size_t count,
              struct peer_name delivery)
{
    struct ending *ending = allocate(sizeof(*ending) + count * sizeof(ending->recipients[0]));
    ending->mail = mail;
    ending->delivery = delivery;
    ending->count = count;
    for (size_t i = 0; i < count; i++) {
        ending->recipients[i] = outcomes[i].recipient;
        mail->states[outcomes[i].recipient] = RECIPIENT_ENDING;
    }
    ending->event = pack_done(mail, outcomes, count, &ending->size);
    append_done(ending);
}

// -- outcomes

// The job by which this very delivery, in this incarnation, holds the recipient.
static struct job *holding(const struct mail *mail, const Postern__Outcome *outcome,
                           uint32_t recipient)
{
    for (struct job *job = mail->jobs; job; job = job->mail_next)
        if (job->peer->stage == STAGE_DELIVERY && job->peer->slot == outcome->delivery &&
            job->incarnation == outcome->sender && job_holds(job, recipient))
            return job;
    return NULL;
}

static void take_outcomes(struct mail *mail, const Postern__Outcome *outcome)
{
    size_t taken = 0, known = 0, most = outcome->n_recipients;
    Postern__RecipientOutcome *rows = allocate(most * sizeof(*rows));
    uint32_t *ended = allocate(most * sizeof(*ended));
    struct peer_name delivery = {outcome->delivery, outcome->sender};
    for (size_t i = 0; i < most; i++) {
        uint32_t at = outcome->recipients[i]->recipient;
        if (at >= mail->envelope->n_recipients)
            continue;
        struct job *job = holding(mail, outcome, at);
        if (mail->states[at] == RECIPIENT_ENDED) {
            ended[known++] = at;
        } else if (mail->states[at] == RECIPIENT_GIVEN && job) {
            rows[taken++] = *outcome->recipients[i];
            mail->states[at] = RECIPIENT_ENDING;
            job_drop(job, at);
            if (job->recipient_count == 0)
                job_end(job);
        }
    }
    if (known > 0)
        custody_acknowledge(mail->custody, &outcome->id, delivery, ended, known);
    if (taken > 0)
        mail_end(mail, rows, taken, delivery);
    free(rows);
    free(ended);
}

void custody_outcome(struct custody *self, const Postern__Outcome *outcome)
{
    if (outcome->receiver != self->incarnation || outcome->delivery >= SLOT_MOST ||
        outcome->n_recipients == 0)
        return;
    struct mail *mail = mail_find(self, &outcome->id);
    if (mail) {
        take_outcomes(mail, outcome);
        delivery_next(self);
        return;
    }
    // Ended and gone, or never known: nothing hangs on it any more.
    uint32_t *recipients = allocate(outcome->n_recipients * sizeof(*recipients));
    for (size_t i = 0; i < outcome->n_recipients; i++)
        recipients[i] = outcome->recipients[i]->recipient;
    custody_acknowledge(self, &outcome->id, (struct peer_name){outcome->delivery, outcome->sender},
                        recipients, outcome->n_recipients);
    free(recipients);
}

// -- deaths, counted

// The message may be gone by the time its count is stored: it is found by its id, not held.
struct death {
    struct custody *custody;
    struct ulid id;
    enum stage stage;
    unsigned count;
};

static void death_stored(void *context, enum journal_state state, struct position where)
{
    struct death *death = context;
    struct custody *self = death->custody;
    if (state == JOURNAL_WRITTEN)
        return;
    struct mail *mail = table_get(self->mails, death->id.bytes, ULID_SIZE);
    if (!mail) {
        if (state == JOURNAL_DURABLE)
            self->ops->release(self->io, where);
    } else {
        mail->appending--;
        if (state == JOURNAL_DURABLE)
            mail_keep_end(mail, where);
        else
            mail_count_death(mail, death->stage, death->count);
    }
    free(death);
    analysis_next(self);
    delivery_next(self);
}

void mail_count_death(struct mail *mail, enum stage stage, unsigned count)
{
    struct custody *self = mail->custody;
    const char *who = stage == STAGE_ANALYZER ? "analyzer" : "delivery-stage";
    Postern__Event event = POSTERN__EVENT__INIT;
    event.id = mail->envelope->id;
    event.detail = (ProtobufCBinaryData){strlen(who), (uint8_t *)who};
    event.attempts = count;
    uint8_t packed[128];
    struct iovec piece = {packed, postern__event__pack(&event, packed)};
    struct death *death = allocate(sizeof(*death));
    *death = (struct death){self, mail->id, stage, count};
    struct position where;
    if (self->ops->append(self->io, RECORD_ATTEMPT, &piece, 1, death_stored, death, &where) == 0) {
        mail->appending++;
        return;
    }
    // The journal takes nothing now, so the count would not survive this process. It stands in
    // memory.
    log_error("death.uncounted", "slot=%u", self->slot);
    free(death);
}
