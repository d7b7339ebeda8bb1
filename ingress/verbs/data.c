// SPDX-License-Identifier: Apache-2.0
// DATA (RFC 5321 4.1.1.4).
#include "ingress/receive.h"

void verb_data(struct session *self, struct span argument)
{
    if (argument.size) {
        session_reply(self, "501 5.5.4 Syntax: DATA");
    } else if (self->state == STATE_MAIL) {
        session_reply(self, self->recipients_refused ? "554 5.5.1 No valid recipients"
                                                     : "503 5.5.1 RCPT first");
    } else {
        receive_begin(self);
        self->mode = MODE_DATA;
        session_reply(self, "354 End with a dot on a line of its own");
    }
}
