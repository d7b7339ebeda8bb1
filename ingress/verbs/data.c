// SPDX-License-Identifier: Apache-2.0
// DATA (RFC 5321 4.1.1.4).
#include "ingress/receive.h"

void verb_data(struct session *self, struct span argument)
{
    if (argument.size) {
        session_reply(self, "501 5.5.4 Syntax: DATA");
    } else if (self->state == STATE_MAIL) {
        session_reply(self,
                      self->turned_away ? "554 5.5.1 No valid recipients" : "503 5.5.1 RCPT first");
    } else if (self->state == STATE_CHUNKS) { // RFC 3030 3: nothing of it counts any more
        intake_cancel(&self->intake);
        self->refusal = REFUSAL_CHUNKS;
        session_reply(self, "503 5.5.1 BDAT has begun, RSET first");
    } else {
        receive_begin(self);
        self->mode = MODE_DATA;
        session_reply(self, "354 End with a dot on a line of its own");
    }
}
