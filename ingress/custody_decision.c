// SPDX-License-Identifier: Apache-2.0
// What becomes of a message once it is durable and judged: the client's answer, an end here, or a
// delivery. Nobody else decides.
#include "core/base/log.h"
#include "ingress/mail.h"

#include <stdlib.h>
#include <string.h>

enum { ANALYZERS, DELIVERIES };
enum { DEATHS_MOST = 2 };

// A recipient that the analyzer left out is quarantined: what is not judged is not clean.
static const Postern__RecipientVerdict *verdict_for(const struct mail *mail, uint32_t recipient)
{
    const Postern__Verdict *verdict = mail->verdict;
    if (recipient < verdict->n_recipients && verdict->recipients[recipient]->recipient == recipient)
        return verdict->recipients[recipient];
    for (size_t i = 0; i < verdict->n_recipients; i++)
        if (verdict->recipients[i]->recipient == recipient)
            return verdict->recipients[i];
    return NULL;
}

static Postern__Action action_for(const struct mail *mail, uint32_t recipient)
{
    const Postern__RecipientVerdict *verdict = verdict_for(mail, recipient);
    if (!verdict || mail->delivery_deaths >= DEATHS_MOST)
        return POSTERN__ACTION__ACTION_QUARANTINE;
    if (verdict->action == POSTERN__ACTION__ACTION_REJECT && mail->late)
        return POSTERN__ACTION__ACTION_QUARANTINE;
    return verdict->action;
}

static int all_rejected(const struct mail *mail)
{
    for (uint32_t i = 0; i < mail->envelope->n_recipients; i++)
        if (action_for(mail, i) != POSTERN__ACTION__ACTION_REJECT)
            return 0;
    return 1;
}

static void end_here(struct mail *mail, Postern__Action action, Postern__Disposition disposition)
{
    size_t count = 0, most = mail->envelope->n_recipients;
    Postern__RecipientOutcome *outcomes = allocate(most * sizeof(*outcomes));
    for (uint32_t i = 0; i < most; i++) {
        if (mail->states[i] != RECIPIENT_WAITING || action_for(mail, i) != action)
            continue;
        const Postern__RecipientVerdict *verdict = verdict_for(mail, i);
        postern__recipient_outcome__init(&outcomes[count]);
        outcomes[count].recipient = i;
        outcomes[count].disposition = disposition;
        outcomes[count].reply = verdict->reply;
        count++;
    }
    if (count > 0)
        mail_end(mail, outcomes, count, (struct peer_name){0});
    free(outcomes);
}

static int any_quarantined(const struct mail *mail)
{
    for (uint32_t i = 0; i < mail->envelope->n_recipients; i++)
        if (action_for(mail, i) == POSTERN__ACTION__ACTION_QUARANTINE)
            return 1;
    return 0;
}

// SMTP has one reply for all recipients, so all are put off.
static void put_off(struct mail *mail)
{
    static const char reply[] = "452 4.3.1 no room for quarantined mail";
    size_t most = mail->envelope->n_recipients;
    Postern__RecipientOutcome *outcomes = allocate(most * sizeof(*outcomes));
    for (uint32_t i = 0; i < most; i++) {
        postern__recipient_outcome__init(&outcomes[i]);
        outcomes[i].recipient = i;
        outcomes[i].disposition = POSTERN__DISPOSITION__DISPOSITION_REJECTED;
        outcomes[i].reply = (ProtobufCBinaryData){sizeof(reply) - 1, (uint8_t *)(uintptr_t)reply};
    }
    mail->put_off = 1;
    mail_end(mail, outcomes, most, (struct peer_name){0});
    free(outcomes);
}

void mail_decide(struct mail *mail)
{
    struct custody *self = mail->custody;
    if (!mail->durable || mail->abandoned || mail->put_off)
        return;
    if (!mail->verdict) {
        if (mail->answer &&
            self->ops->now_ms(self->io) - mail->accepted_ms >= self->limits.verdict_wait_ms) {
            mail->late = 1;
            mail_answer(mail, ANSWER_ACCEPTED, NULL);
        }
        return;
    }
    if (mail->replayed && self->recovering) { // a delivery may hold it
        mail_list_add(&self->undecided, mail);
        return;
    }
    if (!mail->late && all_rejected(mail)) {
        end_here(mail, POSTERN__ACTION__ACTION_REJECT, POSTERN__DISPOSITION__DISPOSITION_REJECTED);
        return; // 550 leaves once that is durable
    }
    if (!mail->late && mail->answer && self->quarantine_full && any_quarantined(mail)) {
        put_off(mail); // 452 leaves once that is durable
        return;
    }
    mail->late = 1;
    mail_answer(mail, ANSWER_ACCEPTED, NULL);
    mail_list_add(&self->to_deliver, mail);
    end_here(mail, POSTERN__ACTION__ACTION_DISCARD, POSTERN__DISPOSITION__DISPOSITION_DISCARDED);
    if (self->to_deliver.first == mail)
        delivery_next(self);
}

// -- giving

static int same_changes(const Postern__RecipientVerdict *a, const Postern__RecipientVerdict *b)
{
    if (!a || !b)
        return a == b;
    if (a->n_changes != b->n_changes)
        return 0;
    for (size_t i = 0; i < a->n_changes; i++) {
        const Postern__Splice *x = a->changes[i], *y = b->changes[i];
        if (x->offset != y->offset || x->remove != y->remove || x->insert.len != y->insert.len ||
            (x->insert.len > 0 && memcmp(x->insert.data, y->insert.data, x->insert.len) != 0))
            return 0;
    }
    return 1;
}

static struct peer *least_loaded(struct custody *self)
{
    struct peer *best = NULL;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        struct peer *peer = &self->peers[DELIVERIES][slot];
        if (!peer->present || !(self->reported >> slot & 1) || peer->job_count >= peer->credit)
            continue;
        if (!best || peer->job_count < best->job_count)
            best = peer;
    }
    return best;
}

// The waiting recipients that share action and changes with the first of them.
static size_t next_group(const struct mail *mail, uint32_t *ret_recipients)
{
    size_t count = 0;
    for (uint32_t i = 0; i < mail->envelope->n_recipients; i++) {
        if (mail->states[i] != RECIPIENT_WAITING)
            continue;
        if (count == 0 ||
            (action_for(mail, i) == action_for(mail, ret_recipients[0]) &&
             same_changes(verdict_for(mail, i), verdict_for(mail, ret_recipients[0]))))
            ret_recipients[count++] = i;
    }
    return count;
}

static int send_delivery(struct mail *mail, struct peer *peer, uint32_t *recipients, size_t count)
{
    struct custody *self = mail->custody;
    const Postern__RecipientVerdict *verdict = verdict_for(mail, recipients[0]);
    Postern__Place place = POSTERN__PLACE__INIT;
    place.slot = self->slot;
    place.segment = mail->place.segment;
    place.offset = mail->place.offset;
    place.length = mail->place.length;
    Postern__DeliveryJob job = POSTERN__DELIVERY_JOB__INIT;
    job.id = (ProtobufCBinaryData){ULID_SIZE, mail->id.bytes};
    job.ingress = self->slot;
    job.sender = self->incarnation;
    job.receiver = peer->incarnation;
    job.place = &place;
    job.n_recipients = count;
    job.recipients = recipients;
    job.action = action_for(mail, recipients[0]);
    if (verdict) {
        job.n_changes = verdict->n_changes;
        job.changes = verdict->changes;
    }
    job.n_findings = mail->verdict->n_findings;
    job.findings = mail->verdict->findings;
    job.message_id = mail->envelope->message_id;
    job.subject = mail->envelope->subject;
    job.score = mail->verdict->score;
    job.from = mail->envelope->from;
    job.reason = mail->verdict->quarantine_name;
    if (mail->delivery_deaths >= DEATHS_MOST)
        job.reason = (ProtobufCBinaryData){13, (uint8_t *)"delivery-died"};
    if (self->ops->send(self->io, STAGE_DELIVERY, peer->slot, BUS_DELIVERY_JOB, &job.base) < 0)
        return -1;
    job_new(peer, mail, recipients, count, self->ops->now_ms(self->io));
    for (size_t i = 0; i < count; i++)
        mail->states[recipients[i]] = RECIPIENT_GIVEN;
    return 0;
}

// 0 when every waiting recipient was given.
static int give(struct mail *mail)
{
    uint32_t few[16];
    size_t most = mail->envelope->n_recipients, count;
    uint32_t *recipients = most <= ARRAY_LENGTH(few) ? few : allocate(most * sizeof(*recipients));
    int rc = 0;
    while (rc == 0 && (count = next_group(mail, recipients)) > 0) {
        struct peer *peer = least_loaded(mail->custody);
        rc = peer ? send_delivery(mail, peer, recipients, count) : -1;
    }
    if (recipients != few)
        free(recipients);
    return rc;
}

void delivery_next(struct custody *self)
{
    struct mail *mail = self->to_deliver.first;
    while (mail) {
        struct mail *next = mail->links[FOR_WORK].next;
        if (mail->appending == 0) {
            if (give(mail) < 0)
                return;
            mail_list_remove(mail, FOR_WORK);
        }
        mail = next;
    }
}

void delivery_lost(struct job *job)
{
    struct mail *mail = job->mail;
    for (size_t i = 0; i < job->recipient_count; i++)
        if (mail->states[job->recipients[i]] == RECIPIENT_GIVEN)
            mail->states[job->recipients[i]] = RECIPIENT_WAITING;
    job_end(job);
    // One that is not judged yet, or waits for the other reports, is decided when that comes.
    int waits = !mail->verdict || (mail->replayed && mail->custody->recovering);
    if (!waits && !mail->links[FOR_WORK].list)
        mail_list_add(&mail->custody->to_deliver, mail);
}

void delivery_died(struct job *job)
{
    struct mail *mail = job->mail;
    if (job->begun)
        mail_count_death(mail, STAGE_DELIVERY, ++mail->delivery_deaths);
    delivery_lost(job);
}

void custody_delivery_begun(struct custody *self, const Postern__DeliveryBegun *begun)
{
    struct mail *mail = mail_find(self, &begun->id);
    if (!mail || begun->receiver != self->incarnation)
        return;
    for (struct job *job = mail->jobs; job; job = job->mail_next)
        if (job->recipient_count > 0 && job->incarnation == begun->sender &&
            begun->n_recipients > 0 && job_holds(job, begun->recipients[0]))
            job->begun = 1;
}
