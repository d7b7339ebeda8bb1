// SPDX-License-Identifier: Apache-2.0
// XCLIENT: a listed host in front of us tells who the client really is (Postfix's XCLIENT_README).
#include "ingress/grammar.h"
#include "ingress/transaction.h"

#include <arpa/inet.h>
#include <string.h>

// What the attributes said, before any of it is believed.
struct xclient {
    char address[ADDRESS_TEXT];
    char name[HELO_MOST + 1];
    char helo[HELO_MOST + 1];
    unsigned seen;
    int extended;
};

enum seen { SEEN_ADDRESS = 1, SEEN_NAME = 2, SEEN_HELO = 4, SEEN_PROTOCOL = 8 };

static int is_unknown(const char *text)
{
    return !strcmp(text, "[UNAVAILABLE]") || !strcmp(text, "[TEMPUNAVAIL]");
}

static int take_address(struct xclient *self, const char *text)
{
    static const char tag[] = "IPV6:";
    unsigned char bytes[16];
    struct span front = {text, sizeof(tag) - 1};
    int family = AF_INET;
    if (strlen(text) > front.size && span_equal_nocase(front, span_of(tag))) {
        family = AF_INET6;
        text += front.size;
    }
    if (inet_pton(family, text, bytes) != 1)
        return -1;
    return inet_ntop(family, bytes, self->address, sizeof(self->address)) ? 0 : -1;
}

static int take_host(char *ret_text, const char *text)
{
    if (is_unknown(text)) {
        ret_text[0] = 0;
        return 0;
    }
    if (!grammar_host(span_of(text)))
        return -1;
    memcpy(ret_text, text, strlen(text) + 1);
    return 0;
}

static int take_attribute(struct xclient *self, const struct parameter *parameter)
{
    char value[HELO_MOST + 1];
    if (!parameter->has_value || grammar_xtext_decode(parameter->value, value, sizeof(value)) < 0)
        return -1;
    if (grammar_is(parameter->name, "ADDR")) {
        self->seen |= SEEN_ADDRESS;
        return take_address(self, value);
    }
    if (grammar_is(parameter->name, "NAME")) {
        self->seen |= SEEN_NAME;
        return take_host(self->name, value);
    }
    if (grammar_is(parameter->name, "HELO")) {
        self->seen |= SEEN_HELO;
        return take_host(self->helo, value);
    }
    if (grammar_is(parameter->name, "PROTO")) {
        self->seen |= SEEN_PROTOCOL;
        self->extended = !strcmp(value, "ESMTP");
        return self->extended || !strcmp(value, "SMTP") ? 0 : -1;
    }
    return grammar_is(parameter->name, "PORT") ? 0 : -1;
}

static int take_attributes(struct xclient *self, struct span text)
{
    struct parameter parameter;
    struct span rest = {text.data - 1, text.size + 1}; // the blank behind the verb
    int more;
    if (!text.size)
        return -1;
    while ((more = grammar_parameter(&rest, &parameter)) > 0)
        if (take_attribute(self, &parameter) < 0)
            return -1;
    return more;
}

static void believe(struct session *self, const struct xclient *said)
{
    if (said->seen & SEEN_ADDRESS)
        memcpy(self->client, said->address, sizeof(self->client));
    if (said->seen & SEEN_NAME)
        memcpy(self->name, said->name, sizeof(self->name));
    if (said->seen & SEEN_PROTOCOL)
        self->extended = said->extended != 0;
    transaction_end(self);
    self->state = STATE_NEW;
    self->helo[0] = 0;
    if (said->seen & SEEN_HELO && said->helo[0]) {
        memcpy(self->helo, said->helo, sizeof(self->helo));
        self->state = STATE_GREETED;
    }
    session_judge_client(self);
}

void verb_xclient(struct session *self, struct span argument)
{
    struct xclient said = {.extended = 1};
    if (!self->may_xclient) {
        session_reply(self, "550 5.7.0 Not allowed from here");
    } else if (take_attributes(&said, argument) < 0) {
        session_reply(self, "501 5.5.4 Bad XCLIENT attribute");
    } else {
        believe(self, &said);
        session_printf(self, "220 %s ESMTP Postern", self->shared->hostname);
    }
}
