// SPDX-License-Identifier: Apache-2.0
#include "delivery/quarantine.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/base/table.h"
#include "core/journal/record.h"
#include "delivery/pieces_file.h"
#include "delivery/quarantine_internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHA256_SIZE = 32, AGAIN_MS = 5000 };

struct quarantined *quarantine_find(const struct queue *self, const struct ulid *id)
{
    return table_get(self->quarantine, id->bytes, ULID_SIZE);
}

struct quarantined *quarantine_make(struct queue *self, const struct ulid *id,
                                    const ProtobufCBinaryData *day)
{
    struct quarantined *entry = quarantine_find(self, id);
    if (entry)
        return entry;
    entry = allocate(sizeof(*entry));
    entry->id = *id;
    memcpy(entry->day, day->data, day->len < DAY_SIZE ? day->len : DAY_SIZE - 1);
    table_put(self->quarantine, id->bytes, ULID_SIZE, entry);
    return entry;
}

struct quarantined_recipient *quarantine_recipient(const struct quarantined *entry, uint32_t index)
{
    for (size_t i = 0; i < entry->count; i++)
        if (entry->recipients[i].index == index)
            return &entry->recipients[i];
    return NULL;
}

struct quarantined_recipient *quarantine_add(struct quarantined *entry, uint32_t index,
                                             const ProtobufCBinaryData *address)
{
    struct quarantined_recipient *recipient = quarantine_recipient(entry, index);
    if (recipient)
        return recipient;
    entry->recipients =
        reallocate(entry->recipients, (entry->count + 1) * sizeof(*entry->recipients));
    recipient = &entry->recipients[entry->count++];
    *recipient = (struct quarantined_recipient){.index = index};
    recipient->address = duplicate_bytes(address->data, address->len);
    return recipient;
}

void quarantine_path(const struct queue *self, const char *day, const struct ulid *id,
                     char ret_folder[512], char ret_name[ULID_TEXT])
{
    snprintf(ret_folder, 512, "%s/quarantine/%s", self->state, day);
    ulid_format(id, ret_name);
}

// -- a job to be quarantined

struct filing {
    struct queued *mail;
    char folder[512];
    char name[ULID_TEXT];
    char day[DAY_SIZE];
    void *head;
    size_t head_size;
    uint8_t sha256[SHA256_SIZE];
};

static int hash(struct filing *filing)
{
    const struct body *body = &filing->mail->body;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
               EVP_DigestUpdate(context, filing->head, filing->head_size) == 1;
    for (size_t i = 0; good && i < body->count; i++)
        good = EVP_DigestUpdate(context, body->pieces[i].iov_base, body->pieces[i].iov_len) == 1;
    good = good && EVP_DigestFinal_ex(context, filing->sha256, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good ? 0 : ENOMEM;
}

static int file(void *context)
{
    struct filing *filing = context;
    int result = hash(filing);
    if (result != 0)
        return result;
    return pieces_file_write(filing->folder, filing->name,
                             (struct span){filing->head, filing->head_size}, &filing->mail->body);
}

static void recorded(void *context, struct position where)
{
    struct filing *filing = context;
    struct queued *mail = filing->mail;
    struct queue *self = mail->queue;
    ProtobufCBinaryData day = {strlen(filing->day), (uint8_t *)filing->day};
    struct quarantined *entry = quarantine_make(self, &mail->id, &day);
    if (!entry->keeping)
        entry->keeping = keeping_new(self);
    keeping_end(entry->keeping, where);
    for (size_t i = 0; i < mail->count; i++) {
        uint32_t index = mail->recipients[i].index;
        quarantine_add(entry, index, &mail->envelope->recipients[index]->address);
        claim_outcome(self, mail->job->ingress, &mail->id, index,
                      POSTERN__DISPOSITION__DISPOSITION_QUARANTINED, NULL, NULL, entry->keeping);
        queued_ended(mail, i);
    }
    metric_add(metric("delivery_recipients_total", "disposition=\"quarantined\""),
               (int64_t)mail->count);
    mail->writing--;
    free(filing->head);
    free(filing);
    queued_settle(mail);
}

static void record(struct filing *filing)
{
    struct queued *mail = filing->mail;
    Postern__Event event;
    unsigned *at = allocate((mail->count + 1) * sizeof(*at));
    for (unsigned i = 0; i < mail->count; i++)
        at[i] = i;
    event_init(&event, mail, POSTERN__KIND__KIND_QUARANTINED,
               POSTERN__DISPOSITION__DISPOSITION_QUARANTINED, at, mail->count);
    event.findings = mail->job->findings;
    event.n_findings = mail->job->n_findings;
    event.score = mail->job->score;
    event.detail = mail->job->reason;
    event.quarantine_day = (ProtobufCBinaryData){strlen(filing->day), (uint8_t *)filing->day};
    event.sha256 = (ProtobufCBinaryData){SHA256_SIZE, filing->sha256};
    size_t size;
    void *packed = pack(&event.base, &size);
    queue_write(mail->queue, RECORD_QUARANTINED, packed, size, NULL, recorded, filing);
    event_free_lists(&event);
    free(at);
}

// The disk would not take it: once more at the next tick, by way of the queue of due mails.
static void filed(void *context, int result)
{
    struct filing *filing = context;
    struct queued *mail = filing->mail;
    mail->queue->working--;
    if (result == 0) {
        record(filing);
        return;
    }
    log_error("quarantine.failed", "id=%s error=%d", filing->name, result);
    queued_schedule(mail, mail->queue->ops->now_ms(mail->queue->io) + AGAIN_MS);
    mail->writing--;
    free(filing->head);
    free(filing);
}

void quarantine_job(struct queued *mail)
{
    struct queue *self = mail->queue;
    struct filing *filing = allocate(sizeof(*filing));
    Postern__Envelope envelope = *mail->envelope;
    envelope.received_field = envelope.big =
        (ProtobufCBinaryData){0, NULL}; // they stand in the bytes now
    envelope.id = (ProtobufCBinaryData){ULID_SIZE, mail->id.bytes};
    envelope.size = mail->body.size;
    filing->mail = mail;
    filing->head = spooled_head(&envelope, &filing->head_size);
    clock_format_day(self->ops->now_ms(self->io), filing->day);
    quarantine_path(self, filing->day, &mail->id, filing->folder, filing->name);
    for (size_t i = 0; i < mail->count; i++)
        mail->recipients[i].state = QUEUED_ENDING;
    mail->writing++;
    self->working++;
    if (self->ops->work(self->io, file, filed, filing) < 0)
        filed(filing, EAGAIN);
}

// -- the index

void quarantine_entry_free(struct quarantined *entry)
{
    for (size_t i = 0; i < entry->count; i++) {
        free(entry->recipients[i].address);
        free(entry->recipients[i].reply);
    }
    free(entry->recipients);
    free(entry);
}

static int free_each(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size, (void)context;
    quarantine_entry_free(value);
    return 0;
}

void quarantine_free(struct queue *self)
{
    table_each(self->quarantine, free_each, NULL);
    table_destroy(&self->quarantine);
}
