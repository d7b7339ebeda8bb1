// SPDX-License-Identifier: Apache-2.0
// RCPT TO (RFC 5321 4.1.1.3) with NOTIFY and ORCPT (RFC 3461).
#include "ingress/grammar.h"
#include "ingress/greylist.h"
#include "ingress/recipient.h"
#include "ingress/reputation.h"
#include "ingress/transaction.h"

#include <stdlib.h>
#include <string.h>

enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
enum { ORCPT_MOST = 500 }; // RFC 3461 5

struct rcpt_parameters {
    unsigned notify;
    struct span original;
};

static unsigned notify_bit(struct span word)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++)
        if (grammar_is(word, names[i]))
            return 1u << i;
    return 0;
}

// NEVER alone, or a list of the others, each once.
static int take_notify(struct span value, unsigned *ret)
{
    unsigned bits = 0;
    for (;;) {
        const char *comma = memchr(value.data, ',', value.size);
        size_t size = comma ? (size_t)(comma - value.data) : value.size;
        unsigned bit = notify_bit((struct span){value.data, size});
        if (!bit || bits & bit)
            return -1;
        bits |= bit;
        if (!comma)
            break;
        value = (struct span){comma + 1, value.size - size - 1};
    }
    if (bits & NOTIFY_NEVER && bits != NOTIFY_NEVER)
        return -1;
    *ret = bits;
    return 0;
}

// "rfc822;user@example.org" in xtext; "utf-8;..." of RFC 6533 within an SMTPUTF8 transaction.
static int is_orcpt(struct span value, int smtputf8)
{
    const char *semicolon = memchr(value.data, ';', value.size);
    if (!semicolon || value.size > ORCPT_MOST)
        return 0;
    struct span type = {value.data, (size_t)(semicolon - value.data)};
    struct span text = {semicolon + 1, value.size - type.size - 1};
    int utf8 = grammar_is(type, "utf-8") && smtputf8;
    for (size_t i = 0; i < type.size; i++)
        if ((unsigned char)type.data[i] >= 0x7f || strchr("()<>@,:\\\".[]", type.data[i]))
            return 0;
    return type.size && text.size && grammar_xtext(text, utf8);
}

static const char *take_parameter(struct rcpt_parameters *self, const struct parameter *parameter,
                                  int smtputf8)
{
    static const char bad[] = "501 5.5.4 Bad value of a RCPT parameter";
    if (grammar_is(parameter->name, "NOTIFY"))
        return !parameter->has_value || self->notify ||
                       take_notify(parameter->value, &self->notify) < 0
                   ? bad
                   : NULL;
    if (!grammar_is(parameter->name, "ORCPT"))
        return "555 5.5.4 Unknown RCPT parameter";
    if (!parameter->has_value || self->original.size || !is_orcpt(parameter->value, smtputf8))
        return bad;
    self->original = parameter->value;
    return NULL;
}

static const char *take_parameters(struct session *session, struct rcpt_parameters *self,
                                   struct span text)
{
    struct parameter parameter;
    int more;
    while ((more = grammar_parameter(&text, &parameter)) > 0) {
        const char *reply = session->extended
                                ? take_parameter(self, &parameter, session->envelope->smtputf8)
                                : "555 5.5.4 Parameters need EHLO";
        if (reply)
            return reply;
    }
    return more < 0 ? "501 5.5.4 Syntax: RCPT TO:<address> [parameters]" : NULL;
}

// NULL when the recipient is taken.
static const char *refusal(struct session *self, const struct address *address,
                           char text[RECIPIENT_TEXT], enum recipient_result *ret_result)
{
    if (address->utf8 && !self->envelope->smtputf8)
        return "553 5.6.7 The address needs SMTPUTF8";
    *ret_result = recipient_check(self->shared->settings, address, self->may_relay, text);
    switch (*ret_result) {
    case RECIPIENT_UNKNOWN:
        return "550 5.1.1 No such user here";
    case RECIPIENT_ROUTED:
        return "550 5.7.1 Routed addresses are not taken";
    case RECIPIENT_DENIED:
        return "550 5.7.1 Relaying denied";
    case RECIPIENT_LATER:
        return "451 4.3.5 Not configured yet, come again";
    case RECIPIENT_BAD:
        return "553 5.1.3 Bad recipient domain";
    case RECIPIENT_OURS:
    case RECIPIENT_RELAYED:
        break;
    }
    if (self->envelope->n_recipients >= self->shared->settings->recipients_max)
        return "452 4.5.3 Too many recipients";
    return NULL;
}

// A recipient that may be taken, but for the greylist.
struct rcpt {
    struct greylist_question *question;
    char text[RECIPIENT_TEXT];
    unsigned notify;
    int relayed;
    size_t original_size;
    char original[ORCPT_MOST];
};

static void take(struct session *self, const struct rcpt *rcpt)
{
    Postern__Recipient *recipient = transaction_add_recipient(self, rcpt->text, strlen(rcpt->text));
    recipient->notify = rcpt->notify;
    if (rcpt->original_size)
        bytes_set(&recipient->original, rcpt->original, rcpt->original_size);
    if (rcpt->relayed)
        self->envelope->relay = 1;
    session_reply(self, "250 2.1.5 Ok");
}

static void turn_away(struct session *self, struct span recipient, const char *reply)
{
    session_turn_away(self, recipient, reply);
    if (reply[0] == '4') // not an error, but not without end either
        session_idle(self);
}

static void take_if(struct session *self, const struct rcpt *rcpt, int passes)
{
    if (passes)
        take(self, rcpt);
    else
        turn_away(self, span_of(rcpt->text), "451 4.7.1 Greylisted, please try again later");
}

static void on_greylist(void *context, int passes)
{
    struct session *self = context;
    struct rcpt *rcpt = self->rcpt;
    self->rcpt = NULL;
    self->mode = MODE_COMMAND;
    self->since_ms = 0; // from the next feed on
    take_if(self, rcpt, passes);
    free(rcpt);
    self->wake(self->context);
}

void rcpt_forget(struct session *self)
{
    if (!self->rcpt)
        return;
    greylist_forget(self->rcpt->question);
    free(self->rcpt);
    self->rcpt = NULL;
}

static int is_greylisted(struct session *self)
{
    const struct settings *settings = self->shared->settings;
    if (!settings->greylist || self->unlimited || self->may_relay)
        return 0;
    return !settings->reputation ||
           reputation_of(self->shared->reputation, self->client) != STANDING_GOOD;
}

static void ask_greylist(struct session *self, struct rcpt *rcpt)
{
    const struct session_shared *shared = self->shared;
    const Postern__Envelope *envelope = self->envelope;
    struct span sender = {(const char *)envelope->reverse_path.data, envelope->reverse_path.len};
    enum greylist_answer answer = greylist_ask(
        shared->greylist, self->client, sender, span_of(rcpt->text),
        shared->settings->greylist_delay_s, self->now_ms, on_greylist, self, &rcpt->question);
    if (answer == GREYLIST_LATER) {
        self->rcpt = duplicate_bytes(rcpt, sizeof(*rcpt));
        self->mode = MODE_ANSWER;
    } else {
        take_if(self, rcpt, answer == GREYLIST_PASSES);
    }
}

void verb_rcpt(struct session *self, struct span argument)
{
    struct address address;
    struct rcpt_parameters parameters = {0};
    enum recipient_result result = RECIPIENT_BAD;
    struct rcpt rcpt;
    size_t used;
    if (!grammar_keyword(&argument, "TO:")) {
        session_reply(self, "501 5.5.4 Syntax: RCPT TO:<address> [parameters]");
        return;
    }
    if (address_parse_path(argument, ADDRESS_POSTMASTER, 1, &address, &used) < 0) {
        session_reply(self, "501 5.1.3 Bad recipient address syntax");
        return;
    }
    struct span rest = {argument.data + used, argument.size - used};
    const char *reply = take_parameters(self, &parameters, rest);
    if (reply) {
        session_reply(self, reply);
        return;
    }
    reply = refusal(self, &address, rcpt.text, &result);
    if (reply) {
        turn_away(self, address_mailbox(&address, (struct span){argument.data, used}), reply);
        return;
    }
    rcpt.notify = parameters.notify;
    rcpt.relayed = result == RECIPIENT_RELAYED;
    rcpt.original_size = parameters.original.size;
    memcpy(rcpt.original, parameters.original.data ? parameters.original.data : "",
           parameters.original.size);
    if (is_greylisted(self))
        ask_greylist(self, &rcpt);
    else
        take(self, &rcpt);
}
