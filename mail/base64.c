// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "mail/anomaly.h"
#include "mail/decode.h"
#include "mail/header.h"
#include <string.h>

// What a byte is to a decoder. Values below 64 are the alphabet's.
enum { PADDING = 64, WHITE = 65, LINE_END = 66, DASH = 67, UNDERSCORE = 68, FOREIGN = 69 };

static unsigned char kinds[256];

__attribute__((constructor)) static void fill_kinds(void)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memset(kinds, FOREIGN, sizeof(kinds));
    for (unsigned char i = 0; i < 64; i++)
        kinds[(unsigned char)alphabet[i]] = i;
    kinds['='] = PADDING;
    kinds[' '] = kinds['\t'] = kinds['\r'] = kinds['\v'] = kinds['\f'] = WHITE;
    kinds['\n'] = LINE_END;
    kinds['-'] = DASH;
    kinds['_'] = UNDERSCORE;
}

struct decoder {
    const unsigned char *at, *end;
    unsigned char *out;
    uint32_t bits;
    unsigned held;      // characters of the group so far
    int padded;         // padding was seen, and no data since
    int data;           // data was seen
    unsigned line_data; // characters of data in this line
    int blank;          // an empty line came after data
    enum base64_way way;
    uint64_t anomalies;
};

static void put_group(struct decoder *self)
{
    self->out[0] = (unsigned char)(self->bits >> 16);
    self->out[1] = (unsigned char)(self->bits >> 8);
    self->out[2] = (unsigned char)self->bits;
    self->out += 3;
    self->bits = 0;
    self->held = 0;
}

// The whole bytes of a group that ended early.
static void put_rest(struct decoder *self)
{
    uint32_t bits = self->bits << (6 * (4 - self->held));
    if (self->held >= 2)
        *self->out++ = (unsigned char)(bits >> 16);
    if (self->held == 3)
        *self->out++ = (unsigned char)(bits >> 8);
    self->bits = 0;
    self->held = 0;
}

// Whole groups without anything between them: nearly all of a well-formed body.
static void take_groups(struct decoder *self)
{
    const unsigned char *at = self->at;
    unsigned char *out = self->out;
    while (self->end - at >= 4) {
        unsigned a = kinds[at[0]], b = kinds[at[1]], c = kinds[at[2]], d = kinds[at[3]];
        if ((a | b | c | d) & 0xc0)
            break;
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        out[0] = (unsigned char)(bits >> 16);
        out[1] = (unsigned char)(bits >> 8);
        out[2] = (unsigned char)bits;
        out += 3;
        at += 4;
    }
    if (at != self->at)
        self->line_data = 1;
    self->at = at;
    self->out = out;
}

static void take_data(struct decoder *self, unsigned value)
{
    if (self->padded)
        self->anomalies |= ANOMALY_BIT(ANOMALY_BASE64_PADDING);
    if (self->blank)
        self->anomalies |= ANOMALY_BIT(ANOMALY_BASE64_JUNK);
    self->padded = 0;
    self->blank = 0;
    self->line_data = 1;
    self->bits = self->bits << 6 | value;
    if (++self->held == 4)
        put_group(self);
}

// Padding. 1 when this way ends here.
static int take_padding(struct decoder *self)
{
    if (self->held == 1)
        self->anomalies |= ANOMALY_BIT(ANOMALY_BASE64_PADDING);
    self->padded = 1;
    if (self->way == BASE64_STOP)
        return 1;
    if (self->way == BASE64_RESTART)
        put_rest(self);
    return 0;
}

static void take_line_end(struct decoder *self)
{
    if (self->line_data)
        self->data = 1;
    else if (self->data)
        self->blank = 1;
    self->line_data = 0;
}

// One byte. 1 when this way ends here.
static int take_byte(struct decoder *self, unsigned char byte)
{
    unsigned kind = kinds[byte];
    if (self->way == BASE64_URL && (kind == DASH || kind == UNDERSCORE)) {
        self->anomalies |= ANOMALY_BIT(ANOMALY_BASE64_JUNK);
        kind = kind == DASH ? 62 : 63;
    }
    if (kind < 64)
        take_data(self, kind);
    else if (kind == PADDING)
        return take_padding(self);
    else if (kind == LINE_END)
        take_line_end(self);
    else if (kind != WHITE) {
        self->anomalies |= ANOMALY_BIT(ANOMALY_BASE64_JUNK);
        return self->way == BASE64_STRICT;
    }
    return 0;
}

static void run(struct decoder *self)
{
    while (self->at < self->end) {
        if (self->held == 0 && !self->padded && !self->blank)
            take_groups(self);
        if (self->at < self->end && take_byte(self, *self->at++))
            return;
    }
}

static int has_foreign(struct span line)
{
    for (size_t i = 0; i < line.size; i++)
        if (kinds[(unsigned char)line.data[i]] >= DASH)
            return 1;
    return 0;
}

// Line by line, so that one with foreign characters can be left out.
static void run_lines(struct decoder *self, struct span text)
{
    size_t offset = 0;
    while (offset < text.size) {
        size_t next;
        struct span line = header_line(text, offset, &next);
        offset = next;
        if (has_foreign(line)) {
            self->anomalies |= ANOMALY_BIT(ANOMALY_BASE64_JUNK);
            continue;
        }
        self->at = (const unsigned char *)line.data;
        self->end = self->at + line.size;
        run(self);
    }
}

static struct span behind_blank_line(struct span text)
{
    size_t offset = 0;
    while (offset < text.size) {
        size_t next;
        struct span line = header_line(text, offset, &next);
        if (span_trim(line).size == 0)
            return (struct span){text.data + next, text.size - next};
        offset = next;
    }
    return (struct span){text.data, 0};
}

uint64_t decode_base64(struct span text, enum base64_way way, struct buffer *out)
{
    if (way == BASE64_AFTER_BLANK)
        text = behind_blank_line(text);
    size_t room = text.size / 4 * 3 + 6;
    struct decoder self = {.at = (const unsigned char *)text.data, .way = way};
    self.end = self.at + text.size;
    unsigned char *start = (unsigned char *)buffer_reserve(out, room);
    self.out = start;
    if (way == BASE64_LINES)
        run_lines(&self, text);
    else
        run(&self);
    if (self.held > 0) {
        if (!self.padded)
            self.anomalies |= ANOMALY_BIT(ANOMALY_BASE64_TRUNCATED);
        put_rest(&self);
    }
    buffer_added(out, (size_t)(self.out - start));
    return self.anomalies;
}
