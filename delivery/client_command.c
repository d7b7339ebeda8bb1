// SPDX-License-Identifier: Apache-2.0
#include "delivery/client_internal.h"

#include <stdlib.h>
#include <string.h>

// May these bytes stand in a command line? Envelopes are checked where they come in; a line end
// here would be a command of somebody else's choosing.
static int plain(const ProtobufCBinaryData *text)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] < 0x21 || text->data[i] == 0x7f || text->data[i] == '>')
            return 0;
    return text->len <= 512;
}

static int quoted_plain(const ProtobufCBinaryData *address)
{
    // A quoted local part may hold blanks and angle brackets, but no control characters.
    int quoted = address->len > 0 && address->data[0] == '"';
    if (!quoted)
        return plain(address);
    for (size_t i = 0; i < address->len; i++)
        if (address->data[i] < 0x20 || address->data[i] == 0x7f)
            return 0;
    return address->len <= 512;
}

static int eight_bit(const ProtobufCBinaryData *text)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] >= 0x80)
            return 1;
    return 0;
}

static int needs_utf8(const struct client_mail *mail)
{
    return mail->utf8_header || eight_bit(&mail->envelope->reverse_path);
}

static int recipient_unfit(struct client *self, struct client_recipient *recipient)
{
    const struct client_mail *mail = self->mail;
    int utf8 = needs_utf8(mail) || eight_bit(&recipient->recipient->address);
    if (!quoted_plain(&recipient->recipient->address) || recipient->recipient->address.len == 0)
        client_recipient_set(recipient, RESULT_FAILED, "5.1.3", "553 5.1.3 Bad recipient address");
    else if (!quoted_plain(&mail->envelope->reverse_path))
        client_recipient_set(recipient, RESULT_FAILED, "5.1.7", "553 5.1.7 Bad sender address");
    else if (utf8 && !(self->extensions & EXTENSION_SMTPUTF8))
        client_recipient_set(recipient, RESULT_FAILED, "5.6.7",
                             "550 5.6.7 The next host does not take internationalized mail");
    else if (mail->eight_bit && !(self->extensions & EXTENSION_8BITMIME))
        client_recipient_set(recipient, RESULT_FAILED, "5.6.3",
                             "550 5.6.3 The next host does not take 8-bit content");
    else if (self->size_most > 0 && mail->size > self->size_most)
        client_recipient_set(recipient, RESULT_FAILED, "5.3.4",
                             "552 5.3.4 The mail is bigger than the next host takes");
    return recipient->result != RESULT_NONE;
}

size_t client_choose_targets(struct client *self)
{
    self->target_count = 0;
    for (size_t i = 0; i < self->mail->count; i++) {
        struct client_recipient *recipient = &self->mail->recipients[i];
        if (recipient->result != RESULT_NONE || recipient_unfit(self, recipient))
            continue;
        self->targets =
            reallocate(self->targets, (self->target_count + 1) * sizeof(*self->targets));
        self->targets[self->target_count++] = recipient;
    }
    return self->target_count;
}

static void mail_command(struct client *self, struct buffer *out)
{
    const struct client_mail *mail = self->mail;
    const Postern__Envelope *envelope = mail->envelope;
    int utf8 = needs_utf8(mail);
    for (size_t i = 0; i < self->target_count && !utf8; i++)
        utf8 = eight_bit(&self->targets[i]->recipient->address);
    buffer_add_text(out, "MAIL FROM:<");
    buffer_add(out, envelope->reverse_path.data, envelope->reverse_path.len);
    buffer_add_text(out, ">");
    if (self->extensions & EXTENSION_SIZE)
        buffer_printf(out, " SIZE=%llu", (unsigned long long)mail->size);
    if ((self->extensions & EXTENSION_8BITMIME) && (mail->eight_bit || envelope->body_8bit))
        buffer_add_text(out, " BODY=8BITMIME");
    if (utf8)
        buffer_add_text(out, " SMTPUTF8");
    if (self->extensions & EXTENSION_DSN) {
        if (envelope->ret == 1 || envelope->ret == 2)
            buffer_add_text(out, envelope->ret == 1 ? " RET=FULL" : " RET=HDRS");
        if (envelope->envid.len > 0 && plain(&envelope->envid)) {
            buffer_add_text(out, " ENVID=");
            buffer_add(out, envelope->envid.data, envelope->envid.len);
        }
    }
    buffer_add_text(out, "\r\n");
}

static void add_notify(unsigned notify, struct buffer *out)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {{1, "NEVER"}, {2, "SUCCESS"}, {4, "FAILURE"}, {8, "DELAY"}};
    const char *separator = " NOTIFY=";
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (!(notify & words[i].bit))
            continue;
        buffer_printf(out, "%s%s", separator, words[i].word);
        separator = ",";
        if (words[i].bit == 1)
            return; // NEVER stands alone (RFC 3461 4.1)
    }
}

static void rcpt_command(struct client *self, struct client_recipient *to, struct buffer *out)
{
    buffer_add_text(out, "RCPT TO:<");
    buffer_add(out, to->recipient->address.data, to->recipient->address.len);
    buffer_add_text(out, ">");
    if (self->extensions & EXTENSION_DSN) {
        to->relayed_dsn = 1;
        add_notify(to->recipient->notify, out);
        if (to->recipient->original.len > 0 && plain(&to->recipient->original)) {
            buffer_add_text(out, " ORCPT=");
            buffer_add(out, to->recipient->original.data, to->recipient->original.len);
        }
    }
    buffer_add_text(out, "\r\n");
}

void client_send_commands(struct client *self, struct buffer *out)
{
    int count = (int)self->target_count;
    while (self->next_command <= count + 1) {
        int command = self->next_command++;
        if (command == -1)
            buffer_add_text(out, "RSET\r\n");
        else if (command == 0)
            mail_command(self, out);
        else if (command <= count)
            rcpt_command(self, self->targets[command - 1], out);
        else
            buffer_add_text(out, "DATA\r\n");
        if (!(self->extensions & EXTENSION_PIPELINING))
            return;
    }
}
