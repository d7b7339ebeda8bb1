// SPDX-License-Identifier: Apache-2.0
// A message's way into custody, and back into it after a restart.
#include "ingress/custody.h"

#include "core/base/table.h"
#include "core/base/unpack.h"
#include "core/journal/record.h"
#include "ingress/mail.h"
#include "mail/spooled.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct custody *custody_new(const struct custody_ops *ops, void *io, unsigned slot,
                            uint64_t incarnation, const struct custody_limits *limits)
{
    struct custody *self = allocate(sizeof(*self));
    self->ops = ops;
    self->io = io;
    self->slot = slot;
    self->incarnation = incarnation;
    self->limits = *limits;
    self->mails = table_new();
    self->clients.purpose = FOR_CLIENT;
    return self;
}

static int free_mail(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size, (void)context;
    mail_free(value);
    return 0;
}

void custody_destroy(struct custody **self)
{
    if (!*self)
        return;
    table_each((*self)->mails, free_mail, NULL);
    table_destroy(&(*self)->mails);
    custody_forget_unwritten(*self);
    free(*self);
    *self = NULL;
}

void custody_quarantine_full(struct custody *self, int full)
{
    self->quarantine_full = full;
}

void custody_limits(struct custody *self, const struct custody_limits *limits)
{
    self->limits = *limits;
}

// -- a new message

// A failed sync is never retried: the message may or may not be there after a crash, so its id is
// written down as void before the client hears 451. If even that fails, the client hears nothing.
static void abandoned(void *context, enum journal_state state, struct position where)
{
    struct mail *mail = context;
    struct custody *self = mail->custody;
    if (state == JOURNAL_WRITTEN)
        return;
    if (state == JOURNAL_DURABLE) {
        mail_answer(mail, ANSWER_TRY_AGAIN, "the disk refused the message");
        self->ops->release_after(self->io, mail->place, where);
    } else {
        mail_answer(mail, ANSWER_CLOSE, NULL);
    }
    mail_free(mail);
}

static void abandon(struct mail *mail)
{
    struct custody *self = mail->custody;
    struct iovec piece = {mail->id.bytes, ULID_SIZE};
    struct position where;
    mail->abandoned = 1;
    mail_list_remove(mail, FOR_WORK);
    while (mail->jobs)
        job_end(mail->jobs);
    if (self->ops->append(self->io, RECORD_ABANDONED, &piece, 1, abandoned, mail, &where) < 0)
        abandoned(mail, JOURNAL_FAILED, where);
}

static void message_stored(void *context, enum journal_state state, struct position where)
{
    struct mail *mail = context;
    (void)where;
    switch (state) {
    case JOURNAL_WRITTEN:
        mail->written = 1;
        if (!mail->verdict)
            analysis_wanted(mail);
        break;
    case JOURNAL_DURABLE:
        mail->durable = 1;
        mail_decide(mail);
        break;
    case JOURNAL_FAILED:
        abandon(mail);
        break;
    }
}

struct mail *custody_accept(struct custody *self, Postern__Envelope *envelope,
                            const struct iovec *pieces, int count, answer_fn *fn, void *context)
{
    struct ulid id;
    memcpy(id.bytes, envelope->id.data, ULID_SIZE);
    struct mail *mail = mail_new(self, envelope, &id);
    mail->answer = fn;
    mail->answer_context = context;
    mail->accepted_ms = self->ops->now_ms(self->io);
    mail_list_add(&self->clients, mail);
    if (self->ops->append(self->io, RECORD_MESSAGE, pieces, count, message_stored, mail,
                          &mail->place) == 0)
        return mail;
    mail_answer(mail, errno == ENOSPC ? ANSWER_NO_SPACE : ANSWER_TRY_AGAIN,
                "the spool cannot take the message now");
    self->ops->ended(self->io, envelope);
    mail_free(mail);
    return NULL;
}

void custody_forget(struct mail *mail)
{
    mail->answer = NULL;
    mail_list_remove(mail, FOR_CLIENT);
}

// -- replay

static void replay_message(struct custody *self, struct position where, const void *payload)
{
    struct spooled spooled;
    if (spooled_open(&spooled, payload, where.length, NULL) < 0 || !spooled.envelope ||
        spooled.envelope->id.len != ULID_SIZE || spooled.envelope->n_recipients == 0) {
        self->ops->release(self->io, where);
        return;
    }
    Postern__Envelope *envelope = spooled.envelope;
    spooled.envelope = NULL;
    spooled_close(&spooled);
    struct mail *mail = mail_find(self, &envelope->id);
    if (mail) { // an older copy, from above a commit mark
        self->ops->release(self->io, mail->place);
        postern__envelope__free_unpacked(envelope, NULL);
    } else {
        struct ulid id;
        memcpy(id.bytes, envelope->id.data, ULID_SIZE);
        mail = mail_new(self, envelope, &id);
    }
    mail->place = where;
    mail->written = mail->durable = mail->replayed = mail->late = 1;
    mail->accepted_ms = mail->envelope->received_ms;
}

static void replay_done(struct custody *self, struct position where, const Postern__Event *event)
{
    struct mail *mail = mail_find(self, &event->id);
    if (!mail) {
        self->ops->release(self->io, where);
        return;
    }
    for (size_t i = 0; i < event->n_recipients; i++) {
        uint32_t at = event->recipients[i]->recipient;
        if (at < mail->envelope->n_recipients && mail->states[at] != RECIPIENT_ENDED) {
            mail->states[at] = RECIPIENT_ENDED;
            mail->open--;
        }
    }
    mail_keep_end(mail, where);
}

static void replay_attempt(struct custody *self, struct position where, const Postern__Event *event)
{
    struct mail *mail = mail_find(self, &event->id);
    if (!mail) {
        self->ops->release(self->io, where);
        return;
    }
    unsigned *count = event->detail.len == 8 ? &mail->tries : &mail->delivery_deaths; // "analyzer"
    if (event->attempts > *count)
        *count = event->attempts;
    mail_keep_end(mail, where);
}

static void replay_abandoned(struct custody *self, struct position where, const void *payload)
{
    ProtobufCBinaryData id = {where.length, (uint8_t *)payload};
    struct mail *mail = mail_find(self, &id);
    if (!mail) {
        self->ops->release(self->io, where);
        return;
    }
    mail_keep_end(mail, where);
    mail->abandoned = 1;
    mail->open = 0;
}

void custody_replay(void *context, unsigned type, struct position where, const void *payload)
{
    struct custody *self = context;
    if (type == RECORD_MESSAGE) {
        replay_message(self, where, payload);
        return;
    }
    if (type == RECORD_ABANDONED) {
        replay_abandoned(self, where, payload);
        return;
    }
    Postern__Event *event = NULL;
    if (type == RECORD_DONE || type == RECORD_ATTEMPT)
        event = postern__event__unpack(&unpack_allocator, where.length, payload);
    if (event && type == RECORD_DONE)
        replay_done(self, where, event);
    else if (event)
        replay_attempt(self, where, event);
    else
        self->ops->release(self->io, where); // a refusal, or not readable: nothing hangs on it
    if (event)
        postern__event__free_unpacked(event, NULL);
}

static int begin_replayed(const void *key, size_t size, void *value, void *context)
{
    struct mail *mail = value;
    (void)key, (void)size, (void)context;
    if (mail->open == 0)
        mail_ended(mail);
    else
        analysis_wanted(mail);
    return 0;
}

void custody_recovered(struct custody *self)
{
    self->recovering = 1;
    table_each(self->mails, begin_replayed, NULL);
    custody_check_reports(self);
}

// -- what others ask

size_t custody_count(const struct custody *self)
{
    return table_count(self->mails);
}

size_t custody_unanswered(const struct custody *self)
{
    return self->clients.count;
}

int64_t custody_oldest_ms(const struct custody *self)
{
    const struct mail *oldest = self->to_analyze.first;
    return oldest ? self->ops->now_ms(self->io) - oldest->accepted_ms : 0;
}

int custody_knows(const struct custody *self, const struct ulid *id)
{
    return table_get(self->mails, id->bytes, ULID_SIZE) != NULL;
}

unsigned custody_slot(const struct custody *self)
{
    return self->slot;
}

static void answer_waiting(struct custody *self, int64_t now)
{
    struct mail *mail = self->clients.first;
    while (mail && now - mail->accepted_ms >= self->limits.verdict_wait_ms) {
        struct mail *next = mail->links[FOR_CLIENT].next;
        if (mail->durable && !mail->abandoned && !mail->verdict) {
            mail->late = 1;
            mail_answer(mail, ANSWER_ACCEPTED, NULL);
        }
        mail = next;
    }
}

void custody_tick(struct custody *self)
{
    int64_t now = self->ops->now_ms(self->io);
    custody_append_again(self);
    answer_waiting(self, now);
    peers_tick(self, now);
    if (!self->recovering)
        custody_decide_replayed(self);
    analysis_tick(self, now);
    delivery_next(self);
}
