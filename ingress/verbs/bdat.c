// SPDX-License-Identifier: Apache-2.0
// BDAT (RFC 3030). A chunk follows the command whatever the reply will be, so it is always read;
// its reply comes after it.
#include "ingress/grammar.h"
#include "ingress/receive.h"

void verb_bdat(struct session *self, struct span argument)
{
    struct span last;
    struct span number = grammar_verb(argument, &last);
    uint64_t size;
    if (grammar_number(number, &size) < 0 || (last.size && !grammar_is(last, "LAST"))) {
        // Where the next command begins cannot be known any more.
        session_close(self, "501 5.5.4 Syntax: BDAT size [LAST]");
        return;
    }
    self->chunk_size = self->chunk_left = size;
    self->chunk_last = last.size != 0;
    if (self->state == STATE_RCPT) {
        receive_begin(self);
        self->state = STATE_CHUNKS;
    } else if (self->state != STATE_CHUNKS) {
        int turned_away = self->state == STATE_MAIL && self->turned_away;
        self->refusal = turned_away ? REFUSAL_RECIPIENTS : REFUSAL_ORDER;
        self->data_ms = self->now_ms;
    }
    self->mode = MODE_CHUNK;
    if (!size)
        receive_chunk_done(self);
}
