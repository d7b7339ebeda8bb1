// SPDX-License-Identifier: Apache-2.0
#include "mail/smtp_reply.h"
#include "mail/smtp_line.h"

#include <string.h>

static int digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

// "250", "250 text", "250-text": the code, or -1.
static int line_code(const char *line, size_t size)
{
    if (size < 3 || !digit(line[0]) || !digit(line[1]) || !digit(line[2]))
        return -1;
    if (size > 3 && line[3] != ' ' && line[3] != '-')
        return -1;
    int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    return code >= 200 && code <= 599 ? code : -1;
}

// Length of "5.1.1" at the front, 0 when it is none: its class must be that of the code (RFC 2034).
static size_t enhanced_length(const char *text, size_t size, int code)
{
    size_t at = 0;
    if (!size || text[0] - '0' != code / 100 ||
        (text[0] != '2' && text[0] != '4' && text[0] != '5'))
        return 0;
    at = 1;
    for (int part = 0; part < 2; part++) {
        if (at >= size || text[at] != '.')
            return 0;
        size_t first = ++at;
        while (at < size && digit(text[at]))
            at++;
        if (at == first || at - first > 3)
            return 0;
    }
    return at == size || text[at] == ' ' ? at : 0;
}

enum smtp_reply_result smtp_reply(struct span bytes, struct smtp_reply *ret)
{
    struct smtp_reply reply = {0};
    size_t at = 0, size;
    for (;;) {
        struct span rest = {bytes.data + at, bytes.size - at};
        enum smtp_line_result found = smtp_line(rest, SMTP_REPLY_LINE_MOST, &size);
        if (found == SMTP_LINE_MORE)
            return bytes.size > SMTP_REPLY_MOST ? SMTP_REPLY_BAD : SMTP_REPLY_MORE;
        if (found != SMTP_LINE_WHOLE || at + size > SMTP_REPLY_MOST)
            return SMTP_REPLY_BAD;
        int code = line_code(rest.data, size - 2);
        if (code < 0 || (reply.code && code != reply.code))
            return SMTP_REPLY_BAD;
        reply.code = code;
        reply.lines++;
        at += size;
        if (size - 2 == 3 || rest.data[3] == ' ')
            break;
    }
    const char *last = bytes.data + at - size;
    size_t length = size > 6 ? enhanced_length(last + 4, size - 6, reply.code) : 0;
    if (length && length < sizeof(reply.enhanced))
        memcpy(reply.enhanced, last + 4, length);
    reply.bytes = (struct span){bytes.data, at};
    *ret = reply;
    return SMTP_REPLY_WHOLE;
}

int smtp_reply_line(const struct smtp_reply *self, size_t *position, struct span *ret_text)
{
    size_t size;
    struct span rest = {self->bytes.data + *position, self->bytes.size - *position};
    if (!rest.size || smtp_line(rest, SMTP_REPLY_LINE_MOST, &size) != SMTP_LINE_WHOLE)
        return 0;
    *position += size;
    *ret_text = size > 6 ? (struct span){rest.data + 4, size - 6} : (struct span){rest.data, 0};
    return 1;
}

static size_t add_printable(char *out, size_t at, size_t most, struct span text)
{
    for (size_t i = 0; i < text.size && at < most; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        out[at++] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
    }
    return at;
}

const char *smtp_reply_text(const struct smtp_reply *self, char *ret_text, size_t text_size)
{
    size_t most = text_size - 1, at = 0, position = 0;
    struct span text;
    char code[4] = {(char)('0' + self->code / 100), (char)('0' + self->code / 10 % 10),
                    (char)('0' + self->code % 10), 0};
    at = add_printable(ret_text, at, most, (struct span){code, 3});
    if (self->enhanced[0]) {
        at = add_printable(ret_text, at, most, (struct span){" ", 1});
        at = add_printable(ret_text, at, most, span_of(self->enhanced));
    }
    while (smtp_reply_line(self, &position, &text)) {
        size_t skip = enhanced_length(text.data, text.size, self->code);
        struct span rest = {text.data + skip, text.size - skip};
        if (rest.size && rest.data[0] != ' ')
            at = add_printable(ret_text, at, most, (struct span){" ", 1});
        at = add_printable(ret_text, at, most, rest);
    }
    ret_text[at] = 0;
    return ret_text;
}
