// SPDX-License-Identifier: Apache-2.0
// The tries of a release and how it ends. `begun` without an outcome is tried once more; a delivery
// that dies in that one, too, leaves it to a person (DESIGN 10).
#include "delivery/quarantine_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TRIES_MOST = 2 };

struct quarantined *quarantine_entry_of(const struct queued *mail)
{
    struct ulid id;
    if (!mail->head || mail->head->order.len == 0 || mail->head->released.len != ULID_SIZE)
        return NULL;
    memcpy(id.bytes, mail->head->released.data, ULID_SIZE);
    return quarantine_find(mail->queue, &id);
}

enum quarantine_state quarantine_state_after(Postern__Disposition disposition)
{
    if (disposition == POSTERN__DISPOSITION__DISPOSITION_DELIVERED)
        return QUARANTINE_RELEASED;
    return disposition == POSTERN__DISPOSITION__DISPOSITION_UNSURE ? QUARANTINE_UNSURE
                                                                   : QUARANTINE_FAILED;
}

// -- tries

// The quarantine's entry of a release's recipient, NULL: a later round's.
static struct quarantined_recipient *in_release(const struct quarantined *entry,
                                                const struct queued *mail, size_t at)
{
    struct quarantined_recipient *recipient =
        quarantine_recipient(entry, mail->recipients[at].index);
    return recipient && recipient->round == mail->head->round ? recipient : NULL;
}

static void counted(void *context)
{
    struct queued *mail = context;
    mail->writing--;
    mail->queue->ops->deliver(mail->queue->io, mail);
}

void quarantine_try(struct queued *mail)
{
    struct quarantined *entry = quarantine_entry_of(mail);
    mail->writing++;
    if (!entry) {
        counted(mail);
        return;
    }
    for (size_t i = 0; i < mail->count; i++) {
        struct quarantined_recipient *recipient = in_release(entry, mail, i);
        if (recipient && mail->recipients[i].state == QUEUED_OUT)
            recipient->tries++;
    }
    quarantine_write(mail->queue, entry, counted, mail);
}

void quarantine_tried(struct queued *mail)
{
    struct quarantined *entry = quarantine_entry_of(mail);
    int news = 0;
    for (size_t i = 0; entry && i < mail->count; i++) {
        struct quarantined_recipient *recipient = in_release(entry, mail, i);
        if (!recipient || recipient->tries == 0)
            continue;
        recipient->tries--; // this one; that of an earlier death stays
        news = 1;
    }
    if (news)
        quarantine_write(mail->queue, entry, NULL, NULL);
}

int quarantine_unsure(struct queued *mail)
{
    const struct quarantined *entry = quarantine_entry_of(mail);
    unsigned *at = allocate((mail->count + 1) * sizeof(*at));
    size_t count = 0;
    for (unsigned i = 0; entry && i < mail->count; i++) {
        const struct quarantined_recipient *recipient = in_release(entry, mail, i);
        if (recipient && recipient->tries >= TRIES_MOST && mail->recipients[i].state == QUEUED_OPEN)
            at[count++] = i;
    }
    size_t open = mail->open;
    if (count > 0)
        queued_unsure(mail, at, count);
    free(at);
    return count == open;
}

// -- outcome

static void release_recorded(void *context)
{
    keeping_done(context);
}

// The release's own records tell its outcome until the entry's does.
void quarantine_write_outcome(struct queued *mail, struct quarantined *entry)
{
    keeping_wait(mail->keeping);
    quarantine_write(mail->queue, entry, release_recorded, mail->keeping);
}

void quarantine_released(struct queued *mail, const unsigned *at, size_t count,
                         Postern__Disposition disposition)
{
    struct quarantined *entry = quarantine_entry_of(mail);
    for (size_t i = 0; entry && i < count; i++) {
        struct quarantined_recipient *recipient =
            quarantine_recipient(entry, mail->recipients[at[i]].index);
        if (!recipient)
            continue;
        recipient->state = quarantine_state_after(disposition);
        free(recipient->reply);
        recipient->reply =
            mail->recipients[at[i]].reply ? duplicate(mail->recipients[at[i]].reply) : NULL;
    }
    if (!entry)
        return;
    quarantine_write_outcome(mail, entry);
}
