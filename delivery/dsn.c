// SPDX-License-Identifier: Apache-2.0
#include "delivery/dsn.h"

#include "core/base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOTIFY_NEVER = 1,
    NOTIFY_SUCCESS = 2,
    NOTIFY_FAILURE = 4,
    NOTIFY_DELAY = 8,
    RET_FULL = 1,
    FULL_MOST = 256 * 1024, // bigger mails come back as their header only
    HEADER_MOST = 64 * 1024,
};

static const struct {
    const char *action, *subject, *sentence;
    unsigned bit, by_default;
} kinds[] = {
    [DSN_FAILED] =
        {"failed", "Undelivered mail returned to sender",
         "Your message could not be delivered to the recipients below. It will not be tried again.",
         NOTIFY_FAILURE, 1},
    [DSN_DELAYED] = {"delayed", "Delivery delayed",
                     "Your message has not yet been delivered to the recipients below. Nothing "
                     "needs to be done:\r\n"
                     "it will be tried again.",
                     NOTIFY_DELAY, 1},
    [DSN_RELAYED] = {"relayed", "Delivery status",
                     "Your message was handed to the mail system of the recipients below, which "
                     "does not report\r\n"
                     "what becomes of it.",
                     NOTIFY_SUCCESS, 0},
};

int dsn_wanted(enum dsn_kind kind, const Postern__Envelope *envelope,
               const Postern__Recipient *recipient)
{
    if (envelope->reverse_path.len == 0 || (recipient->notify & NOTIFY_NEVER))
        return 0;
    if (recipient->notify == 0)
        return (int)kinds[kind].by_default;
    return (recipient->notify & kinds[kind].bit) != 0;
}

// Adds foreign text as printable ASCII: no line of it can pass for a field.
static void add_safe(struct buffer *out, const void *data, size_t size, size_t most)
{
    const unsigned char *bytes = data;
    char *to = buffer_reserve(out, size < most ? size : most);
    size_t count = size < most ? size : most;
    for (size_t i = 0; i < count; i++)
        to[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
    buffer_added(out, count);
}

static unsigned next_rune(const unsigned char *bytes, size_t size, uint32_t *ret_rune)
{
    unsigned length = bytes[0] < 0x80 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    if (length > size || length == 1) {
        *ret_rune = bytes[0];
        return 1;
    }
    *ret_rune = bytes[0] & (0xffU >> (length + 1));
    for (unsigned i = 1; i < length; i++)
        *ret_rune = *ret_rune << 6 | (bytes[i] & 0x3f);
    return length;
}

// An address as utf-8-addr-xtext (RFC 6533 section 3), so that the report itself stays 7-bit.
static void add_address(struct buffer *out, const ProtobufCBinaryData *address)
{
    int ascii = 1;
    for (size_t i = 0; i < address->len; i++)
        ascii = ascii && address->data[i] < 0x80;
    buffer_add_text(out, ascii ? "rfc822;" : "utf-8;");
    for (size_t i = 0; i < address->len;) {
        uint32_t rune;
        unsigned length = next_rune(address->data + i, address->len - i, &rune);
        if (rune >= 0x80 || rune == '\\' || rune < 0x20)
            buffer_printf(out, "\\x{%X}", rune);
        else
            buffer_add(out, address->data + i, 1);
        i += length;
    }
}

static void add_field_xtext(struct buffer *out, const char *name, const ProtobufCBinaryData *value)
{
    if (value->len == 0)
        return;
    buffer_printf(out, "%s: ", name);
    // ENVID and ORCPT came as xtext; the field takes the text it stands for (RFC 3464 2.2.1, RFC
    // 3461 section 4).
    for (size_t i = 0; i < value->len; i++) {
        unsigned code = 0;
        char hex[3] = {0};
        if (value->data[i] == '+' && i + 2 < value->len) {
            memcpy(hex, value->data + i + 1, 2);
            if (strspn(hex, "0123456789ABCDEF") == 2) {
                code = (unsigned)strtoul(hex, NULL, 16);
                i += 2;
            }
        }
        char byte = code ? (char)code : (char)value->data[i];
        add_safe(out, &byte, 1, 1);
    }
    buffer_add_text(out, "\r\n");
}

static void add_people(const struct dsn *self, struct buffer *out)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct dsn_recipient *to = &self->recipients[i];
        buffer_add_text(out, "\r\n<");
        add_safe(out, to->recipient->address.data, to->recipient->address.len, 512);
        buffer_add_text(out, ">");
        if (to->hop && *to->hop) {
            buffer_add_text(out, ": host ");
            add_safe(out, to->hop, strlen(to->hop), 300);
        }
        buffer_add_text(out, ":\r\n    ");
        if (to->reply)
            add_safe(out, to->reply, strlen(to->reply), 800);
        buffer_add_text(out, "\r\n");
    }
}

static void add_recipient_fields(const struct dsn *self, const struct dsn_recipient *to,
                                 struct buffer *out)
{
    char date[40];
    buffer_add_text(out, "\r\n");
    add_field_xtext(out, "Original-Recipient", &to->recipient->original);
    buffer_add_text(out, "Final-Recipient: ");
    add_address(out, &to->recipient->address);
    buffer_printf(out, "\r\nAction: %s\r\nStatus: %s\r\n", kinds[self->kind].action, to->status);
    if (to->hop && *to->hop) {
        const char *port = strrchr(to->hop, ':');
        buffer_add_text(out, "Remote-MTA: dns; ");
        add_safe(out, to->hop, port ? (size_t)(port - to->hop) : strlen(to->hop), 255);
        buffer_add_text(out, "\r\n");
    }
    if (to->reply && *to->reply) {
        buffer_add_text(out, "Diagnostic-Code: smtp; ");
        add_safe(out, to->reply, strlen(to->reply), 800);
        buffer_add_text(out, "\r\n");
    }
    clock_format_rfc5322(self->now_ms, date);
    buffer_printf(out, "Last-Attempt-Date: %s\r\n", date);
    if (self->kind == DSN_DELAYED) {
        clock_format_rfc5322(self->expires_ms, date);
        buffer_printf(out, "Will-Retry-Until: %s\r\n", date);
    }
}

static void add_status(const struct dsn *self, struct buffer *out)
{
    char date[40];
    buffer_printf(out, "Reporting-MTA: dns; %s\r\n", self->hostname);
    add_field_xtext(out, "Original-Envelope-Id", &self->envelope->envid);
    clock_format_rfc5322(self->envelope->received_ms, date);
    buffer_printf(out, "Arrival-Date: %s\r\n", date);
    for (size_t i = 0; i < self->count; i++)
        add_recipient_fields(self, &self->recipients[i], out);
}

// -- what is returned

static void add_body(const struct body *body, size_t most, struct buffer *out)
{
    for (size_t i = 0; i < body->count && most > 0; i++) {
        size_t size = body->pieces[i].iov_len < most ? body->pieces[i].iov_len : most;
        buffer_add(out, body->pieces[i].iov_base, size);
        most -= size;
    }
}

// The header with its last line end, at most HEADER_MOST bytes, cut at a line end.
static size_t header_size(const struct buffer *bytes)
{
    const char *data = buffer_bytes(bytes);
    size_t size = buffer_size(bytes), end = 0;
    const char *found = memmem(data, size, "\r\n\r\n", 4);
    if (found)
        return (size_t)(found - data) + 2;
    for (size_t i = 1; i < size; i++)
        if (data[i - 1] == '\r' && data[i] == '\n')
            end = i + 1;
    return end;
}

static void add_quoted_printable(struct buffer *out, const char *data, size_t size)
{
    size_t column = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)data[i];
        int blank_at_end = (byte == ' ' || byte == '\t') && i + 1 < size && data[i + 1] == '\r';
        if (byte == '\r' && i + 1 < size && data[i + 1] == '\n') {
            buffer_add_text(out, "\r\n");
            column = 0;
            i++;
            continue;
        }
        if (column > 72) {
            buffer_add_text(out, "=\r\n");
            column = 0;
        }
        int plain = byte < 0x7f && byte != '=' && !blank_at_end && (byte >= 0x20 || byte == '\t');
        buffer_printf(out, plain ? "%c" : "=%02X", byte);
        column += plain ? 1 : 3;
    }
}

static void add_returned_header(const struct dsn *self, struct buffer *out)
{
    struct buffer bytes;
    buffer_init(&bytes);
    add_body(self->body, HEADER_MOST, &bytes);
    buffer_add_text(out, "Content-Type: text/rfc822-headers\r\n"
                         "Content-Transfer-Encoding: quoted-printable\r\n"
                         "Content-Description: Undelivered message headers\r\n\r\n");
    add_quoted_printable(out, buffer_bytes(&bytes), header_size(&bytes));
    buffer_free(&bytes);
}

static int returns_all(const struct dsn *self)
{
    return self->kind == DSN_FAILED && self->envelope->ret == RET_FULL && self->body &&
           self->body->size <= FULL_MOST;
}

static void add_returned(const struct dsn *self, const char *boundary, struct buffer *out)
{
    if (!self->body)
        return;
    buffer_printf(out, "\r\n--%s\r\n", boundary);
    if (!returns_all(self)) {
        add_returned_header(self, out);
        return;
    }
    buffer_printf(out,
                  "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: %s\r\n"
                  "Content-Description: Undelivered message\r\n\r\n",
                  self->body->eight_bit ? "8bit" : "7bit");
    add_body(self->body, self->body->size, out);
}

static void add_header(const struct dsn *self, const char *boundary, struct buffer *out)
{
    char date[40];
    clock_format_rfc5322(self->now_ms, date);
    buffer_printf(out, "Date: %s\r\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <", date,
                  self->hostname);
    add_safe(out, self->envelope->reverse_path.data, self->envelope->reverse_path.len, 512);
    buffer_printf(out, ">\r\nSubject: %s\r\nMessage-ID: <%s@%s>\r\n", kinds[self->kind].subject,
                  self->id, self->hostname);
    buffer_printf(
        out,
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n",
        boundary);
    if (returns_all(self) && self->body->eight_bit)
        buffer_add_text(out, "Content-Transfer-Encoding: 8bit\r\n");
}

void dsn_write(const struct dsn *self, struct buffer *out)
{
    char boundary[64];
    snprintf(boundary, sizeof(boundary), "=_%s", self->id);
    add_header(self, boundary, out);
    buffer_printf(out,
                  "\r\n--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
                  "This is the mail system at host %s.\r\n\r\n%s\r\n",
                  boundary, self->hostname, kinds[self->kind].sentence);
    add_people(self, out);
    buffer_printf(out, "\r\n--%s\r\nContent-Type: message/delivery-status\r\n\r\n", boundary);
    add_status(self, out);
    add_returned(self, boundary, out);
    buffer_printf(out, "\r\n--%s--\r\n", boundary);
}
