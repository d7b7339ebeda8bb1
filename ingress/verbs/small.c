// SPDX-License-Identifier: Apache-2.0
// The verbs that need a few lines each.
#include "ingress/transaction.h"

void verb_rset(struct session *self, struct span argument)
{
    if (argument.size) {
        session_reply(self, "501 5.5.4 Syntax: RSET");
        return;
    }
    transaction_end(self);
    session_reply(self, "250 2.0.0 Ok");
}

void verb_noop(struct session *self, struct span argument)
{
    (void)argument; // RFC 5321 4.1.1.9 allows a string
    session_reply(self, "250 2.0.0 Ok");
}

void verb_quit(struct session *self, struct span argument)
{
    if (argument.size) {
        session_reply(self, "501 5.5.4 Syntax: QUIT");
        return;
    }
    self->quit = 1;
    session_close(self, "221 2.0.0 Bye");
}

// RFC 5321 3.5.3: who is here is told to nobody.
void verb_vrfy(struct session *self, struct span argument)
{
    session_reply(self, argument.size ? "252 2.5.0 Cannot verify, will take mail and see"
                                      : "501 5.5.4 Syntax: VRFY address");
}

void verb_help(struct session *self, struct span argument)
{
    (void)argument;
    session_reply(self, "214 2.0.0 RFC 5321: EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT");
}

void verb_unimplemented(struct session *self, struct span argument)
{
    (void)argument;
    session_reply(self, "502 5.5.1 Command not implemented");
}

// A web browser made to speak to us: what follows is not meant for a mail server.
void verb_foreign(struct session *self, struct span argument)
{
    (void)argument;
    session_close(self, "554 5.5.1 This is a mail server");
}
