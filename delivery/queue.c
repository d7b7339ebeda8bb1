// SPDX-License-Identifier: Apache-2.0
#include "delivery/queue.h"

#include "core/base/log.h"
#include "core/base/table.h"
#include "delivery/heap.h"
#include "delivery/quarantine.h"
#include "delivery/queued.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DUE_AT_ONCE = 200, LOADING_MOST = 64 };

struct queue *queue_new(const struct queue_ops *ops, void *io, const struct queue_options *options)
{
    struct queue *self = allocate(sizeof(*self));
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/%s/%u", options->state, stage_name(STAGE_DELIVERY),
             options->slot);
    self->ops = ops;
    self->io = io;
    self->folder = duplicate(folder);
    self->state = duplicate(options->state);
    self->hostname = duplicate(options->hostname);
    self->slot = options->slot;
    self->incarnation = options->incarnation;
    self->schedule = options->schedule;
    self->credit = QUEUE_CREDIT;
    self->claims = table_new();
    self->quarantine = table_new();
    return self;
}

static int free_claim(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size, (void)context;
    claim_free(value);
    return 0;
}

void queue_destroy(struct queue **self_pointer)
{
    struct queue *self = *self_pointer;
    if (!self)
        return;
    while (self->all)
        queued_free(self->all);
    table_each(self->claims, free_claim, NULL);
    table_destroy(&self->claims);
    quarantine_free(self);
    while (self->keepings)
        keeping_free(self->keepings);
    queue_unwritten_free(self);
    queue_untaken_free(self);
    for (int order = 0; order < HEAP_ORDERS; order++)
        free(self->heaps[order].mails);
    free(self->folder);
    free(self->state);
    free(self->hostname);
    free(self);
    *self_pointer = NULL;
}

void queue_reschedule(struct queue *self, const struct schedule *schedule)
{
    self->schedule = *schedule;
}

void queue_refuse_jobs(struct queue *self)
{
    self->credit = 0;
}

const char *queued_folder(const struct queue *self, const char *file, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/deferred%s%s", self->folder, *file ? "/" : "", file);
    return ret_path;
}

// -- mails

static struct queued *queued_new(struct queue *self, const struct ulid *id,
                                 const Postern__Envelope *envelope, size_t count)
{
    struct queued *mail = allocate(sizeof(*mail));
    mail->queue = self;
    mail->id = *id;
    ulid_format(id, mail->name);
    mail->envelope = envelope;
    mail->recipients = allocate((count + 1) * sizeof(*mail->recipients));
    mail->next = self->all;
    if (mail->next)
        mail->next->previous = mail;
    self->all = mail;
    return mail;
}

static void add_recipient(struct queued *mail, uint32_t index)
{
    mail->recipients[mail->count].index = index;
    mail->recipients[mail->count++].state = QUEUED_OPEN;
    mail->open++;
}

struct queued *queued_of_head(struct queue *self, Postern__Held *head)
{
    struct ulid id;
    memcpy(id.bytes, head->envelope->id.data, ULID_SIZE);
    struct queued *mail = queued_new(self, &id, head->envelope, head->n_recipients);
    mail->head = head;
    mail->attempts = head->attempts;
    mail->next_ms = head->next_ms;
    mail->last_ms = head->last_ms;
    mail->frozen = head->frozen;
    for (size_t i = 0; i < head->n_recipients; i++) {
        add_recipient(mail, head->recipients[i]);
        if (i < head->n_replies)
            mail->recipients[i].reply =
                duplicate_bytes(head->replies[i].data, head->replies[i].len);
    }
    self->held_count++;
    heap_add(self, HEAP_AGE, mail);
    return mail;
}

void queued_free(struct queued *mail)
{
    struct queue *self = mail->queue;
    heap_remove(self, HEAP_DUE, mail);
    heap_remove(self, HEAP_AGE, mail);
    if (self->move_next == mail)
        self->move_next = mail->next;
    queued_unload(mail);
    if (mail->next)
        mail->next->previous = mail->previous;
    if (mail->previous)
        mail->previous->next = mail->next;
    else
        self->all = mail->next;
    if (mail->head)
        self->held_count--;
    else
        self->job_count--;
    if (mail->spooled.envelope)
        spooled_close(&mail->spooled);
    if (mail->mapped.payload)
        self->ops->unmap(self->io, &mail->mapped);
    if (mail->job)
        postern__delivery_job__free_unpacked(mail->job, NULL);
    if (mail->head)
        postern__held__free_unpacked(mail->head, NULL);
    for (size_t i = 0; i < mail->count; i++) {
        free(mail->recipients[i].reply);
        free(mail->recipients[i].hop);
    }
    free(mail->recipients);
    free(mail);
}

void queued_schedule(struct queued *mail, int64_t next_ms)
{
    heap_remove(mail->queue, HEAP_DUE, mail);
    mail->next_ms = next_ms;
    if (!mail->frozen)
        heap_add(mail->queue, HEAP_DUE, mail);
}

void queued_try(struct queued *mail)
{
    for (size_t i = 0; i < mail->count; i++) {
        if (mail->recipients[i].state != QUEUED_OPEN)
            continue;
        mail->recipients[i].state = QUEUED_OUT;
        mail->out++;
    }
    if (mail->head && mail->head->order.len > 0)
        quarantine_try(mail);
    else
        mail->queue->ops->deliver(mail->queue->io, mail);
}

void queued_ended(struct queued *mail, size_t at)
{
    assert(mail->recipients[at].state != QUEUED_ENDED);
    mail->recipients[at].state = QUEUED_ENDED;
    mail->open--;
}

// -- jobs

static int job_recipients(struct queue *self, struct queued *mail, const Postern__DeliveryJob *job)
{
    struct claim *claim = claim_make(self, job->ingress, &mail->id);
    for (size_t i = 0; i < job->n_recipients; i++) {
        uint32_t index = job->recipients[i];
        // What is claimed already is under way, or its outcome is: a second job changes nothing.
        if (index >= mail->envelope->n_recipients || claim_recipient(claim, index))
            continue;
        claim_add(claim, index);
        add_recipient(mail, index);
    }
    return mail->count > 0;
}

// Not claimed: ingress finds that out by the next report, and gives the job again.
static void drop_job(Postern__DeliveryJob *job, const char *why)
{
    struct ulid id = {{0}};
    char text[ULID_TEXT];
    if (job->id.len == ULID_SIZE)
        memcpy(id.bytes, job->id.data, ULID_SIZE);
    ulid_format(&id, text);
    log_error("job.dropped", "id=%s ingress=%u reason=%s", text, job->ingress, why);
    postern__delivery_job__free_unpacked(job, NULL);
}

static int open_job(struct queue *self, const Postern__DeliveryJob *job, struct mapped *ret_mapped,
                    struct spooled *ret_spooled)
{
    char big[256];
    snprintf(big, sizeof(big), "%s/%s/%u/big", self->state, stage_name(STAGE_INGRESS),
             job->ingress);
    if (!job->place || job->place->slot != job->ingress ||
        self->ops->map(self->io, job->ingress, job->place, ret_mapped) < 0)
        return -1;
    if (spooled_open(ret_spooled, ret_mapped->payload, job->place->length, big) == 0)
        return 0;
    self->ops->unmap(self->io, ret_mapped);
    return -1;
}

static int make_body(struct queued *mail)
{
    const Postern__Envelope *envelope = mail->envelope;
    struct span received = {(const char *)envelope->received_field.data,
                            envelope->received_field.len};
    struct span message = {mail->spooled.message, mail->spooled.size};
    int quarantine = mail->job->action == POSTERN__ACTION__ACTION_QUARANTINE;
    return body_make(&mail->body, received, mail->job->changes,
                     quarantine ? 0 : mail->job->n_changes, message);
}

static void take_job(struct queue *self, Postern__DeliveryJob *job, struct mapped *mapped,
                     struct spooled *spooled)
{
    struct ulid id;
    memcpy(id.bytes, job->id.data, ULID_SIZE);
    struct queued *mail = queued_new(self, &id, spooled->envelope, job->n_recipients);
    self->job_count++;
    mail->job = job;
    mail->mapped = *mapped;
    mail->spooled = *spooled;
    if (make_body(mail) < 0 || !job_recipients(self, mail, job)) {
        queued_free(mail);
        return;
    }
    if (job->action == POSTERN__ACTION__ACTION_QUARANTINE)
        quarantine_job(mail);
    else
        queued_try(mail);
}

void queue_job(struct queue *self, Postern__DeliveryJob *job)
{
    struct mapped mapped;
    struct spooled spooled;
    // Made for another incarnation, or by one that has died: its ingress knows.
    if (job->receiver != self->incarnation || job->ingress >= SLOT_MOST ||
        self->newest[job->ingress] != job->sender) {
        postern__delivery_job__free_unpacked(job, NULL);
        return;
    }
    if (job->id.len != ULID_SIZE || open_job(self, job, &mapped, &spooled) < 0) {
        drop_job(job, "unreadable");
        return;
    }
    take_job(self, job, &mapped, &spooled);
}

// -- delivering

void queue_begun(struct queued *mail, const unsigned *at, size_t count)
{
    struct queue *self = mail->queue;
    if (!mail->job)
        return;
    Postern__DeliveryBegun begun = POSTERN__DELIVERY_BEGUN__INIT;
    uint32_t *recipients = allocate((count + 1) * sizeof(*recipients));
    for (size_t i = 0; i < count; i++)
        recipients[i] = mail->recipients[at[i]].index;
    begun.id = (ProtobufCBinaryData){ULID_SIZE, mail->id.bytes};
    begun.ingress = mail->job->ingress;
    begun.receiver = mail->job->sender;
    begun.sender = self->incarnation;
    begun.delivery = self->slot;
    begun.recipients = recipients;
    begun.n_recipients = count;
    // Lost with a broken pipe at worst: then this try is not charged to the message.
    if (self->ops->send(self->io, mail->job->ingress, BUS_DELIVERY_BEGUN, &begun.base) < 0)
        log_debug("begun.untold", "ingress=%u", mail->job->ingress);
    free(recipients);
}

// Sorts a shipment's results into `at` runs of one kind each.
static size_t pick(const unsigned *at, const struct client_recipient *results, size_t count,
                   enum result wanted, unsigned *ret_picked)
{
    size_t picked = 0;
    for (size_t i = 0; i < count; i++)
        if (results[i].result == wanted)
            ret_picked[picked++] = at[i];
    return picked;
}

static void keep_results(struct queued *mail, const unsigned *at,
                         const struct client_recipient *results, size_t count, const char *hop)
{
    for (size_t i = 0; i < count; i++) {
        struct queued_recipient *recipient = &mail->recipients[at[i]];
        assert(recipient->state == QUEUED_OUT && results[i].result != RESULT_NONE);
        free(recipient->reply);
        free(recipient->hop);
        recipient->reply = duplicate(results[i].text ? results[i].text : "");
        recipient->hop = duplicate(hop);
        recipient->notified = results[i].relayed_dsn;
        memcpy(recipient->status, results[i].status, STATUS_SIZE);
        recipient->state = QUEUED_OPEN;
    }
    mail->out -= count;
}

void queue_results(struct queued *mail, const unsigned *at, const struct client_recipient *results,
                   size_t count, const char *hop)
{
    unsigned *picked = allocate((count + 1) * sizeof(*picked));
    keep_results(mail, at, results, count, hop);
    mail->writing++; // stays while its results are sorted
    size_t delivered = pick(at, results, count, RESULT_DELIVERED, picked);
    if (delivered > 0)
        queued_delivered(mail, picked, delivered);
    size_t failed = pick(at, results, count, RESULT_FAILED, picked);
    if (failed > 0)
        queued_bounce(mail, picked, failed);
    size_t deferred = pick(at, results, count, RESULT_DEFERRED, picked);
    if (deferred > 0 && mail->job)
        queued_hold(mail, picked, deferred);
    free(picked);
    mail->writing--;
    queued_settle(mail);
}

// -- time

int queue_flush(struct queue *self)
{
    claims_tell(self);
    return claims_report(self);
}

static void try_due(struct queue *self, int64_t now)
{
    unsigned count = 0;
    struct queued *mail;
    while (count++ < DUE_AT_ONCE && self->working < LOADING_MOST &&
           (mail = heap_first(self, HEAP_DUE)) && mail->next_ms <= now) {
        heap_remove(self, HEAP_DUE, mail);
        queued_load(mail);
    }
}

void queue_tick(struct queue *self)
{
    queue_write_again(self);
    queue_take_again(self);
    claims_forget_gone(self);
    try_due(self, self->ops->now_ms(self->io));
    queue_move_old(self);
}

size_t queue_held(const struct queue *self)
{
    return self->held_count;
}

size_t queue_jobs(const struct queue *self)
{
    return self->job_count;
}

size_t queue_claims(const struct queue *self)
{
    return table_count(self->claims);
}

int64_t queue_oldest_ms(const struct queue *self)
{
    const struct queued *oldest = heap_first(self, HEAP_AGE);
    return oldest ? oldest->envelope->received_ms : 0;
}

int queue_empty(const struct queue *self)
{
    return !self->all && table_count(self->claims) == 0 && table_count(self->quarantine) == 0 &&
           !self->unwritten && self->leaving == 0;
}

unsigned queue_slot(const struct queue *self)
{
    return self->slot;
}
