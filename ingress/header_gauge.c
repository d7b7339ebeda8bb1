// SPDX-License-Identifier: Apache-2.0
#include "ingress/header_gauge.h"

#include <string.h>

static const char received[] = "received";
enum { RECEIVED_SIZE = sizeof(received) - 1, NO_MATCH = RECEIVED_SIZE + 1, NAME_MOST = 998 };

static int is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static void add_field(struct header_gauge *self)
{
    self->fields++;
    self->hops += self->matched == RECEIVED_SIZE;
    self->place = HEADER_VALUE;
}

static void look_at_name(struct header_gauge *self, char byte)
{
    if (byte == ':' && self->line > 0) {
        add_field(self);
    } else if (is_blank(byte)) {
        self->place = HEADER_COLON;
    } else if (byte > 32 && byte < 127 && byte != ':' && self->line < NAME_MOST) {
        int matches = self->matched < RECEIVED_SIZE && (byte | 0x20) == received[self->matched];
        self->matched = matches ? self->matched + 1 : NO_MATCH;
    } else {
        self->place = HEADER_OVER;
    }
}

static void look_at(struct header_gauge *self, char byte)
{
    if (self->place == HEADER_LINE)
        self->place = is_blank(byte) ? HEADER_VALUE : HEADER_NAME;
    if (self->place == HEADER_NAME)
        look_at_name(self, byte);
    else if (self->place == HEADER_COLON && byte == ':')
        add_field(self);
    else if (self->place == HEADER_COLON && !is_blank(byte))
        self->place = HEADER_OVER;
    self->line++;
    if (self->place == HEADER_VALUE)
        self->size += self->line;
}

// The rest of a line, of which only its length matters.
static const char *skip_value(struct header_gauge *self, const char *at, const char *end)
{
    const char *lf = memchr(at, '\n', (size_t)(end - at));
    const char *next = lf ? lf + 1 : end;
    self->size += (uint64_t)(next - at);
    if (lf) {
        self->line = self->matched = 0;
        self->place = HEADER_LINE;
    }
    return next;
}

void header_gauge_feed(struct header_gauge *self, struct span bytes)
{
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    while (at < end && self->place != HEADER_OVER)
        if (self->place == HEADER_VALUE)
            at = skip_value(self, at, end);
        else
            look_at(self, *at++);
}
