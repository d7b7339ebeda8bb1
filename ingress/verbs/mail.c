// SPDX-License-Identifier: Apache-2.0
// MAIL FROM (RFC 5321 4.1.1.2) with SIZE, BODY, SMTPUTF8, RET and ENVID.
#include "ingress/grammar.h"
#include "ingress/reputation.h"
#include "ingress/transaction.h"

#include <errno.h>
#include <stdlib.h>

enum { ENVID_MOST = 100 }; // RFC 3461 4.4
enum { BAD_PART = 10 };    // of the rate, for a client of bad standing

// What the parameters said. Each may come once.
struct mail_parameters {
    Postern__Envelope *envelope;
    uint64_t size;
    unsigned seen;
};

enum seen { SEEN_SIZE = 1, SEEN_BODY = 2, SEEN_UTF8 = 4, SEEN_RET = 8, SEEN_ENVID = 16 };

typedef int value_fn(struct mail_parameters *self, struct span value);

static int take_size(struct mail_parameters *self, struct span value)
{
    return grammar_number(value, &self->size);
}

static int take_body(struct mail_parameters *self, struct span value)
{
    self->envelope->body_8bit = grammar_is(value, "8BITMIME");
    return self->envelope->body_8bit || grammar_is(value, "7BIT") ? 0 : -1;
}

static int take_utf8(struct mail_parameters *self, struct span value)
{
    (void)value;
    self->envelope->smtputf8 = 1;
    return 0;
}

static int take_ret(struct mail_parameters *self, struct span value)
{
    self->envelope->ret = grammar_is(value, "FULL") ? 1 : grammar_is(value, "HDRS") ? 2 : 0;
    return self->envelope->ret ? 0 : -1;
}

static int take_envid(struct mail_parameters *self, struct span value)
{
    if (value.size > ENVID_MOST || !grammar_xtext(value, 0))
        return -1;
    bytes_set(&self->envelope->envid, value.data, value.size);
    return 0;
}

static const struct {
    const char *name;
    enum seen seen;
    int has_value;
    value_fn *take;
} known[] = {
    {"SIZE", SEEN_SIZE, 1, take_size},     {"BODY", SEEN_BODY, 1, take_body},
    {"SMTPUTF8", SEEN_UTF8, 0, take_utf8}, {"RET", SEEN_RET, 1, take_ret},
    {"ENVID", SEEN_ENVID, 1, take_envid},
};

static const char *take_parameter(struct mail_parameters *self, const struct parameter *parameter)
{
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
        if (!grammar_is(parameter->name, known[i].name))
            continue;
        if (self->seen & known[i].seen || parameter->has_value != known[i].has_value ||
            known[i].take(self, parameter->value) < 0)
            return "501 5.5.4 Bad value of a MAIL parameter";
        self->seen |= known[i].seen;
        return NULL;
    }
    return "555 5.5.4 Unknown MAIL parameter";
}

// NULL, or the reply that refuses them. HELO offered no extensions.
static const char *take_parameters(struct mail_parameters *self, struct span text, int extended)
{
    struct parameter parameter;
    int more;
    while ((more = grammar_parameter(&text, &parameter)) > 0) {
        const char *reply =
            extended ? take_parameter(self, &parameter) : "555 5.5.4 Parameters need EHLO";
        if (reply)
            return reply;
    }
    return more < 0 ? "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]" : NULL;
}

static const char *room_reply(struct session *self, uint64_t size)
{
    if (size > self->shared->settings->message_max)
        return "552 5.3.4 Message too big";
    if (spool_room(self->shared->spool, size) == 0)
        return NULL;
    if (errno == ENOSPC)
        return "452 4.3.1 Not enough disk space, try again later";
    if (errno == ENOMEM)
        return "452 4.3.1 Too much mail at once, try again later";
    return "451 4.3.2 Not ready for mail, try again later";
}

// Messages a minute; 0: no limit. Who is known for bad mail may send less of it.
static unsigned rate_of(const struct session *self)
{
    const struct settings *settings = self->shared->settings;
    unsigned rate = settings->rate_per_minute_client;
    if (rate <= 1 || !settings->reputation ||
        reputation_of(self->shared->reputation, self->client) != STANDING_BAD)
        return rate;
    return rate > BAD_PART ? rate / BAD_PART : 1;
}

static const char *refusal(struct session *self, const struct mail_parameters *parameters,
                           const struct address *address)
{
    if (address->utf8 && !parameters->envelope->smtputf8)
        return "553 5.6.7 The address needs SMTPUTF8";
    if (self->shared->draining)
        return "421 4.3.2 Closing, please connect again";
    if (!self->unlimited &&
        !limits_message(self->shared->limits, self->client, rate_of(self), self->now_ms))
        return "450 4.7.1 Too many messages from you, slow down";
    return room_reply(self, parameters->size);
}

static void refuse(struct session *self, const char *reply)
{
    transaction_end(self);
    if (reply[0] == '4' && reply[1] == '2')
        session_close(self, reply);
    else
        session_reply(self, reply);
}

void verb_mail(struct session *self, struct span argument)
{
    struct address address;
    size_t used;
    if (!grammar_keyword(&argument, "FROM:")) {
        session_reply(self, "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]");
        return;
    }
    if (address_parse_path(argument, ADDRESS_NULL, 1, &address, &used) < 0) {
        session_reply(self, "501 5.1.7 Bad sender address syntax");
        return;
    }
    struct mail_parameters parameters = {.envelope = allocate(sizeof(Postern__Envelope))};
    postern__envelope__init(parameters.envelope);
    struct span mailbox = address_mailbox(&address, (struct span){argument.data, used});
    if (mailbox.size)
        bytes_set(&parameters.envelope->reverse_path, mailbox.data, mailbox.size);
    transaction_begin(self, parameters.envelope);
    struct span rest = {argument.data + used, argument.size - used};
    const char *reply = take_parameters(&parameters, rest, self->extended);
    if (!reply && (reply = refusal(self, &parameters, &address)))
        session_tell_refused(self, (struct span){"", 0}, reply);
    if (reply)
        refuse(self, reply);
    else
        session_reply(self, "250 2.1.0 Ok");
}
