// SPDX-License-Identifier: Apache-2.0
#include "ingress/transaction.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bytes_set(ProtobufCBinaryData *ret, const char *data, size_t size)
{
    ret->data = duplicate_bytes(data, size);
    ret->len = size;
}

static void text_set(ProtobufCBinaryData *ret, const char *text)
{
    if (text[0])
        bytes_set(ret, text, strlen(text));
}

void transaction_begin(struct session *self, Postern__Envelope *envelope)
{
    self->envelope = envelope;
    self->recipients_room = 0;
    self->turned_away = 0;
    self->refusal = REFUSAL_NONE;
    self->state = STATE_MAIL;
}

Postern__Recipient *transaction_add_recipient(struct session *self, const char *address,
                                              size_t size)
{
    Postern__Envelope *envelope = self->envelope;
    Postern__Recipient *recipient = allocate(sizeof(*recipient));
    postern__recipient__init(recipient);
    bytes_set(&recipient->address, address, size);
    if (envelope->n_recipients == self->recipients_room) {
        self->recipients_room = self->recipients_room ? self->recipients_room * 2 : 4;
        envelope->recipients = reallocate(envelope->recipients,
                                          self->recipients_room * sizeof(envelope->recipients[0]));
    }
    envelope->recipients[envelope->n_recipients++] = recipient;
    self->state = STATE_RCPT;
    return recipient;
}

void transaction_end(struct session *self)
{
    intake_cancel(&self->intake);
    rcpt_forget(self);
    if (self->envelope)
        postern__envelope__free_unpacked(self->envelope, NULL);
    self->envelope = NULL;
    self->refusal = REFUSAL_NONE;
    if (self->state != STATE_NEW)
        self->state = STATE_GREETED;
}

static const char *protocol(const struct session *self)
{
    if (self->envelope->smtputf8)
        return self->tls[0] ? "UTF8SMTPS" : "UTF8SMTP";
    if (!self->extended)
        return "SMTP";
    return self->tls[0] ? "ESMTPS" : "ESMTP";
}

static void note_for_log(struct session *self)
{
    const Postern__Envelope *envelope = self->envelope;
    log_escape(envelope->reverse_path.data, envelope->reverse_path.len, self->logged,
               sizeof(self->logged));
    self->logged_recipients = envelope->n_recipients;
    self->logged_size = self->intake ? intake_size(self->intake) : 0;
}

static void log_message(const struct session *self, const char *answer)
{
    log_info("message", "id=%s client=%s from=%s recipients=%zu size=%llu answer=%s", self->id,
             self->client, self->logged[0] ? self->logged : "<>", self->logged_recipients,
             (unsigned long long)self->logged_size, answer);
}

void transaction_refused(struct session *self, const char *name, const char *reply)
{
    const Postern__Envelope *envelope = self->envelope;
    if (!envelope)
        return; // chunks without a transaction
    note_for_log(self);
    log_message(self, name);
    for (size_t i = 0; i < envelope->n_recipients; i++)
        session_tell_refused(self,
                             (struct span){(const char *)envelope->recipients[i]->address.data,
                                           envelope->recipients[i]->address.len},
                             reply);
}

// An analyzer's or a policy's words, made fit for a reply line.
static void add_text(struct session *self, const char *code, const char *text)
{
    char reply[400];
    size_t at = (size_t)snprintf(reply, sizeof(reply), "%s ", code);
    for (; *text && at + 1 < sizeof(reply); text++)
        reply[at++] = *text >= 0x20 && *text < 0x7f ? *text : '?';
    reply[at] = 0;
    session_reply(self, reply);
}

static void say_answer(struct session *self, enum answer answer, const char *text)
{
    switch (answer) {
    case ANSWER_ACCEPTED:
        self->accepted++;
        self->errors = 0;
        metric_add(self->shared->accepted, 1);
        session_printf(self, "250 2.0.0 Ok: queued as %s", self->id);
        return;
    case ANSWER_REJECTED:
        self->rejected++;
        metric_add(self->shared->rejected, 1);
        add_text(self, "550 5.7.1", text && text[0] ? text : "Message refused by policy");
        return;
    case ANSWER_TRY_AGAIN:
        metric_add(self->shared->deferred, 1);
        add_text(self, "451 4.3.0", text && text[0] ? text : "Please try again later");
        return;
    case ANSWER_NO_SPACE:
        metric_add(self->shared->deferred, 1);
        add_text(self, "452 4.3.1", text && text[0] ? text : "No space now, try again later");
        return;
    case ANSWER_CLOSE:
        break;
    }
    self->mode = MODE_CLOSE;
}

static const char *answer_name(enum answer answer)
{
    static const char *const names[] = {"accepted", "rejected", "try-again", "no-space", "close"};
    return names[answer];
}

static void on_answer(void *context, enum answer answer, const char *text)
{
    struct session *self = context;
    self->ticket = NULL;
    self->mode = MODE_COMMAND;
    self->since_ms = self->fed ? self->now_ms : 0; // 0: from the next feed on
    self->idle_commands = 0;
    log_message(self, answer_name(answer));
    say_answer(self, answer, text);
    if (self->shared->draining)
        session_drain(self);
    if (!self->fed)
        self->wake(self->context);
}

void transaction_commit(struct session *self)
{
    Postern__Envelope *envelope = self->envelope;
    note_for_log(self);
    text_set(&envelope->client_address, self->client);
    text_set(&envelope->client_name, self->name);
    text_set(&envelope->helo, self->helo);
    text_set(&envelope->protocol, protocol(self));
    text_set(&envelope->tls, self->tls);
    envelope->received_ms = clock_wall_ms();
    self->envelope = NULL;
    self->state = STATE_GREETED;
    self->mode = MODE_ANSWER;
    struct ticket *ticket =
        spool_commit(self->shared->spool, &self->intake, envelope, on_answer, self);
    if (self->mode == MODE_ANSWER)
        self->ticket = ticket;
}
