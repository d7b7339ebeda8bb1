// SPDX-License-Identifier: Apache-2.0
#include "mail/decode.h"

#include "core/base/buffer.h"
#include "mail/anomaly.h"
#include "mail/header.h"
#include <ctype.h>
#include <string.h>

const char *encoding_name(enum encoding encoding)
{
    static const char *const names[ENCODING_COUNT] = {"7bit", "base64", "quoted-printable",
                                                      "x-uuencode", "x-yenc"};
    return names[encoding];
}

static int hexadecimal(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The length of "=" with white space up to and with the line's end at `offset`, 0 when it is no
// soft line break.
static size_t soft_break(struct span text, size_t offset)
{
    size_t at = offset + 1;
    while (at < text.size &&
           (text.data[at] == ' ' || text.data[at] == '\t' || text.data[at] == '\r'))
        at++;
    if (at == text.size)
        return at - offset;
    return text.data[at] == '\n' ? at + 1 - offset : 0;
}

void decode_line_ends(struct span text, struct buffer *out)
{
    const char *at = text.data, *end = text.data + text.size, *found;
    while ((found = memmem(at, (size_t)(end - at), "\r\n", 2)) != NULL) {
        buffer_add(out, at, (size_t)(found - at));
        at = found + 1;
    }
    buffer_add(out, at, (size_t)(end - at));
}

// Text between two "=".
static void add_literal(struct span text, enum qp_way way, struct buffer *out)
{
    if (way == QP_UNIX)
        decode_line_ends(text, out);
    else
        buffer_add(out, text.data, text.size);
}

// A "=" that is neither an octet nor a soft line break. How much of the text it takes.
static size_t take_broken(struct span text, size_t offset, enum qp_way way, struct buffer *out)
{
    size_t left = text.size - offset;
    if (way == QP_SKIP)
        return left < 3 ? left : 3;
    if (way != QP_DROP)
        buffer_add(out, "=", 1);
    return 1;
}

uint64_t decode_qp(struct span text, enum qp_way way, struct buffer *out)
{
    uint64_t anomalies = 0;
    size_t offset = 0;
    while (offset < text.size) {
        const char *mark = memchr(text.data + offset, '=', text.size - offset);
        size_t plain = mark != NULL ? (size_t)(mark - text.data) : text.size;
        add_literal((struct span){text.data + offset, plain - offset}, way, out);
        offset = plain;
        if (mark == NULL)
            break;
        int high = offset + 2 < text.size ? hexadecimal(text.data[offset + 1]) : -1;
        int low = high >= 0 ? hexadecimal(text.data[offset + 2]) : -1;
        size_t skipped = low >= 0 ? 0 : soft_break(text, offset);
        if (low >= 0) {
            char c = (char)(high * 16 + low);
            buffer_add(out, &c, 1);
            offset += 3;
        } else if (skipped > 0) {
            offset += skipped;
        } else {
            anomalies |= ANOMALY_BIT(ANOMALY_QP_BROKEN);
            offset += take_broken(text, offset, way, out);
        }
    }
    return anomalies;
}

void decode_q_word(struct span text, struct buffer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        int high = c == '=' && i + 2 < text.size ? hexadecimal(text.data[i + 1]) : -1;
        int low = high >= 0 ? hexadecimal(text.data[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '_') {
            c = ' ';
        }
        buffer_add(out, &c, 1);
    }
}

static int is_begin_line(struct span line)
{
    if (line.size < 10 || memcmp(line.data, "begin ", 6) != 0)
        return 0;
    size_t at = 6;
    while (at < line.size && line.data[at] >= '0' && line.data[at] <= '7')
        at++;
    return at >= 9 && at < line.size && line.data[at] == ' ';
}

int decode_has_uu(struct span text)
{
    size_t offset = 0, next;
    if (text.size > 0 && is_begin_line(header_line(text, 0, &next)))
        return 1;
    const char *found;
    while ((found = memmem(text.data + offset, text.size - offset, "\nbegin ", 7)) != NULL) {
        offset = (size_t)(found - text.data) + 1;
        if (is_begin_line(header_line(text, offset, &next)))
            return 1;
    }
    return 0;
}

static unsigned uu_value(struct span line, size_t at)
{
    return at < line.size ? ((unsigned char)line.data[at] - 32U) & 63 : 0;
}

static void decode_uu_line(struct span line, struct buffer *out)
{
    size_t length = uu_value(line, 0);
    for (size_t at = 1; length > 0 && at < line.size; at += 4) {
        unsigned bits = uu_value(line, at) << 18 | uu_value(line, at + 1) << 12 |
                        uu_value(line, at + 2) << 6 | uu_value(line, at + 3);
        char group[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
        size_t size = length < 3 ? length : 3;
        buffer_add(out, group, size);
        length -= size;
    }
}

static size_t after_begin(struct span text, uint64_t *anomalies)
{
    size_t offset = 0, next;
    while (offset < text.size) {
        if (is_begin_line(header_line(text, offset, &next)))
            return next;
        offset = next;
    }
    *anomalies |= ANOMALY_BIT(ANOMALY_UU_BROKEN);
    return 0;
}

uint64_t decode_uu(struct span text, struct buffer *out)
{
    uint64_t anomalies = 0;
    size_t offset = after_begin(text, &anomalies);
    while (offset < text.size) {
        size_t next;
        struct span line = header_line(text, offset, &next);
        offset = next;
        if (line.size == 3 && memcmp(line.data, "end", 3) == 0)
            return anomalies;
        if (line.size > 0)
            decode_uu_line(line, out);
    }
    return anomalies | ANOMALY_BIT(ANOMALY_UU_BROKEN);
}

void decode_yenc(struct span text, struct buffer *out)
{
    size_t offset = 0;
    while (offset < text.size) {
        size_t next;
        struct span line = header_line(text, offset, &next);
        offset = next;
        if (line.size > 2 && line.data[0] == '=' && line.data[1] == 'y')
            continue; // =ybegin, =ypart, =yend
        for (size_t i = 0; i < line.size; i++) {
            unsigned char c = (unsigned char)line.data[i];
            if (c == '=' && i + 1 < line.size)
                c = (unsigned char)(line.data[++i] - 64);
            char decoded = (char)(c - 42);
            buffer_add(out, &decoded, 1);
        }
    }
}
