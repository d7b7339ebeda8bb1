// SPDX-License-Identifier: Apache-2.0
#include "ingress/hops.h"

#include <string.h>

static const char field[] = "received:";
enum { FIELD_SIZE = sizeof(field) - 1, NO_MATCH = FIELD_SIZE + 1 };

static void look_at(struct hops *self, char byte)
{
    if (self->matched == 0 && byte == '\r') {
        self->body = 1; // an empty line; lines end with CRLF here
        return;
    }
    self->matched = (byte | 0x20) == field[self->matched] ? self->matched + 1 : NO_MATCH;
    if (self->matched == FIELD_SIZE)
        self->count++;
}

void hops_feed(struct hops *self, struct span bytes)
{
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    while (at < end && !self->body) {
        if (self->matched < FIELD_SIZE) {
            look_at(self, *at++);
            if (self->matched || self->body)
                continue;
        }
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        if (!lf)
            return;
        self->matched = 0;
        at = lf + 1;
    }
}
