// SPDX-License-Identifier: Apache-2.0
// STARTTLS (RFC 3207). Bytes behind the command were dealt with before it ran (VERB_LAST).
#include "ingress/session_state.h"

void verb_starttls(struct session *self, struct span argument)
{
    if (argument.size) {
        session_reply(self, "501 5.5.4 Syntax: STARTTLS");
    } else if (self->tls[0]) {
        session_reply(self, "503 5.5.1 TLS is in use already");
    } else if (!self->shared->tls) {
        session_reply(self, "502 5.5.1 TLS is not offered");
    } else {
        self->mode = MODE_TLS;
        session_reply(self, "220 2.0.0 Ready to start TLS");
    }
}
