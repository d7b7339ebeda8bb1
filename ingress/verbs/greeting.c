// SPDX-License-Identifier: Apache-2.0
// HELO and EHLO (RFC 5321 4.1.1.1).
#include "ingress/grammar.h"
#include "ingress/transaction.h"

#include <string.h>

// The name is noted, not checked: RFC 5321 4.1.4 forbids to refuse a client for a name that does
// not fit.
static int greet(struct session *self, struct span argument)
{
    if (!grammar_host(argument)) {
        session_reply(self, "501 5.5.4 A domain or address literal must follow");
        return -1;
    }
    transaction_end(self);
    memcpy(self->helo, argument.data, argument.size);
    self->helo[argument.size] = 0;
    self->state = STATE_GREETED;
    return 0;
}

void verb_helo(struct session *self, struct span argument)
{
    if (greet(self, argument) < 0)
        return;
    self->extended = 0;
    session_printf(self, "250 %s", self->shared->hostname);
}

void verb_ehlo(struct session *self, struct span argument)
{
    const struct session_shared *shared = self->shared;
    if (greet(self, argument) < 0)
        return;
    self->extended = 1;
    buffer_printf(self->out, "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n", shared->hostname,
                  (unsigned long long)shared->settings->message_max);
    if (shared->tls && !self->tls[0])
        buffer_add_text(self->out, "250-STARTTLS\r\n");
    if (self->may_xclient)
        buffer_add_text(self->out, "250-XCLIENT NAME ADDR PORT PROTO HELO\r\n");
    session_reply(self, "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
                        "250-HELP\r\n250 CHUNKING");
}
